//! What a provider tells of our mails, with the effects of a returned mail. The provider proved itself, so it may speak
//! of an address that we mailed; a message is settled only by our own token, or by the id that the provider itself gave
//! the mail when it took it.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use super::effect::Recorder;
use super::{Effect, digest63};
use crate::base::text::{clean, mask_addresses};
use crate::base::token::{Keyring, Token};
use crate::domain::address::{AddrSecret, Email};
use crate::domain::bounce::Rules;
use crate::inbound::tokens;
use crate::inbound::webhook::{Event, What};
use crate::store::touch::{self, Addressee};
use crate::store::webhook::Note;
use crate::store::{Conn, Db, Lane, StoreError, stray, webhook};

/// How long it is remembered what was told. An event older than that is not taken: it may have been told before.
pub const SEEN_MS: i64 = 30 * 86_400_000;
/// Events of one transaction, about 10 ms of the writer.
const BATCH_MAX: usize = 16;
/// Longest words of a server kept with a note, bytes.
const WORDS_BYTES_MAX: usize = 200;
/// Shortest id of a provider's that names one mail.
const ID_BYTES_MIN: usize = 8;

/// Where what providers tell is taken in; cheap to clone.
#[derive(Clone)]
pub struct Tellings {
    pub db: Db,
    pub keys: Arc<Keyring>,
    pub rules: watch::Receiver<Arc<Rules>>,
    pub secret: AddrSecret,
}

/// A delivery that proved itself, read.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'t> {
    /// Which hook it came by, as `PROVIDER/NAME`.
    pub hook: &'t str,
    /// What may come once only, where the signature does not cover the events.
    pub once: Option<&'t str>,
    pub events: &'t [Event],
}

/// What became of a delivery's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events that changed something, or were kept for a person.
    pub taken: u32,
    /// Events that say nothing to act on: opens, clicks, mails that cannot be told apart.
    pub idle: u32,
    /// Events that were told before.
    pub repeated: u32,
    /// Events too old to tell whether they were told before.
    pub stale: u32,
}

/// The mail that an event is about.
struct Placed {
    token: Token,
    /// Whether it is this mail for certain, and not only its address.
    is_certain: bool,
    to: Addressee,
}

impl Tellings {
    /// Takes a delivery in. `None`: what may come once only came before, so somebody repeats it.
    ///
    /// # Errors
    /// When the database does not take it; what was recorded until then stays, and it may be handed in again.
    ///
    /// # Crash
    /// Every event's effect and the note that it was told are there together or not at all; handed in again, the rest
    /// follows.
    pub async fn take_in(&self, telling: &Telling<'_>, now_ms: i64) -> Result<Option<Tally>, StoreError> {
        let rules = self.rules.borrow().clone();
        let mut tally = Tally::default();
        for (nth, events) in batches(telling.events).enumerate() {
            let mut tx = self.db.begin(Lane::Event).await?;
            if nth == 0 {
                webhook::clear(tx.conn(), now_ms).await?;
                if let Some(once) = telling.once
                    && !webhook::see(tx.conn(), telling.hook, digest63(once.as_bytes()), now_ms + SEEN_MS).await?
                {
                    return Ok(None);
                }
            }
            for event in events {
                self.one(tx.conn(), telling.hook, event, &rules, now_ms, &mut tally).await?;
            }
            tx.commit().await?;
        }
        Ok(Some(tally))
    }

    async fn one(
        &self,
        mut conn: Conn<'_>,
        hook: &str,
        event: &Event,
        rules: &Rules,
        now_ms: i64,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        if event.at_ms.is_some_and(|at_ms| at_ms < now_ms - SEEN_MS) {
            tally.stale += 1;
            return Ok(());
        }
        if matches!(event.what, What::Accepted | What::Opened | What::Clicked) {
            tally.idle += 1;
            return Ok(());
        }
        if matches!(event.what, What::Delivered | What::Deferred) {
            return self.note(conn, hook, event, tally).await;
        }
        // The kind is part of it: some providers number each kind by itself.
        let id = event.id.as_ref().map_or_else(|| event.raw.clone(), |id| format!("{} {id}", event.what));
        if !webhook::see(conn.again(), hook, digest63(id.as_bytes()), now_ms + SEEN_MS).await? {
            tally.repeated += 1;
            return Ok(());
        }
        let recorder = Recorder { source: hook, kind: event.what.as_str(), way: "provider", now_ms };
        let effect = match self.place(conn.again(), event).await? {
            Some(placed) => follow(conn.again(), &recorder, event, &placed, rules).await?,
            None => Effect::Kept,
        };
        if effect == Effect::Kept {
            keep(conn, hook, event, now_ms).await?;
        }
        match effect {
            Effect::None => tally.idle += 1,
            _ => tally.taken += 1,
        }
        Ok(())
    }

    /// Keeps what happened to a mail on its way, where it is certain which mail that is and when it was.
    async fn note(&self, mut conn: Conn<'_>, hook: &str, event: &Event, tally: &mut Tally) -> Result<(), StoreError> {
        let placed = self.place(conn.again(), event).await?.filter(|placed| placed.is_certain);
        let Some((placed, at_ms)) = placed.zip(event.at_ms) else {
            tally.idle += 1;
            return Ok(());
        };
        let one = &event.recipient;
        let enhanced = one.enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"));
        let note = Note {
            run_id: i64::from(placed.token.run),
            id: placed.token.message,
            at_ms,
            hook,
            what: event.what.as_str(),
            code: one.code,
            enhanced: enhanced.as_deref(),
            text: &mask_addresses(&clean(&one.words, WORDS_BYTES_MAX)),
        };
        match webhook::note(conn, &note).await? {
            true => tally.taken += 1,
            false => tally.repeated += 1,
        }
        Ok(())
    }

    /// The mail an event is about: by our token, else by the provider's id among the mails to its address, else the
    /// newest mail to that address.
    async fn place(&self, mut conn: Conn<'_>, event: &Event) -> Result<Option<Placed>, StoreError> {
        let email = Email::parse(&event.recipient.address).ok();
        let addr_key = email.map(|email| self.secret.key(&email));
        if let Some(token) = tokens::in_text(&event.raw, &self.keys)
            && let Some(to) = touch::addressee(conn.again(), token.run, token.message).await?
            // A token in somebody else's event was quoted: it is about another mail.
            && addr_key.is_none_or(|key| to.addr_key.is_none_or(|of| of == key))
        {
            return Ok(Some(Placed { token, is_certain: true, to }));
        }
        let Some(addr_key) = addr_key else { return Ok(None) };
        let mailed = webhook::mailed(conn.again(), addr_key).await?;
        let id = event.message.as_deref().map(|id| id.trim_matches(['<', '>'])).filter(|id| id.len() >= ID_BYTES_MIN);
        let named =
            id.and_then(|id| mailed.iter().find(|one| one.remote_id.as_ref().is_some_and(|of| of.contains(id))));
        let Some(mail) = named.or(mailed.first()) else { return Ok(None) };
        let Ok(run) = u32::try_from(mail.run_id) else { return Ok(None) };
        let token = Token::of(run, mail.id);
        let to = touch::addressee(conn, run, mail.id).await?;
        Ok(to.map(|to| Placed { token, is_certain: named.is_some(), to }))
    }
}

/// At least one batch: a delivery without events may still be one that comes once.
fn batches(events: &[Event]) -> impl Iterator<Item = &[Event]> {
    let first = events.len().min(BATCH_MAX);
    std::iter::once(&events[..first]).chain(events[first..].chunks(BATCH_MAX))
}

async fn follow(
    conn: Conn<'_>,
    recorder: &Recorder<'_>,
    event: &Event,
    placed: &Placed,
    rules: &Rules,
) -> Result<Effect, StoreError> {
    let Placed { token, is_certain, to } = placed;
    match event.what {
        What::Bounced | What::Rejected | What::Failed => {
            let judged = event.judge(rules);
            if *is_certain {
                return recorder.bounce(conn, token, to, &event.recipient, &judged).await;
            }
            let is_suppressed = recorder.strike(conn, to.addr_key, &judged).await?;
            Ok(if is_suppressed { Effect::Suppressed } else { Effect::None })
        }
        What::Complained => recorder.complaint(conn, token, to).await,
        What::Unsubscribed if *is_certain => recorder.stop(conn, token, to).await,
        What::Unsubscribed => recorder.stop_all(conn, token, to).await,
        // A wish for mail has to come from the reader, by our own pages.
        What::Subscribed | What::AutoReply => Ok(Effect::None),
        _ => Ok(Effect::Kept),
    }
}

/// Keeps an event that could not be placed or is of no known kind, for a person.
async fn keep(conn: Conn<'_>, hook: &str, event: &Event, at_ms: i64) -> Result<(), StoreError> {
    let class = event.class.map_or("", |class| class.as_str());
    let summary = serde_json::json!([{ "address": event.recipient.address, "class": class }]).to_string();
    let subject = format!("{} told by {hook}", event.what);
    let raw = event.raw.as_bytes();
    let stray = stray::Stray {
        digest: digest63(raw),
        at_ms,
        source: hook,
        kind: "webhook",
        subject: &subject,
        summary: &summary,
        raw,
    };
    stray::keep(conn, &stray).await
}
