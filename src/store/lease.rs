//! What each claim leased: where the rows that a daemon holds are found, without an index that every mail would change.

use rusqlite::Transaction;

use super::{Conn, Pair, StoreError, direct};
use crate::on;

/// Leases that each claim looks at to see whether they are done: the oldest, and one more for every sixteen there are;
/// not the newest, which hardly ever are.
const LOOKED_AT: i64 = 1;
const NEWEST: i64 = 4;
/// More than a daemon has.
const ALL: i64 = 1_000_000;

/// `$head`, the rows of leases `l` as messages `m`, `$tail`. The fence (`offset 0`) has PostgreSQL look each row up by
/// itself: of a young table it believes that a whole run is less.
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
                   cross join lateral (select m.run_id, m.id, m.owner from message m
                     where m.run_id = l.run_id and m.id = cast(x.value as bigint) offset 0) m ",
                $tail
            ),
        }
    };
}

/// Deletes those of the oldest `$2` leases of `$1` and a sixteenth of all, the newest `$3` aside, for which `$owned`
/// finds nothing any more.
macro_rules! done {
    ($owned:expr) => {
        concat!(
            "delete from lease where id in (select id from
               (select id from lease where owner = $1 order by id desc limit 1000000 offset $3) old
               order by id limit (select $2 + count(*) / 16 from lease where owner = $1))
             and not exists (select 1 from ",
            $owned,
            " where m.owner = lease.owner)"
        )
    };
}

const DONE: Pair = Pair {
    sqlite: done!("json_each(lease.ids) x cross join message m on m.id = x.value and m.run_id = lease.run_id"),
    postgres: done!(
        "json_array_elements_text(cast(lease.ids as json)) x(value)
         cross join lateral (select m.owner from message m
           where m.run_id = lease.run_id and m.id = cast(x.value as bigint) offset 0) m"
    ),
};
const ADD: &str = "insert into lease (owner, run_id, ids) values ($1, $2, $3)";

/// Keeps what `owner` leased of a run, and forgets some of what it has ended since.
///
/// # Crash
/// With the caller's transaction: a row that is owned stands in a lease of its owner.
pub async fn keep(mut conn: Conn<'_>, owner: i64, run_id: i64, ids: &[i64]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    forget(conn.again(), owner, (LOOKED_AT, NEWEST)).await?;
    let ids = json(ids);
    on!(conn, "keep a lease", c => sqlx::query(ADD).bind(owner).bind(run_id).bind(&ids).execute(&mut *c).await.map(|_| ()))
}

/// As [`keep`], on the caller's own thread.
///
/// # Crash
/// As [`keep`].
pub fn keep_directly(tx: &Transaction<'_>, owner: i64, run_id: i64, ids: &[i64]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    direct::run(tx, "forget leases that ended", DONE.sqlite, (owner, LOOKED_AT, NEWEST))?;
    direct::run(tx, "keep a lease", ADD, (owner, run_id, json(ids))).map(|_| ())
}

/// Forgets every lease of a dead daemon of which nothing is left to be taken back.
///
/// # Crash
/// With the caller's transaction.
pub async fn forget_dead(conn: Conn<'_>, owner: i64) -> Result<(), StoreError> {
    forget(conn, owner, (ALL, 0)).await
}

async fn forget(conn: Conn<'_>, owner: i64, (most, newest): (i64, i64)) -> Result<(), StoreError> {
    let sql = conn.pick(&DONE);
    on!(conn, "forget leases that ended", c => sqlx::query(sql).bind(owner).bind(most).bind(newest).execute(&mut *c).await.map(|_| ()))
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
