//! A sent mail shown again in a browser, from the small record of what it showed.
//!
//! It is rendered from the version, the products and the balance that the record names, under the time at which the
//! mail was armed. Its links are the mail's own: whoever holds the link to the web version holds the mail.

use std::sync::Arc;

use super::editions::{EditionError, Editions};
use crate::base::token::Keyring;
use crate::domain::recommend::History;
use crate::render::{Recipient, RenderError, Sender, Stationery, render_page};
use crate::store::timeline::ShownMail;
use crate::store::{Db, StoreError, history, member, timeline};

/// Why a mail could not be shown again.
#[derive(Debug, thiserror::Error)]
pub enum WebVersionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Edition(#[from] EditionError),
    #[error("sender {0:?} is no longer configured")]
    Sender(String),
}

/// Shows sent mails again.
pub struct WebVersions {
    db: Db,
    keys: Arc<Keyring>,
    senders: Vec<Sender>,
    public_url: String,
    editions: Editions,
}

impl WebVersions {
    pub fn new(
        db: Db,
        editions: Editions,
        keys: Arc<Keyring>,
        senders: Vec<Sender>,
        public_url: String,
    ) -> WebVersions {
        WebVersions { db, editions, keys, senders, public_url }
    }

    /// The HTML of a sent mail, or `None` when it is no more: never armed, its member erased, its record dropped.
    ///
    /// # Errors
    /// The database, or a template or sender that has changed so that it does not render.
    pub async fn html(&self, run: u32, message: i64, now_ms: i64) -> Result<Option<String>, WebVersionError> {
        let mut reader = self.db.reader().await?;
        let Some(mail) = timeline::shown_mail(reader.conn(), run, message).await? else { return Ok(None) };
        let found = member::profiles(reader.conn(), &[mail.member_id]).await?.remove(&mail.member_id);
        let Some(mut member) = found else { return Ok(None) };
        member.points = mail.shown.balance;
        drop(reader);
        let history = history::load(&self.db, &[member.id], now_ms).await?.remove(&member.id).unwrap_or_default();
        let compiled = self.editions.version(mail.shown.template_version).await?;
        let catalog = self.editions.catalog(now_ms).await?;
        let stationery = self.stationery(run, &mail)?;
        let keys = self.keys.clone();
        let render = move || {
            let history: &History = &history;
            let recipient = Recipient { message_id: message, member: &member, history };
            render_page(&compiled, &stationery, &recipient, &catalog, &keys, mail.armed_at_ms, Some(&mail.shown))
        };
        let page = tokio::task::spawn_blocking(render).await.map_err(|error| RenderError::Other(error.to_string()))?;
        Ok(Some(page?.html))
    }

    fn stationery(&self, run: u32, mail: &ShownMail) -> Result<Stationery, WebVersionError> {
        let doc = &mail.doc;
        let sender = self.senders.iter().find(|sender| sender.key == doc.sender);
        let sender = sender.ok_or_else(|| WebVersionError::Sender(doc.sender.clone()))?;
        Ok(Stationery::new(run, &doc.campaign, &doc.topic, doc.class, sender.clone(), &self.public_url))
    }
}
