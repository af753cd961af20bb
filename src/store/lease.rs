//! What each claim leased: where the rows that a daemon holds are found, without an index that every mail would change.

use rusqlite::Transaction;

use super::{Conn, Pair, StoreError, direct};
use crate::on;

/// Leases looked at by each claim to see whether they are done.
const LOOKED_AT: i64 = 3;

/// `$head`, the rows of leases `l` as messages `m`, `$tail`.
#[macro_export]
macro_rules! leased {
    ($head:expr, $tail:expr) => {
        $crate::store::Pair {
            sqlite: concat!(
                $head,
                " lease l cross join json_each(l.ids) x cross join message m on m.id = x.value and m.run_id = l.run_id ",
                $tail
            ),
            postgres: concat!(
                $head,
                " lease l cross join lateral json_array_elements_text(cast(l.ids as json)) x(value)
                   join message m on m.run_id = l.run_id and m.id = cast(x.value as bigint) ",
                $tail
            ),
        }
    };
}

/// `$1` owns nothing any more of the oldest leases it has, or of any lease of the dead.
const DONE: Pair = Pair {
    sqlite: "delete from lease where id in (select id from lease where owner = $1 order by id limit $2)
         and not exists (select 1 from json_each(lease.ids) x cross join message m
           on m.id = x.value and m.run_id = lease.run_id where m.owner = lease.owner)",
    postgres: "delete from lease where id in (select id from lease where owner = $1 order by id limit $2)
         and not exists (select 1 from json_array_elements_text(cast(lease.ids as json)) x(value)
           join message m on m.run_id = lease.run_id and m.id = cast(x.value as bigint) where m.owner = lease.owner)",
};
const ADD: &str = "insert into lease (owner, run_id, ids) values ($1, $2, $3)";

/// Keeps what `owner` leased of a run, and forgets some of what it has ended since.
///
/// # Crash
/// With the caller's transaction: a row that is owned stands in a lease of its owner.
pub async fn keep(mut conn: Conn<'_>, owner: i64, run_id: i64, ids: &[i64]) -> Result<(), StoreError> {
    forget(conn.again(), owner, LOOKED_AT).await?;
    let ids = json(ids);
    on!(conn, "keep a lease", c => sqlx::query(ADD).bind(owner).bind(run_id).bind(&ids).execute(&mut *c).await.map(|_| ()))
}

/// As [`keep`], on the caller's own thread.
///
/// # Crash
/// As [`keep`].
pub fn keep_directly(tx: &Transaction<'_>, owner: i64, run_id: i64, ids: &[i64]) -> Result<(), StoreError> {
    direct::run(tx, "forget leases that ended", DONE.sqlite, (owner, LOOKED_AT))?;
    direct::run(tx, "keep a lease", ADD, (owner, run_id, json(ids))).map(|_| ())
}

/// Forgets up to `most` of the oldest leases of `owner`, of which it owns nothing any more.
///
/// # Crash
/// With the caller's transaction.
pub async fn forget(conn: Conn<'_>, owner: i64, most: i64) -> Result<(), StoreError> {
    let sql = conn.pick(&DONE);
    on!(conn, "forget leases that ended", c => sqlx::query(sql).bind(owner).bind(most).execute(&mut *c).await.map(|_| ()))
}

/// Daemons that have ended and still have leases.
pub async fn of_the_dead(conn: Conn<'_>) -> Result<Vec<i64>, StoreError> {
    const SQL: &str = "select distinct owner from lease
         where not exists (select 1 from daemon d where d.id = lease.owner and d.ended_at_ms is null)";
    on!(conn, "find leases of the dead", c => sqlx::query_scalar(SQL).fetch_all(&mut *c).await)
}

fn json(ids: &[i64]) -> String {
    serde_json::to_string(ids).expect("numbers are JSON")
}
