//! What was read in a mailbox of another mail system and left there.

use std::collections::HashSet;

use super::{Conn, Pair, Rows, StoreError};
use crate::{bulk, on};

/// What was remembered of a mailbox.
pub async fn seen(conn: Conn<'_>, mailbox: &str) -> Result<HashSet<String>, StoreError> {
    const SQL: &str = "select uid from mailbox_seen where mailbox = $1";
    let uids: Vec<String> = on!(conn, "see what was read in a mailbox", c =>
        sqlx::query_scalar(SQL).bind(mailbox).fetch_all(&mut *c).await)?;
    Ok(uids.into_iter().collect())
}

/// Remembers `now` of a mailbox where `before` was remembered.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn remember(
    mut conn: Conn<'_>,
    mailbox: &str,
    before: &HashSet<String>,
    now: &HashSet<String>,
    at_ms: i64,
) -> Result<(), StoreError> {
    const ADD: Pair = bulk!(
        "insert into mailbox_seen (mailbox, uid, at_ms) select $2, value ->> 0, $3 from",
        "$1",
        "where true on conflict (mailbox, uid) do nothing"
    );
    const DROP: Pair = bulk!(
        "with row(uid) as (select value ->> 0 from",
        "$1",
        ") delete from mailbox_seen where mailbox = $2 and uid in (select uid from row)"
    );
    let (new, gone) = (now.difference(before), before.difference(now));
    let (new, gone) = (Rows::of(new.map(|uid| (uid,))), Rows::of(gone.map(|uid| (uid,))));
    if !new.is_empty() {
        let (sql, rows) = (conn.pick(&ADD), new.json());
        on!(conn.again(), "remember what was read in a mailbox", c => sqlx::query(sql)
            .bind(&rows).bind(mailbox).bind(at_ms).execute(&mut *c).await.map(|_| ()))?;
    }
    if !gone.is_empty() {
        let (sql, rows) = (conn.pick(&DROP), gone.json());
        on!(conn, "forget what left a mailbox", c => sqlx::query(sql)
            .bind(&rows).bind(mailbox).execute(&mut *c).await.map(|_| ()))?;
    }
    Ok(())
}
