//! Who may be written to about what, and the log that proves it.

use std::collections::{BTreeSet, HashSet};

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

use super::{Conn, Pair, Rows, StoreError, gathered, member};
use crate::domain::consent::{ConsentEvent, ConsentState};
use crate::{bulk, gather, on};

/// A change of consent to record.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub member_id: i64,
    pub topic: &'a str,
    pub event: ConsentEvent,
}

/// Where a member stands towards one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub topic: String,
    pub state: ConsentState,
    pub at_ms: i64,
}

/// Those of `ids` whose consent to `topic` is granted.
pub async fn granted(conn: Conn<'_>, ids: &[i64], topic: &str) -> Result<HashSet<i64>, StoreError> {
    const SQL: Pair = gather!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ")",
        "member_id" from "select s.member_id from row join consent s on s.member_id = row.id
           where s.topic = $2 and s.state = 'granted'"
    );
    let sql = conn.pick(&SQL);
    let rows = Rows::of(ids.iter().map(|id| (id,))).json();
    let found: String =
        on!(conn, "check consents", c => sqlx::query_scalar(sql).bind(rows).bind(topic).fetch_one(&mut *c).await)?;
    Ok(gathered::<(i64,)>(&found)?.into_iter().map(|(id,)| id).collect())
}

/// Every topic a member was ever asked about, by name.
pub async fn of_member(conn: Conn<'_>, member_id: i64) -> Result<Vec<Standing>, StoreError> {
    const SQL: &str = "select topic, state, at_ms from consent where member_id = $1 order by topic";
    let rows: Vec<(String, String, i64)> =
        on!(conn, "list a member's consents", c => sqlx::query_as(SQL).bind(member_id).fetch_all(&mut *c).await)?;
    rows.into_iter().map(|(topic, state, at_ms)| Ok(Standing { topic, state: known(&state)?, at_ms })).collect()
}

/// The member said yes to `topic`. `false`: it stood so already, nothing was written.
///
/// # Crash
/// Part of the caller's transaction, with its log row and the raised mail epoch.
pub async fn grant(
    conn: Conn<'_>,
    member_id: i64,
    topic: &str,
    source: &str,
    proof: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let change = Change { member_id, topic, event: ConsentEvent::Granted };
    Ok(!record(conn, &[change], source, proof, now_ms).await?.is_empty())
}

/// The member takes the consent to `topic` back. `false`: it stood so already, nothing was written.
///
/// # Crash
/// Part of the caller's transaction, with its log row and the raised mail epoch.
pub async fn revoke(
    conn: Conn<'_>,
    member_id: i64,
    topic: &str,
    source: &str,
    proof: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let change = Change { member_id, topic, event: ConsentEvent::Revoked };
    Ok(!record(conn, &[change], source, proof, now_ms).await?.is_empty())
}

/// Records many changes at once, at most one for each (member, topic), and returns the members for whom something
/// changed. `source` and `proof` say where the word came from.
///
/// # Crash
/// Part of the caller's transaction, with the log rows and the raised mail epochs.
pub async fn record(
    mut conn: Conn<'_>,
    changes: &[Change<'_>],
    source: &str,
    proof: &str,
    now_ms: i64,
) -> Result<BTreeSet<i64>, StoreError> {
    const CURRENT: Pair = bulk!(
        "with row(member_id, topic) as (select cast(value ->> 0 as bigint), value ->> 1 from",
        "$1",
        ") select s.member_id, s.topic, s.state
           from row join consent s on s.member_id = row.member_id and s.topic = row.topic"
    );
    if changes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let sql = conn.pick(&CURRENT);
    let asked = Rows::of(changes.iter().map(|change| (change.member_id, change.topic))).json();
    let standing: Vec<(i64, String, String)> =
        on!(conn.again(), "read consents", c => sqlx::query_as(sql).bind(asked).fetch_all(&mut *c).await)?;
    let mut now = std::collections::HashMap::with_capacity(standing.len());
    for (member_id, topic, state) in &standing {
        now.insert((*member_id, topic.as_str()), known(state)?);
    }
    let mut rows = Rows::default();
    let mut touched = BTreeSet::new();
    for change in changes {
        let before = now.get(&(change.member_id, change.topic)).copied();
        let after = ConsentState::next(before, change.event);
        if before != Some(after) {
            rows.push(&(change.member_id, change.topic, after.as_str()));
            touched.insert(change.member_id);
        }
    }
    if !rows.is_empty() {
        write(conn.again(), &rows.json(), source, proof, now_ms).await?;
        member::raise_epoch(conn, &touched.iter().copied().collect::<Vec<_>>()).await?;
    }
    Ok(touched)
}

async fn write(mut conn: Conn<'_>, rows: &str, source: &str, proof: &str, now_ms: i64) -> Result<(), StoreError> {
    const STATE: Pair = bulk!(
        "with row(member_id, topic, state) as (select cast(value ->> 0 as bigint), value ->> 1, value ->> 2 from",
        "$1",
        ") insert into consent (member_id, topic, state, at_ms) select member_id, topic, state, $2 from row where true
           on conflict (member_id, topic) do update set state = excluded.state, at_ms = excluded.at_ms"
    );
    const LOG: Pair = bulk!(
        "with row(member_id, topic, state) as (select cast(value ->> 0 as bigint), value ->> 1, value ->> 2 from",
        "$1",
        ") insert into consent_log (member_id, topic, state, source, proof, at_ms)
           select member_id, topic, state, $3, $4, $2 from row"
    );
    let sql = conn.pick(&STATE);
    on!(conn.again(), "write consents", c => sqlx::query(sql).bind(rows).bind(now_ms).execute(&mut *c).await.map(|_| ()))?;
    let sql = conn.pick(&LOG);
    on!(conn, "log consents", c => sqlx::query(sql).bind(rows).bind(now_ms).bind(source).bind(proof).execute(&mut *c).await.map(|_| ()))
}

/// The row of the words that a form showed in a language: the words as they were last, or a new version of them.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn text(mut conn: Conn<'_>, (form, lang): (&str, &str), body: &str, now_ms: i64) -> Result<i64, StoreError> {
    const ADD: &str = "insert into consent_text (form, lang, version, sha, body, created_at_ms)
         select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5 from consent_text where form = $1 and lang = $2
         on conflict do nothing";
    const FIND: &str = "select id from consent_text where form = $1 and lang = $2 and sha = $3";
    let sha = HEXLOWER.encode(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
    let known: Option<i64> = on!(conn.again(), "find the words of a form", c =>
        sqlx::query_scalar(FIND).bind(form).bind(lang).bind(&sha).fetch_optional(&mut *c).await)?;
    if let Some(id) = known {
        return Ok(id);
    }
    on!(conn.again(), "keep the words of a form", c => sqlx::query(ADD)
        .bind(form).bind(lang).bind(&sha).bind(body).bind(now_ms).execute(&mut *c).await.map(|_| ()))?;
    on!(conn, "find the words of a form", c =>
        sqlx::query_scalar(FIND).bind(form).bind(lang).bind(&sha).fetch_one(&mut *c).await)
}

/// Notes which words a member had read who changed consents at `at_ms`, in the transaction that logged the changes.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn read_words(conn: Conn<'_>, member_id: i64, at_ms: i64, text_id: i64) -> Result<(), StoreError> {
    const SQL: &str = "update consent_log set text_id = $3 where member_id = $1 and at_ms = $2 and text_id is null";
    on!(conn, "note which words were read", c => sqlx::query(SQL)
        .bind(member_id).bind(at_ms).bind(text_id).execute(&mut *c).await.map(|_| ()))
}

fn known(state: &str) -> Result<ConsentState, StoreError> {
    state.parse().map_err(|e| StoreError::Inconsistent { what: format!("a consent's state: {e}") })
}
