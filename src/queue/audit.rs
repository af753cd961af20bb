//! The account against the rows.

use std::collections::BTreeMap;

use super::count::{self, Count};
use crate::on;
use crate::store::{CACHE_KIB, Conn, StoreError};

/// Origins (members, of a campaign) whose rows are counted at once: a sort of a whole run would fill the memory.
const ORIGINS_MAX: i64 = 50_000;

/// What a connection keeps of the pages it scans.
const SCAN_KIB: u32 = 1_024;

/// Compares a run's counts with its rows and returns every line that differs, as (counted, in rows). Of a run whose
/// rows still move it may see some twice or not at all: look again before believing it.
pub async fn differences(mut conn: Conn<'_>, run_id: i64) -> Result<Vec<(Option<Count>, Option<Count>)>, StoreError> {
    conn.cache_kib(SCAN_KIB).await?;
    let rows = in_rows(conn.again(), run_id).await;
    conn.cache_kib(CACHE_KIB).await?;
    let rows = rows?;
    let counted = count::of_run(conn, run_id).await?;
    let key = |count: &Count| (count.variant, count.state.clone(), count.why.clone());
    let mut found = Vec::new();
    for row in &rows {
        match counted.iter().find(|other| key(other) == key(row)) {
            Some(other) if other.n == row.n => {}
            other => found.push((other.cloned(), Some(row.clone()))),
        }
    }
    found.extend(
        counted.iter().filter(|other| rows.iter().all(|row| key(row) != key(other))).map(|c| (Some(c.clone()), None)),
    );
    Ok(found)
}

/// What the rows themselves say, counted range by range of their origins.
async fn in_rows(mut conn: Conn<'_>, run_id: i64) -> Result<Vec<Count>, StoreError> {
    const ENDS: &str = "select (select min(origin) from message where run_id = $1),
                               (select max(origin) from message where run_id = $1)";
    const SQL: &str = "select variant, state, coalesce(why, '') as why, count(*) as n from message
         where run_id = $1 and origin >= $2 and origin < $3 group by variant, state, coalesce(why, '')";
    let ends: (Option<i64>, Option<i64>) =
        on!(conn.again(), "find a run's rows", c => sqlx::query_as(ENDS).bind(run_id).fetch_one(&mut *c).await)?;
    let (Some(mut from), Some(last)) = ends else { return Ok(Vec::new()) };
    let mut sums: BTreeMap<(i64, String, String), i64> = BTreeMap::new();
    while from <= last {
        let to = from.saturating_add(ORIGINS_MAX);
        let part: Vec<Count> = on!(conn.again(), "count a run's rows", c => sqlx::query_as(SQL)
            .bind(run_id).bind(from).bind(to).fetch_all(&mut *c).await)?;
        for count in part {
            *sums.entry((count.variant, count.state, count.why)).or_default() += count.n;
        }
        from = to;
    }
    Ok(sums.into_iter().map(|((variant, state, why), n)| Count { variant, state, why, n }).collect())
}
