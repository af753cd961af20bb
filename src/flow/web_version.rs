//! A sent mail shown again in a browser, from the small record of what it showed.
//!
//! It is rendered from the version, the products and the balance that the record names, under the time at which the
//! mail was armed. Its links are the mail's own: whoever holds the link to the web version holds the mail.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::base::token::Keyring;
use crate::domain::catalog::Catalog;
use crate::domain::recommend::History;
use crate::render::{Compiled, Recipient, RenderError, Sender, Stationery, compile, render_page};
use crate::store::timeline::ShownMail;
use crate::store::{Conn, Db, StoreError, catalog, history, member, template, timeline};

/// Template versions kept compiled.
const VERSIONS_MAX: usize = 32;

/// Why a mail could not be shown again.
#[derive(Debug, thiserror::Error)]
pub enum WebVersionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("template version {0} does not compile any more")]
    Template(i64),
    #[error("sender {0:?} is no longer configured")]
    Sender(String),
}

/// Shows sent mails again.
pub struct WebVersions {
    db: Db,
    keys: Arc<Keyring>,
    senders: Vec<Sender>,
    public_url: String,
    compiled: Mutex<HashMap<i64, Arc<Compiled>>>,
    catalog: Mutex<Option<(catalog::Version, Catalog)>>,
}

impl WebVersions {
    pub fn new(db: Db, keys: Arc<Keyring>, senders: Vec<Sender>, public_url: String) -> WebVersions {
        let (compiled, catalog) = (Mutex::default(), Mutex::default());
        WebVersions { db, keys, senders, public_url, compiled, catalog }
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
        let history = history::load(reader.conn(), &[member.id], now_ms).await?.remove(&member.id).unwrap_or_default();
        let compiled = self.compiled(reader.conn(), mail.shown.template_version).await?;
        let catalog = self.catalog(reader.conn(), now_ms).await?;
        drop(reader);
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

    async fn compiled(&self, conn: Conn<'_>, version: i64) -> Result<Arc<Compiled>, WebVersionError> {
        let mut kept = self.compiled.lock().await;
        if let Some(compiled) = kept.get(&version) {
            return Ok(compiled.clone());
        }
        let gone = || WebVersionError::Template(version);
        let source = template::source(conn, version).await?.ok_or_else(gone)?;
        let compiled = Arc::new(compile(&source).map_err(|_| gone())?.of_version(version));
        if kept.len() >= VERSIONS_MAX {
            kept.clear();
        }
        kept.insert(version, compiled.clone());
        Ok(compiled)
    }

    /// The catalogue, loaded again only when it has changed.
    async fn catalog(&self, mut conn: Conn<'_>, now_ms: i64) -> Result<Catalog, WebVersionError> {
        let mut kept = self.catalog.lock().await;
        let version = catalog::version(conn.again(), now_ms).await?;
        match &*kept {
            Some((known, catalog)) if *known == version => Ok(catalog.clone()),
            _ => {
                let fresh = catalog::load(conn, now_ms).await?;
                *kept = Some((version, fresh.clone()));
                Ok(fresh)
            }
        }
    }
}
