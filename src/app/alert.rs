//! Telling a person that the house stopped something by itself: by mail, straight over a route, and by a signed `POST`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::carry::carry;
use super::config::Config;
use super::library::Shelf;
use super::workers::Worker;
use crate::base::World;
use crate::base::text::clean;
use crate::base::token::Keyring;
use crate::domain::alert::{Way, due_after};
use crate::domain::campaign::MailClass;
use crate::domain::catalog::Catalog;
use crate::domain::member::Member;
use crate::domain::recommend::History;
use crate::domain::template::{Part, Source};
use crate::flow::handover::{ContextError, RouteLink};
use crate::render::{Mail, Recipient, compile, render_mail};
use crate::smtp::{Timeouts, TlsConfigs};
use crate::store::alert::{self, Due};
use crate::store::{Db, Lane, StoreError};
use crate::web::fetch::{self, Address, FetchError};

/// How long one daemon has to tell before another may, milliseconds.
const LEASE_MS: i64 = 120_000;
/// Longest wait for each step of the mail's conversation.
const MAIL_PATIENCE: Duration = Duration::from_secs(20);
/// Shortest secret that is taken, bytes.
const SECRET_BYTES_MIN: usize = 12;
/// Longest reason of a failure kept, bytes.
const SAID_BYTES_MAX: usize = 500;
/// Carries `t=SECONDS,v1=HEX`: HMAC-SHA-256 under the secret over the seconds, a dot and the body.
const SIGNATURE: HeaderName = HeaderName::from_static("x-indicia-signature");

/// Where a `POST` goes and what signs it.
pub struct Hook {
    pub address: Address,
    pub secret: Option<hmac::Key>,
}

/// Tells what is due.
pub struct Tell {
    pub db: Db,
    pub world: World,
    pub shelf: Shelf,
    pub keyring: Arc<Keyring>,
    /// The `[[sender]]` that mails come from.
    pub sender: Option<String>,
    pub routes: Vec<Arc<RouteLink>>,
    pub tls: Arc<TlsConfigs>,
    pub hook: Option<Hook>,
}

/// Whom the configuration wants told.
pub fn ways(config: &Config) -> Vec<(Way, String)> {
    let mails = config.alert.mail.iter().map(|address| (Way::Mail, address.clone()));
    mails.chain(config.alert.webhook_url.iter().map(|_| (Way::Webhook, String::new()))).collect()
}

/// What keeps the webhook from being told. Never quotes the secret.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    #[error("[alert] webhook_url: {0}")]
    Address(#[from] FetchError),
    #[error("could not read {} ([alert] webhook_secret_file): {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error(
        "{} ([alert] webhook_secret_file) holds fewer than {SECRET_BYTES_MIN} characters; make one with `openssl rand -hex 32`",
        file.display()
    )]
    Short { file: PathBuf },
}

/// Where the configuration wants a `POST`, with the secret read.
///
/// # Errors
/// A secret that cannot be read, or is too short to be one.
pub fn hook(config: &Config) -> Result<Option<Hook>, AlertError> {
    let Some(url) = &config.alert.webhook_url else { return Ok(None) };
    let address = Address::parse(url)?;
    let Some(file) = &config.alert.webhook_secret_file else { return Ok(Some(Hook { address, secret: None })) };
    let text = std::fs::read_to_string(file).map_err(|source| AlertError::Read { file: file.clone(), source })?;
    let secret = text.lines().next().unwrap_or_default().trim();
    if secret.len() < SECRET_BYTES_MIN {
        return Err(AlertError::Short { file: file.clone() });
    }
    Ok(Some(Hook { address, secret: Some(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())) }))
}

impl Worker for Tell {
    type Error = StoreError;

    /// # Crash
    /// What was told and not noted is told once more, under the same Message-ID or the same id.
    async fn tick(&mut self) -> Result<bool, StoreError> {
        let now_ms = self.world.now_ms();
        // The writer is others': it is asked for only when there is something to write.
        let mut reader = self.db.reader().await?;
        if !alert::is_due(reader.conn(), now_ms).await? {
            return Ok(false);
        }
        drop(reader);
        let mut tx = self.db.begin(Lane::Bulk).await?;
        let Some(due) = alert::take(tx.conn(), now_ms, LEASE_MS).await? else { return Ok(false) };
        tx.commit().await?;
        let told = match due.way.parse() {
            Ok(Way::Mail) => self.mail(&due).await,
            Ok(Way::Webhook) => self.post(&due).await,
            Err(unknown) => Err(format!("{unknown}")),
        };
        let now_ms = self.world.now_ms();
        let mut tx = self.db.begin(Lane::Bulk).await?;
        match told {
            Ok(()) => alert::told(tx.conn(), due.id, now_ms).await?,
            Err(why) => {
                let again = due_after(due.tries, now_ms);
                tracing::warn!(alert = due.id, way = %due.way, given_up = again.is_none(), "a person was not told: {why}");
                alert::failed(tx.conn(), due.id, again, &clean(&why, SAID_BYTES_MAX)).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }
}

impl Tell {
    /// What tells those whom the configuration names; `None`: nobody is to be told.
    ///
    /// # Errors
    /// As [`hook`].
    pub fn of(
        config: &Config,
        (db, world, keyring): (Db, World, Arc<Keyring>),
        shelf: &Shelf,
        routes: &[Arc<RouteLink>],
    ) -> Result<Option<Tell>, AlertError> {
        if ways(config).is_empty() {
            return Ok(None);
        }
        let (sender, shelf, routes) = (config.alert_sender(), shelf.clone(), routes.to_vec());
        let (sender, hook) = (sender.map(|sender| sender.name.clone()), hook(config)?);
        Ok(Some(Tell { db, world, shelf, keyring, sender, routes, tls: Arc::new(TlsConfigs::native().0), hook }))
    }

    /// By mail, over the first route that takes it: not through the queue, which may stand still because of this.
    async fn mail(&self, due: &Due) -> Result<(), String> {
        let (unsigned, signed) = self.letter(due).await?;
        let mut why = "there is no route".to_owned();
        for link in &self.routes {
            let mut route = link.route.clone();
            route.timeouts = Timeouts::all(MAIL_PATIENCE);
            match carry(&route, &self.tls, if link.signs { &signed } else { &unsigned }).await {
                Ok(_) => return Ok(()),
                Err(error) => why = format!("{}: {error}", route.name),
            }
        }
        Err(why)
    }

    /// The mail, plain and signed.
    async fn letter(&self, due: &Due) -> Result<(Mail, Mail), String> {
        let sender = self.sender.as_deref().ok_or("there is no [[sender]]")?;
        let said = |error: ContextError| error.to_string();
        let stationery = self.shelf.stationery(0, "alert", "", MailClass::Transactional, sender).map_err(said)?;
        let compiled =
            compile(&source()).map_err(|faults| faults.iter().map(ToString::to_string).collect::<String>())?;
        let mut member = Member { email: due.target.clone(), locale: "en".to_owned(), ..Member::default() };
        member.attributes.insert("subject".to_owned(), due.subject.clone());
        member.attributes.insert("body".to_owned(), due.body.clone());
        // Nobody is watched here.
        (member.wishes.track_opens, member.wishes.track_clicks) = (false, false);
        let recipient = Recipient { message_id: due.id, member: &member, history: &History::default() };
        let catalog = Catalog::new(Vec::new(), &[]);
        let mail = render_mail(&compiled, &stationery, &recipient, &catalog, &self.keyring, due.at_ms, due.at_ms);
        let unsigned = mail.map_err(|error| error.to_string())?;
        let (mut signed, now_ms) = (unsigned.clone(), self.world.now_ms());
        let signing = tokio::task::spawn_blocking(move || {
            stationery.signers.sign(&mut signed.bytes, now_ms).map(|()| signed).map_err(|error| error.to_string())
        });
        Ok((unsigned, signing.await.map_err(|error| error.to_string())??))
    }

    async fn post(&self, due: &Due) -> Result<(), String> {
        let hook = self.hook.as_ref().ok_or("[alert] webhook_url is no longer configured")?;
        let body = serde_json::json!({
            "id": due.id, "kind": due.kind, "at_ms": due.at_ms, "about": due.about,
            "subject": due.subject, "text": due.body,
        })
        .to_string();
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        if let Some(secret) = &hook.secret {
            let signature = signature(secret, self.world.now_ms() / 1000, &body);
            headers.push((SIGNATURE, HeaderValue::try_from(signature).map_err(|error| error.to_string())?));
        }
        let answer = fetch::post(&hook.address, &self.tls.shared(), &headers, body.into()).await;
        match answer.map_err(|error| error.to_string())?.status {
            status if status.is_success() => Ok(()),
            status => Err(format!("the webhook answered {status}")),
        }
    }
}

fn signature(secret: &hmac::Key, at_s: i64, body: &str) -> String {
    let tag = hmac::sign(secret, format!("{at_s}.{body}").as_bytes());
    format!("t={at_s},v1={}", HEXLOWER.encode(tag.as_ref()))
}

/// The mail that tells.
fn source() -> Source {
    let html = "<html><body style=\"font-family:sans-serif\"><h1 style=\"font-size:20px\">{{ attr.subject }}</h1>\
                <p>{{ attr.body }}</p><p style=\"color:#666\">Told by indicia, because [alert] mail names this address.\
                </p></body></html>";
    let part = Part {
        locale: "en".into(),
        subject: "{{ attr.subject }}".into(),
        preheader: "Something was stopped".into(),
        html: html.into(),
        ..Part::default()
    };
    Source {
        name: "alert".into(),
        class: MailClass::Transactional,
        topic: String::new(),
        default_locale: "en".into(),
        link_hosts: Vec::new(),
        parts: vec![part],
    }
}
