//! Partitions of PostgreSQL's largest tables, made before they are needed. SQLite has one file and none of this.
//!
//! What was there before, and what comes from earlier months, stands in each table's default partition.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::on;
use crate::store::{Conn, StoreError};

/// Months ahead for which room is made.
const MONTHS_AHEAD: i64 = 2;
/// Runs whose messages stand in one partition.
pub const RUNS_A_PARTITION: i64 = 100;

/// Keys in `[low, high)` of a table, and what their partition is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub parent: &'static str,
    pub name: String,
    key: &'static str,
    low: i64,
    high: i64,
}

/// The partitions that should be there as of `now_ms`: touches and events of the next months, messages of the next
/// runs. Only what no row can be in yet.
pub fn cuts(now_ms: i64, last_run: i64) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let today = Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(TimeZone::UTC).date();
    for ahead in 1..=MONTHS_AHEAD {
        let first = |ahead: i64| today.first_of_month().saturating_add(ahead.months());
        let (from, to) = (first(ahead), first(ahead + 1));
        for parent in ["event", "touch"] {
            let name = format!("{parent}_{:04}_{:02}", from.year(), from.month());
            cuts.push(Cut { parent, name, key: "at_ms", low: midnight_ms(from), high: midnight_ms(to) });
        }
    }
    let low = (last_run / RUNS_A_PARTITION + 1) * RUNS_A_PARTITION;
    let name = format!("message_runs_{low}");
    cuts.push(Cut { parent: "message", name, key: "run_id", low, high: low + RUNS_A_PARTITION });
    cuts
}

fn midnight_ms(date: Date) -> i64 {
    date.to_zoned(TimeZone::UTC).map_or(0, |midnight| midnight.timestamp().as_millisecond())
}

/// Makes the partitions that are missing, and says how many. `conn` is in no transaction.
///
/// # Errors
/// The database's, as when a table was in use for too long: what is missing is made the next time.
///
/// # Crash
/// A fence around a range that no row is in yet may be left; the next call goes on from there.
pub async fn make_ahead(mut conn: Conn<'_>, now_ms: i64) -> Result<usize, StoreError> {
    if conn.is_sqlite() {
        return Ok(0);
    }
    const LAST: &str = "select coalesce(max(id), 0) from run";
    const THERE: &str = "select count(*) from pg_class where oid = to_regclass($1)";
    const MAKE: &str = "call make_partition($1, $2, $3, $4, $5)";
    let last: i64 = on!(conn.again(), "find the last run", c => sqlx::query_scalar(LAST).fetch_one(&mut *c).await)?;
    let mut made = 0;
    for cut in cuts(now_ms, last) {
        let there: i64 = on!(conn.again(), "look for a partition", c =>
            sqlx::query_scalar(THERE).bind(&cut.name).fetch_one(&mut *c).await)?;
        if there == 0 {
            on!(conn.again(), "make a partition", c => sqlx::query(MAKE).bind(cut.parent).bind(&cut.name).bind(cut.key)
                .bind(cut.low).bind(cut.high).execute(&mut *c).await.map(|_| ()))?;
            made += 1;
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_for_the_next_months_and_runs() {
        let cuts = cuts(1_795_687_200_000, 0);
        let named: Vec<(&str, i64, i64)> = cuts.iter().map(|cut| (cut.name.as_str(), cut.low, cut.high)).collect();
        let (december, january, february) = (1_796_083_200_000, 1_798_761_600_000, 1_801_440_000_000);
        assert_eq!(
            named,
            [
                ("event_2026_12", december, january),
                ("touch_2026_12", december, january),
                ("event_2027_01", january, february),
                ("touch_2027_01", january, february),
                ("message_runs_100", 100, 200),
            ]
        );
        assert_eq!(super::cuts(0, 99).last().map(|cut| cut.low), Some(100));
        assert_eq!(super::cuts(0, 100).last().map(|cut| cut.low), Some(200));
    }
}
