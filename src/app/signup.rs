//! The sign-up form as the configuration has it, and the mail that asks back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cli::Failure;
use super::config::Config;
use super::routes;
use super::workers::Worker;
use crate::base::World;
use crate::domain::address::AddrSecret;
use crate::flow::signup::{self, Terms};
use crate::render::{check, from_files};
use crate::store::{Db, Lane, StoreError, template};
use crate::web::Lang;
use crate::web::public::{SignupForm, Topic};

/// The starter mail, embedded.
#[derive(rust_embed::RustEmbed)]
#[folder = "templates/email/confirm-signup"]
struct Letter;

/// The name of the starter mail.
const LETTER: &str = "confirm-signup";

/// The form, with its mail published; `None` where the configuration offers no topics.
///
/// # Errors
/// A table of providers that cannot be read, or the database's.
pub async fn form(config: &Config, secret: AddrSecret, db: &Db, now_ms: i64) -> Result<Option<SignupForm>, Failure> {
    let (signup, sender) = (&config.signup, config.signup_sender());
    let Some(sender) = sender.filter(|_| !signup.topics.is_empty()) else { return Ok(None) };
    publish_letter(config, db, now_ms).await?;
    let topics = signup.topics.iter().map(|topic| Topic {
        name: topic.name.clone(),
        called: [(Lang::En, topic.en.clone()), (Lang::Zh, topic.zh.clone()), (Lang::Ru, topic.ru.clone())],
    });
    let terms = Terms {
        sender: sender.name.clone(),
        template: signup.template.clone(),
        valid_ms: signup.valid_ms,
        secret,
        providers: Arc::new(routes::provider_table(config)?),
    };
    let shown = if sender.display.is_empty() { &sender.from } else { &sender.display };
    Ok(Some(SignupForm {
        terms,
        sender: shown.clone(),
        topics: topics.collect(),
        privacy_url: signup.privacy_url.clone(),
    }))
}

/// Publishes the starter mail where the form needs it and no template of its name was ever pushed.
///
/// # Errors
/// The database's.
///
/// # Crash
/// The version, or nothing.
async fn publish_letter(config: &Config, db: &Db, now_ms: i64) -> Result<(), Failure> {
    if config.signup.template != LETTER {
        return Ok(());
    }
    let mut tx = db.begin(Lane::Bulk).await?;
    if template::latest(tx.conn(), LETTER).await?.is_some() {
        return Ok(());
    }
    let files: BTreeMap<String, String> = Letter::iter()
        .filter_map(|name| Some((name.to_string(), String::from_utf8(Letter::get(&name)?.data.into_owned()).ok()?)))
        .collect();
    let broken = |faults: Vec<crate::render::Fault>| {
        Failure::new(format!(
            "the starter mail {LETTER} has faults: {}",
            faults.first().map(ToString::to_string).unwrap_or_default()
        ))
    };
    let compiled = check(&from_files(LETTER, &files).map_err(broken)?).map_err(broken)?;
    template::publish(tx.conn(), &compiled.source, &compiled.links, now_ms).await?;
    tx.commit().await?;
    tracing::info!("published the starter mail {LETTER:?}, which asks whether a sign-up was meant");
    Ok(())
}

/// Drops wishes that nobody confirmed.
pub struct Lapse {
    pub db: Db,
    pub world: World,
}

impl Worker for Lapse {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        signup::lapse(&self.db, self.world.now_ms()).await
    }
}
