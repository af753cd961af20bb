//! What came back, and what follows: a bounce settles its message and counts against its address, a complaint or a wish
//! for no more mail stops it. Only our own token proves what a mail is about: anybody can write a bounce.

mod effect;
mod told;

use std::sync::Arc;

use aws_lc_rs::digest;
use serde::Serialize;
use tokio::sync::watch;

use crate::base::token::{Keyring, Token};
use crate::domain::bounce::{Judged, Rules};
use crate::inbound::{Action, Kind, Reader, Recipient, Returned, tokens};
use crate::store::touch::{self, Addressee};
use crate::store::{Conn, Db, Lane, StoreError, stray};
use effect::Recorder;
pub use told::{Tally, Telling, Tellings};

crate::text_enum! {
    /// What became of a returned mail.
    pub enum Effect {
        /// Its message is bounced now.
        Bounced = "bounced",
        /// Its message is bounced, and its address is on the suppression list.
        Suppressed = "suppressed",
        /// Its reader complained and gets no more mail.
        Complained = "complained",
        /// Its reader wants no more of its topic.
        Unsubscribed = "unsubscribed",
        /// It is ours and changes nothing: it was late, repeated, a delay, somebody away.
        None = "none",
        /// It is about no message of ours as far as can be told, and kept for a person to look at.
        Kept = "kept",
    }
}

/// What a recipient of a returned mail was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    pub address: String,
    pub class: &'static str,
    /// The enhanced status code.
    pub status: Option<String>,
    pub code: Option<u16>,
    pub action: Action,
    pub dead: bool,
    pub remove: bool,
}

/// What a returned mail was taken for, and what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    pub kind: Kind,
    pub recipients: Vec<Told>,
    /// The type of a complaint.
    pub feedback: Option<String>,
    /// The message it is about, where our token proves one.
    pub ours: Option<i64>,
    pub effect: Effect,
}

/// Where returned mails are taken in; cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub db: Db,
    pub keys: Arc<Keyring>,
    pub reader: Arc<Reader>,
    pub rules: watch::Receiver<Arc<Rules>>,
}

impl Desk {
    /// Takes a mail in: reads it, and records what follows. `recipients` is the envelope's, `source` the way it came.
    ///
    /// # Errors
    /// When the database does not take it; then nothing was recorded and it may be handed in again.
    ///
    /// # Crash
    /// Before the return everything that follows is recorded or nothing; handing it in again changes nothing more.
    pub async fn take_in(
        &self,
        raw: &[u8],
        recipients: &[String],
        source: &str,
        now_ms: i64,
    ) -> Result<Taken, StoreError> {
        let rules = self.rules.borrow().clone();
        let read = self.reader.read(raw);
        let found = tokens::find(raw, recipients, &self.keys);
        let told = read.recipients.iter().map(|one| told(one, &one.judge(&rules))).collect();
        let mut taken = Taken {
            kind: read.kind,
            recipients: told,
            feedback: read.feedback.clone(),
            ours: None,
            effect: Effect::None,
        };
        let mut tx = self.db.begin(Lane::Event).await?;
        let come = Come { read: &read, rules: &rules, source, now_ms };
        let is_bounce = matches!(read.kind, Kind::Dsn | Kind::FreeText);
        let effect = match (found.unsubscribe, found.message) {
            (Some(token), _) if !is_bounce && read.kind != Kind::AutoReply || is_opt_out(&read) => {
                taken.ours = Some(token.message);
                come.unsubscribe(tx.conn(), &token).await?
            }
            (_, Some(token)) => {
                taken.ours = Some(token.message);
                come.follow(tx.conn(), &token).await?
            }
            _ => None,
        };
        match effect {
            Some(effect) => taken.effect = effect,
            // People who are away are many and tell nothing.
            None if read.kind == Kind::AutoReply => {}
            None => {
                (taken.ours, taken.effect) = (None, Effect::Kept);
                keep(tx.conn(), raw, &read, &taken, source, now_ms).await?;
            }
        }
        tx.commit().await?;
        Ok(taken)
    }
}

fn is_opt_out(read: &Returned) -> bool {
    read.feedback.as_deref().is_some_and(|feedback| feedback.starts_with("opt-out"))
}

fn told(one: &Recipient, judged: &Judged) -> Told {
    Told {
        address: one.address.clone(),
        class: judged.class.as_str(),
        status: one.enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}")),
        code: one.code,
        action: one.action,
        dead: judged.dead,
        remove: judged.remove,
    }
}

/// One mail on its way through a transaction.
struct Come<'c> {
    read: &'c Returned,
    rules: &'c Rules,
    source: &'c str,
    now_ms: i64,
}

impl Come<'_> {
    /// What follows for the message of a token; `None`: there is no such message, or nothing was understood.
    async fn follow(&self, mut conn: Conn<'_>, token: &Token) -> Result<Option<Effect>, StoreError> {
        let Some(addressee) = touch::addressee(conn.again(), token.run, token.message).await? else { return Ok(None) };
        match self.read.kind {
            Kind::Dsn | Kind::FreeText => self.bounce(conn, token, &addressee).await.map(Some),
            Kind::Arf if is_opt_out(self.read) => self.stop(conn, token, &addressee).await.map(Some),
            Kind::Arf => self.complaint(conn, token, &addressee).await.map(Some),
            Kind::AutoReply => Ok(Some(Effect::None)),
            Kind::Unknown => Ok(None),
        }
    }

    async fn bounce(&self, conn: Conn<'_>, token: &Token, to: &Addressee) -> Result<Effect, StoreError> {
        // A mail of ours has one recipient; what a forwarder reports of others is about it too.
        let failed = self.read.recipients.iter().find(|one| one.action == Action::Failed);
        let Some(one) = failed else { return Ok(Effect::None) };
        self.recorder().bounce(conn, token, to, one, &one.judge(self.rules)).await
    }

    async fn complaint(&self, conn: Conn<'_>, token: &Token, to: &Addressee) -> Result<Effect, StoreError> {
        // "Not spam" takes a complaint back, and a failed authentication is none.
        if self.read.feedback.as_deref().is_some_and(|kind| matches!(kind, "not-spam" | "auth-failure")) {
            return Ok(Effect::None);
        }
        self.recorder().complaint(conn, token, to).await
    }

    async fn unsubscribe(&self, mut conn: Conn<'_>, token: &Token) -> Result<Option<Effect>, StoreError> {
        match touch::addressee(conn.again(), token.run, token.message).await? {
            Some(addressee) => self.stop(conn, token, &addressee).await.map(Some),
            None => Ok(None),
        }
    }

    /// Stops mail on the message's topic, as its page would.
    async fn stop(&self, conn: Conn<'_>, token: &Token, to: &Addressee) -> Result<Effect, StoreError> {
        self.recorder().stop(conn, token, to).await
    }

    fn recorder(&self) -> Recorder<'_> {
        let kind = self.read.feedback.as_deref().unwrap_or("mail");
        Recorder { source: self.source, kind, way: "mailto", now_ms: self.now_ms }
    }
}

/// Keeps a mail that could not be placed.
async fn keep(
    conn: Conn<'_>,
    raw: &[u8],
    read: &Returned,
    taken: &Taken,
    source: &str,
    at_ms: i64,
) -> Result<(), StoreError> {
    let summary = serde_json::to_string(&taken.recipients).unwrap_or_default();
    let stray = stray::Stray {
        digest: digest63(raw),
        at_ms,
        source,
        kind: read.kind.as_str(),
        subject: &read.subject,
        summary: &summary,
        raw,
    };
    stray::keep(conn, &stray).await
}

/// 63 bits of SHA-256.
fn digest63(bytes: &[u8]) -> i64 {
    let hash = digest::digest(&digest::SHA256, bytes);
    let word: [u8; 8] = hash.as_ref()[..8].try_into().expect("eight bytes of a hash");
    i64::from_be_bytes(word) & i64::MAX
}
