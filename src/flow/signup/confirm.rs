//! The reader of the mail that asks says yes: consent begins, and an older no of the same person ends.

use crate::domain::consent::{ConsentEvent, ConsentState};
use crate::domain::member::Member;
use crate::domain::suppression::{SCOPE_ALL, SuppressionReason};
use crate::store::consent::{self, Change};
use crate::store::signup::{self, Signup};
use crate::store::suppression::{self, Suppression};
use crate::store::{Conn, Db, Lane, StoreError, member, strike};

/// Where a wish stands that a mail asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Open(Signup),
    Confirmed(Signup),
    Lapsed,
    Unknown,
}

/// Where the wish stands that a mail asks about.
pub async fn standing(conn: Conn<'_>, run: u32, message: i64, now_ms: i64) -> Result<Standing, StoreError> {
    Ok(match signup::by_message(conn, i64::from(run), message).await? {
        None => Standing::Unknown,
        Some(wish) if wish.confirmed_at_ms.is_some() => Standing::Confirmed(wish),
        Some(wish) if wish.expires_at_ms <= now_ms => Standing::Lapsed,
        Some(wish) => Standing::Open(wish),
    })
}

/// The reader of the mail says that the wish was meant: consent is granted, with a log entry that names the words of
/// the form, who asked and who confirmed, and what of the suppression list ended with it.
///
/// # Crash
/// The consent with its proof, or nothing.
pub async fn confirm(db: &Db, run: u32, message: i64, proof: &str, now_ms: i64) -> Result<Standing, StoreError> {
    let mut tx = db.begin(Lane::Event).await?;
    let wish = match standing(tx.conn(), run, message, now_ms).await? {
        Standing::Open(wish) => wish,
        other => return Ok(other),
    };
    let Some(member) = member::profiles(tx.conn(), &[wish.member_id]).await?.remove(&wish.member_id) else {
        return Ok(Standing::Unknown);
    };
    if !signup::confirm(tx.conn(), wish.id, now_ms).await? {
        return Ok(Standing::Confirmed(wish));
    }
    let mut proof = format!("asked by {}; confirmed by message {message} of run {run}, {proof}", wish.proof);
    for ended in end_suppressions(tx.conn(), &member, &wish).await? {
        let Suppression { scope, reason, source, at_ms, .. } = &ended;
        proof.push_str(&format!("; ends {reason} of {scope} by {source} at {at_ms}"));
        if *reason == SuppressionReason::Unsubscribe && scope == SCOPE_ALL {
            note_refusal(tx.conn(), &member, &ended).await?;
        }
    }
    let grant = |topic| Change { member_id: member.id, topic, event: ConsentEvent::Granted };
    let changes: Vec<Change<'_>> = wish.topics().map(grant).collect();
    consent::record(tx.conn(), &changes, "signup_form", &proof, now_ms).await?;
    consent::read_words(tx.conn(), member.id, now_ms, wish.text_id).await?;
    tx.commit().await?;
    Ok(Standing::Confirmed(wish))
}

/// Takes off the suppression list what the confirmation ends of the wished topics and of everything, and says what.
async fn end_suppressions(mut conn: Conn<'_>, member: &Member, wish: &Signup) -> Result<Vec<Suppression>, StoreError> {
    let is_meant = |scope: &str| scope == SCOPE_ALL || wish.topics().any(|topic| topic == scope);
    let mut ended = suppression::of_address(conn.again(), member.addr_key).await?;
    ended.retain(|entry| entry.reason.ends_by_confirmation() && is_meant(&entry.scope));
    for entry in &ended {
        suppression::lift(conn.again(), member.addr_key, &entry.scope).await?;
    }
    if ended.iter().any(|entry| entry.reason.is_bounce()) {
        strike::forget(conn, member.addr_key).await?;
    }
    Ok(ended)
}

/// Who wanted no mail at all said so of every topic, and the log of consents did not know it. It is told before the new
/// word, so that it shows both and only what is wished for now stands.
async fn note_refusal(mut conn: Conn<'_>, member: &Member, refusal: &Suppression) -> Result<(), StoreError> {
    let standing = consent::of_member(conn.again(), member.id).await?;
    let granted = standing.iter().filter(|one| one.state == ConsentState::Granted);
    let changes: Vec<Change<'_>> =
        granted.map(|one| Change { member_id: member.id, topic: &one.topic, event: ConsentEvent::Revoked }).collect();
    let proof = "an unsubscribe from everything, kept on the suppression list until now";
    consent::record(conn, &changes, &refusal.source, proof, refusal.at_ms).await.map(|_| ())
}
