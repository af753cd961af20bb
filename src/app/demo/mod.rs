//! `indicia demo`: the whole way on one machine, with a sample shop. The daemon is the one of `serve`; only its
//! configuration, its members and its first campaign are made here.

pub mod pages;
pub mod shop;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::cli::{Failure, Session};
use super::config::Config;
use super::{launch, routes};
use crate::base::World;
use crate::flow::intake::Kind;
use crate::flow::publish::{check_folder, publish};
use crate::store::run;
use shop::Shop;

/// The starter mails, embedded.
#[derive(rust_embed::RustEmbed)]
#[folder = "templates/email"]
struct Mails;

/// The first campaign's name.
pub const CAMPAIGN: &str = "member-day";

/// The configuration of a demonstration: everything under one folder, no route, so that nothing leaves the machine.
const CONFIG: &str = r#"
[database]
url = "sqlite://indicia.db"

[mailbox]
folder = "mailbox"

[[sender]]
name = "offers"
from = "Aurelle <offers@news.aurelle.example>"
reply_to = "care@aurelle.example"
bounce_domain = "bounce.news.aurelle.example"
postal_address = "Aurelle Home Appliances, 26 Harbour Road, Lindau"
"#;

/// The configuration of a demonstration in `folder`, overridden by the environment like any other.
///
/// # Errors
/// A folder that cannot be made; what the environment says and is wrong.
pub fn config(folder: &Path, env: &[(String, String)]) -> Result<Config, Failure> {
    let failed = |error| Failure::new(format!("could not make the folder {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    let mut config = Config::parse(CONFIG, None, folder, env)?.0;
    if !config.routes.is_empty() {
        tracing::warn!("a demonstration sends to its own mailbox alone: the configured routes are left out");
        config.routes.clear();
    }
    Ok(config)
}

/// Fills a running daemon: the shop, the starter mail, the member-day campaign. What a former run did is not done
/// again.
///
/// # Errors
/// The first step's that failed.
///
/// # Crash
/// Whatever is there stays; the next start does the rest.
pub async fn fill(session: &Session, base_url: &str) -> Result<(), Failure> {
    let folder = session.config.folder.clone();
    let mut reader = session.db.reader().await?;
    if run::by_campaign(reader.conn(), CAMPAIGN).await?.is_some() {
        session.say("The shop and its campaign are there already; delete the folder for a fresh one.");
        return Ok(());
    }
    drop(reader);
    session.say(format_args!("Drawing a sample shop of {} members …", shop::MEMBERS));
    let files = folder.join("shop");
    let (drawn, into) = (Shop::new(session.now_ms(), base_url), files.clone());
    tokio::task::spawn_blocking(move || drawn.write(&into)).await??;
    import(session, &files).await?;
    let templates = unpack(&folder.join("templates"))?;
    let program = std::env::current_exe()?;
    let checked = tokio::task::spawn_blocking(move || check_folder(&templates, &program)).await??;
    publish(&session.db, &checked, session.now_ms()).await?;
    start(session, &folder).await
}

async fn import(session: &Session, files: &Path) -> Result<(), Failure> {
    let providers = Arc::new(routes::provider_table(&session.config)?);
    let bar = ProgressBar::new(100);
    bar.set_style(
        ProgressStyle::with_template("{msg:10} [{bar:40}] {percent}%").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let told = bar.clone();
    let tell = move |kind: Kind, so_far: crate::flow::intake::Progress| {
        told.set_message(kind.to_string());
        told.set_length(so_far.file_bytes.max(1));
        told.set_position(so_far.read_bytes);
    };
    let world: &World = &session.world;
    let summaries = shop::import(&session.db, world, providers, files, &tell).await?;
    bar.finish_and_clear();
    for (kind, summary) in summaries {
        session.say(format_args!("  {kind}: {} rows imported, {} rejected", summary.inserted, summary.rejected));
    }
    Ok(())
}

/// Writes the embedded starter mails out, where a marketer can change and push them again.
fn unpack(folder: &Path) -> Result<PathBuf, Failure> {
    for name in Mails::iter() {
        let path = folder.join(name.as_ref());
        if let (Some(parent), Some(file)) = (path.parent(), Mails::get(&name)) {
            std::fs::create_dir_all(parent)?;
            std::fs::write(&path, file.data)?;
        }
    }
    Ok(folder.to_owned())
}

async fn start(session: &Session, folder: &Path) -> Result<(), Failure> {
    let file = folder.join("member-day.toml");
    std::fs::write(
        &file,
        format!(
            "name = \"{CAMPAIGN}\"\ntemplate = \"member-day\"\nsegment = 'reachable() and points >= 100'\ntopic = \"offers\"\nholdout = 0.05\n"
        ),
    )?;
    let prepared = launch::prepare(session, &file).await?;
    launch::must_render(&launch::rehearse(session, &prepared.doc).await?)?;
    launch::approve(session, &prepared).await?;
    Ok(())
}
