//! How many rows of a run are in which state: deltas written in the commit that moves the rows.

use std::collections::BTreeMap;

use rusqlite::Transaction;

use crate::domain::message::MessageState;
use crate::on;
use crate::store::{Conn, Pair, Rows, StoreError, direct};

/// Adds deltas to an account: `$deltas` selects run, owner, variant, state, reason and number.
macro_rules! count_upsert {
    ($deltas:expr) => {
        concat!(
            "insert into run_count (run_id, owner, variant, state, why, n) ",
            $deltas,
            " on conflict (run_id, owner, variant, state, why) do update set n = run_count.n + excluded.n"
        )
    };
}
pub(super) use count_upsert;

macro_rules! delta_rows_text {
    ($opened:expr) => {
        concat!(
            "select cast(value ->> 0 as bigint), $1, cast(value ->> 1 as bigint), cast(value ->> 2 as text),
               cast(value ->> 3 as text), cast(value ->> 4 as bigint) from ",
            $opened,
            " where true"
        )
    };
}
/// Changes to `run_count`, summed before they are written.
#[derive(Debug, Default)]
pub struct Deltas(BTreeMap<(i64, i64, MessageState, String), i64>);

impl Deltas {
    pub fn add(&mut self, run_id: i64, variant: i64, state: MessageState, why: Option<&str>, n: i64) {
        *self.0.entry((run_id, variant, state, why.unwrap_or_default().to_owned())).or_default() += n;
    }

    /// One row's move from a state to another.
    pub fn moved(
        &mut self,
        run_id: i64,
        variant: i64,
        from: (MessageState, Option<&str>),
        to: (MessageState, Option<&str>),
    ) {
        self.add(run_id, variant, from.0, from.1, -1);
        self.add(run_id, variant, to.0, to.1, 1);
    }

    /// What is not zero: run, variant, state, reason, number.
    fn changed(&self) -> impl Iterator<Item = (i64, i64, MessageState, &str, i64)> {
        let changed = self.0.iter().filter(|(_, n)| **n != 0);
        changed.map(|((run, variant, state, why), n)| (*run, *variant, *state, why.as_str(), *n))
    }

    /// As [`write`](Deltas::write), on the caller's own thread.
    pub(super) fn write_directly(self, tx: &Transaction<'_>, owner: i64) -> Result<(), StoreError> {
        const SQL: &str = count_upsert!("values (?1, ?2, ?3, ?4, ?5, ?6)");
        for (run_id, variant, state, why, n) in self.changed() {
            direct::run(tx, "count messages", SQL, (run_id, owner, variant, state.as_str(), why, n))?;
        }
        Ok(())
    }

    /// Writes the deltas on the account of `owner`, so that two daemons never wait for each other's counter.
    pub async fn write(self, conn: Conn<'_>, owner: i64) -> Result<(), StoreError> {
        const SQL: Pair = Pair {
            sqlite: count_upsert!(delta_rows_text!("json_each($2)")),
            postgres: count_upsert!(delta_rows_text!("json_array_elements(cast($2 as json))")),
        };
        let rows = Rows::of(self.changed());
        if rows.is_empty() {
            return Ok(());
        }
        let (sql, rows) = (conn.pick(&SQL), rows.json());
        on!(conn, "count messages", c => sqlx::query(sql).bind(owner).bind(&rows).execute(&mut *c).await.map(|_| ()))
    }
}

/// One line of a run's account, summed over owners.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Count {
    pub variant: i64,
    pub state: String,
    pub why: String,
    pub n: i64,
}

/// The account of a run: what is in which state, by variant and reason.
pub async fn of_run(conn: Conn<'_>, run_id: i64) -> Result<Vec<Count>, StoreError> {
    const SQL: &str = "select variant, state, why, cast(sum(n) as bigint) as n from run_count where run_id = $1
         group by variant, state, why having sum(n) <> 0 order by variant, state, why";
    on!(conn, "read a run's counts", c => sqlx::query_as(SQL).bind(run_id).fetch_all(&mut *c).await)
}

/// How many rows of all runs are in each state that waits for something.
pub async fn standing(conn: Conn<'_>) -> Result<Vec<(String, i64)>, StoreError> {
    const SQL: &str = "select state, cast(sum(n) as bigint) from run_count
         where state in ('queued', 'leased', 'armed', 'in_doubt') group by state";
    on!(conn, "count the queue", c => sqlx::query_as(SQL).fetch_all(&mut *c).await)
}

/// How many rows of a run are in `state`.
pub fn sum(counts: &[Count], state: MessageState) -> i64 {
    counts.iter().filter(|count| count.state == state.as_str()).map(|count| count.n).sum()
}
