//! Forgetting a member: what named the person goes, what is only counted stays without a name.

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::address::Email;
use crate::{bulk, on};

/// Kept returned mails that are looked through at once.
const STRAYS_AT_ONCE: i64 = 50;

/// Runs statements that take the member's id alone.
macro_rules! each {
    ($conn:expr, $doing:literal, $member:expr, $($sql:literal),+ $(,)?) => {
        $({
            const SQL: &str = $sql;
            on!($conn.again(), $doing, c => sqlx::query(SQL).bind($member).execute(&mut *c).await.map(|_| ()))?;
        })+
    };
}

/// Forgets everything about a member but the row's number: profile, consents and their log, tags, events, what mails
/// showed, what servers said of them, where touches came from. Messages, touches and orders stay as numbers of nobody.
///
/// # Crash
/// Part of the caller's transaction, which also puts the address's key on the suppression list.
pub async fn member(mut conn: Conn<'_>, member_id: i64, addr_key: i64) -> Result<(), StoreError> {
    messages(conn.again(), member_id, addr_key).await?;
    each!(
        conn,
        "forget what a member did",
        member_id,
        "delete from event where member_id = $1",
        "update touch set member_id = null, url = null, agent = '', ip = '' where member_id = $1",
        "update orders set order_id = 'erased:' || cast(id as text), coupon = null where member_id = $1",
    );
    each!(
        conn,
        "forget what is known of a member",
        member_id,
        "delete from member_attribute where member_id = $1",
        "delete from member_tag where member_id = $1",
        "delete from consent where member_id = $1",
        "delete from consent_log where member_id = $1",
        "delete from signup where member_id = $1",
        "update member set status = 'erased', email = null, addr_key = null, external_id = null, first_name = null,
           last_name = null, locale = 'en', zone = 'UTC', market = '', points = 0, orders = 0, revenue_minor = 0,
           last_order_at_ms = null, paused_until_ms = null, mail_epoch = mail_epoch + 1 where id = $1",
    );
    const STRIKES: &str = "delete from strike where addr_key = $1";
    on!(conn, "forget an address's bounces", c => sqlx::query(STRIKES).bind(addr_key).execute(&mut *c).await.map(|_| ()))
}

/// Takes the name off a member's messages, and the words off what servers said of them. The key of the address stays:
/// by it an old link's unsubscribe is still obeyed, and nobody is written to twice in one run.
async fn messages(mut conn: Conn<'_>, member_id: i64, addr_key: i64) -> Result<(), StoreError> {
    const FIND: &str = "select m.run_id, m.id from run r join message m on m.run_id = r.id and m.origin = $1
         where m.member_id = $1
         union select m.run_id, m.id from run r join message m on m.run_id = r.id and m.addr_key = $2";
    const MESSAGES: Pair = bulk!(
        "with row(run_id, id) as (select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint) from",
        "$1",
        ") update message set member_id = null, remote_id = null
           from row where message.run_id = row.run_id and message.id = row.id"
    );
    const SHOWN: Pair = bulk!(
        "with row(run_id, id) as (select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint) from",
        "$1",
        ") delete from shown where (run_id, message_id) in (select run_id, id from row)"
    );
    const SAID: Pair = bulk!(
        "with row(run_id, id) as (select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint) from",
        "$1",
        ") update delivery set text = '' where (run_id, message_id) in (select run_id, id from row)"
    );
    let found: Vec<(i64, i64)> = on!(conn.again(), "find a member's messages", c =>
        sqlx::query_as(FIND).bind(member_id).bind(addr_key).fetch_all(&mut *c).await)?;
    if found.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(found).json();
    for pair in [&MESSAGES, &SHOWN, &SAID] {
        let sql = conn.pick(pair);
        on!(conn.again(), "take the name off messages", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))?;
    }
    Ok(())
}

/// The next kept returned mails after `after` that speak of `email`, as (those that do, where to go on). The second is
/// `None` at the end.
pub async fn strays(conn: Conn<'_>, email: &Email, after: i64) -> Result<(Vec<i64>, Option<i64>), StoreError> {
    // How a blob is searched without regard to case differs.
    const SQL: Pair = Pair {
        sqlite:
            "select id, case when instr(lower(cast(raw as text)), $2) > 0 or instr(lower(cast(raw as text)), $3) > 0
             or instr(lower(subject || summary || source), $2) > 0 then 1 else 0 end
             from stray where id > $1 order by id limit $4",
        postgres: "select id, cast(case when position($2 in lower(encode(raw, 'escape'))) > 0
             or position($3 in lower(encode(raw, 'escape'))) > 0
             or position($2 in lower(subject || summary || source)) > 0 then 1 else 0 end as bigint)
             from stray where id > $1 order by id limit $4",
    };
    let sql = conn.pick(&SQL);
    let (plain, in_a_path) = (email.folded(), email.folded().replace('@', "="));
    let rows: Vec<(i64, i64)> = on!(conn, "look through returned mails", c => sqlx::query_as(sql)
        .bind(after).bind(&plain).bind(&in_a_path).bind(STRAYS_AT_ONCE).fetch_all(&mut *c).await)?;
    let next = rows.last().map(|(id, _)| *id);
    Ok((rows.into_iter().filter(|(_, speaks)| *speaks == 1).map(|(id, _)| id).collect(), next))
}

/// Throws returned mails away.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn throw_away(conn: Conn<'_>, strays: &[i64]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") delete from stray where id in (select id from row)"
    );
    let (sql, rows) = (conn.pick(&SQL), Rows::of(strays.iter().map(|id| (id,))).json());
    on!(conn, "throw returned mails away", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))
}
