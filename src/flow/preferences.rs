//! What a reader decides about further mail, by a link of a mail: unsubscribe, undo, choose topics.
//!
//! Whoever holds a sealed link is its reader. The decision, its proof, the raised mail epoch and the touch commit
//! together, so that an unsubscribe answered is an unsubscribe obeyed by everything not yet armed.

use crate::domain::campaign::MailClass;
use crate::domain::consent::{ConsentEvent, ConsentState};
use crate::domain::member::{Member, Wishes};
use crate::domain::suppression::SuppressionReason;
use crate::store::consent::{self, Change, Standing};
use crate::store::member;
use crate::store::suppression::{self, Suppression};
use crate::store::touch::{self, Addressee, Touch};
use crate::store::{Conn, Db, Lane, StoreError};

/// How long an unsubscribe can be taken back by the page that made it, milliseconds: later it needs a new consent.
pub const UNDO_MS: i64 = 24 * 3_600_000;

/// A mail's reader and where he or she stands.
#[derive(Debug, Clone)]
pub struct Reader {
    pub addressee: Addressee,
    /// Every topic the member was ever asked about, and this mail's.
    pub topics: Vec<Standing>,
    /// How mails are to be; `None` of an erased member.
    pub member: Option<Member>,
}

/// What a reader chose on the preference page.
#[derive(Debug, Clone)]
pub struct Choice<'c> {
    /// The topics the page showed, and those of them that are wanted.
    pub offered: Vec<&'c str>,
    pub wanted: Vec<&'c str>,
    /// The language and the switches, where the page showed them.
    pub locale: Option<&'c str>,
    pub wishes: Option<Wishes>,
    /// The words the page showed, and in which language.
    pub words: &'c str,
    pub lang: &'c str,
}

impl Reader {
    /// Whether mails on this mail's topic are stopped.
    pub fn is_unsubscribed(&self) -> bool {
        self.own().is_some_and(|own| own.state == ConsentState::Revoked)
    }

    /// Whether the unsubscribe is fresh, and took back a consent that the mail itself proves: a marketing mail.
    pub fn can_undo(&self, now_ms: i64) -> bool {
        let fresh = |own: &Standing| own.state == ConsentState::Revoked && now_ms - own.at_ms <= UNDO_MS;
        self.addressee.member_id.is_some()
            && self.addressee.doc.class == MailClass::Marketing
            && self.own().is_some_and(fresh)
    }

    fn own(&self) -> Option<&Standing> {
        self.topics.iter().find(|standing| standing.topic == self.addressee.doc.topic)
    }
}

/// The reader of a mail, or `None` when the message is no more.
pub async fn reader(mut conn: Conn<'_>, run: u32, message: i64) -> Result<Option<Reader>, StoreError> {
    let Some(addressee) = touch::addressee(conn.again(), run, message).await? else { return Ok(None) };
    let Some(id) = addressee.member_id else { return Ok(Some(Reader { addressee, topics: Vec::new(), member: None })) };
    let topics = consent::of_member(conn.again(), id).await?;
    let member = member::profiles(conn, &[id]).await?.remove(&id);
    Ok(Some(Reader { addressee, topics, member }))
}

/// Stops mails on this mail's topic, at once and however often it is asked. Of a member who was erased the address
/// is kept off instead.
///
/// # Crash
/// Before the commit nothing has happened; after it everything has.
pub async fn unsubscribe(db: &Db, reader: &Reader, touch: Touch, source: &str) -> Result<(), StoreError> {
    let addressee = &reader.addressee;
    let (topic, now_ms) = (addressee.doc.topic.as_str(), touch.at_ms);
    let mut tx = db.begin(Lane::Event).await?;
    if let Some(member_id) = addressee.member_id {
        consent::revoke(tx.conn(), member_id, topic, source, &proof(&touch), now_ms).await?;
    } else if let Some(addr_key) = addressee.addr_key {
        let entry = Suppression {
            scope: topic.to_owned(),
            reason: SuppressionReason::Unsubscribe,
            source: source.to_owned(),
            at_ms: now_ms,
            expires_at_ms: None,
        };
        suppression::suppress(tx.conn(), addr_key, &entry).await?;
    }
    touch::append(tx.conn(), &[touch]).await?;
    tx.commit().await
}

/// Takes an unsubscribe back. `false`: there is nothing to take back, or it is too late.
///
/// # Crash
/// Before the commit nothing has happened; after it everything has.
pub async fn undo(db: &Db, touch: &Touch) -> Result<bool, StoreError> {
    let mut tx = db.begin(Lane::Event).await?;
    let Some(reader) = reader(tx.conn(), touch.run, touch.message).await? else { return Ok(false) };
    let Some(member_id) = reader.addressee.member_id.filter(|_| reader.can_undo(touch.at_ms)) else {
        return Ok(false);
    };
    consent::grant(tx.conn(), member_id, &reader.addressee.doc.topic, "undo", &proof(touch), touch.at_ms).await?;
    tx.commit().await?;
    Ok(true)
}

/// Records a reader's choice: of the topics that were offered the wanted ones are granted, the others revoked. A topic
/// the member was never asked about is left alone, whatever the form says.
///
/// # Crash
/// Before the commit nothing has happened; after it everything has.
pub async fn choose(db: &Db, touch: &Touch, choice: &Choice<'_>) -> Result<(), StoreError> {
    let (now_ms, offered, wanted) = (touch.at_ms, &choice.offered, &choice.wanted);
    let mut tx = db.begin(Lane::Event).await?;
    let Some(reader) = reader(tx.conn(), touch.run, touch.message).await? else { return Ok(()) };
    let Some(member_id) = reader.addressee.member_id else { return Ok(()) };
    let changes = reader.topics.iter().filter_map(|standing| {
        let topic = standing.topic.as_str();
        let (was, wants) = (standing.state == ConsentState::Granted, wanted.contains(&topic));
        let event = if wants { ConsentEvent::Granted } else { ConsentEvent::Revoked };
        (offered.contains(&topic) && was != wants).then_some(Change { member_id, topic, event })
    });
    let changes: Vec<Change<'_>> = changes.collect();
    if !consent::record(tx.conn(), &changes, "preferences", &proof(touch), now_ms).await?.is_empty() {
        let text = consent::text(tx.conn(), ("preferences", choice.lang), choice.words, now_ms).await?;
        consent::read_words(tx.conn(), member_id, now_ms, text).await?;
    }
    if let (Some(wishes), Some(member)) = (&choice.wishes, &reader.member) {
        let locale = choice.locale.unwrap_or(&member.locale);
        if *wishes != member.wishes || locale != member.locale {
            member::set_wishes(tx.conn(), member_id, locale, wishes, now_ms).await?;
        }
    }
    tx.commit().await
}

/// Where the word came from, for the consent log.
fn proof(touch: &Touch) -> String {
    format!("message {} of run {}, {} from {}: {}", touch.message, touch.run, touch.method, touch.ip, touch.agent)
}
