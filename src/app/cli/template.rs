//! `indicia template`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Exit, Failure, Fix, Session};
use crate::app::category_rules::category_rules;
use crate::domain::address::Email;
use crate::domain::member::Member;
use crate::domain::recommend::History;
use crate::flow::publish::{Checked, PublishError, check_folder, publish};
use crate::render::{
    Compiled, FIELDS, FILTERS, FUNCTIONS, Fault, Page, Recipient, Stationery, compile, render_mail, render_page,
};
use crate::store::template::{self, Published};
use crate::store::{catalog, history, member, setting};

/// Templates: list, check, render as a member, publish
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the latest version of every template
    List,
    /// Judge a template folder, or a folder of them, without publishing
    Check {
        /// The folder with template.toml, or the folder that holds such folders
        #[arg(required_unless_present = "fields")]
        dir: Option<PathBuf>,
        /// Print every field, function and filter that a template can use
        #[arg(long)]
        fields: bool,
    },
    /// Render the latest version as a member would get it now
    Render(Render),
    /// Publish a template folder, or a folder of them: new versions where something changed, or nothing at all
    Push {
        /// The folder with template.toml, or the folder that holds such folders
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub struct Render {
    name: String,
    /// As whom
    #[arg(long, value_name = "EMAIL")]
    member: String,
    /// As which [[sender]] [default: the first]
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// The text part
    #[arg(long, group = "what")]
    text: bool,
    /// The HTML part (the default)
    #[arg(long, group = "what")]
    html: bool,
    /// The whole mail as it goes over the wire
    #[arg(long, group = "what")]
    eml: bool,
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    match command {
        Command::List => list(session).await,
        Command::Check { fields: true, .. } => fields(session),
        Command::Check { dir, .. } => check(session, &dir.unwrap_or_default()),
        Command::Render(command) => render(session, command).await,
        Command::Push { dir } => push(session, &dir).await,
    }
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    for version in template::list(reader.conn()).await? {
        let words = format!("{} v{} {} {}", version.name, version.version, version.class, version.topic);
        session.show(&version, words)?;
    }
    Ok(Exit::Done)
}

fn fields(session: &Session) -> Result<Exit, Failure> {
    if session.json {
        let list = |list: &[(&str, &str)]| -> Vec<_> {
            list.iter().map(|(name, what)| json!({ "name": name, "what": what })).collect()
        };
        let all = json!({ "fields": list(FIELDS), "functions": list(FUNCTIONS), "filters": list(FILTERS) });
        session.print(&all)?;
        return Ok(Exit::Done);
    }
    let mut words = String::new();
    for (title, list) in [("Fields", FIELDS), ("Functions", FUNCTIONS), ("Filters", FILTERS)] {
        let _ = writeln!(words, "{title}");
        for (name, what) in list {
            let _ = writeln!(words, "  {name:<24}  {what}");
        }
    }
    session.write(&words)?;
    Ok(Exit::Done)
}

fn check(session: &Session, dir: &Path) -> Result<Exit, Failure> {
    match check_folder(dir, &std::env::current_exe()?) {
        Ok(checked) => {
            let warnings = tell_warnings(session, &checked);
            let names: Vec<&str> = checked.iter().map(|one| one.compiled.source.name.as_str()).collect();
            let value = json!({ "ok": true, "templates": names, "faults": [], "warnings": warnings });
            session.show(&value, format!("good: {}", names.join(", ")))?;
            Ok(Exit::Done)
        }
        Err(error) => refuse(session, error),
    }
}

async fn push(session: &Session, dir: &Path) -> Result<Exit, Failure> {
    let checked = match check_folder(dir, &std::env::current_exe()?) {
        Ok(checked) => checked,
        Err(error) => return refuse(session, error),
    };
    tell_warnings(session, &checked);
    for published in publish(&session.db, &checked, session.now_ms()).await? {
        let (version, is_new) = match &published {
            Published::New(version) => (version, true),
            Published::Unchanged(version) => (version, false),
        };
        let value = json!({ "name": version.name, "version": version.version, "id": version.id, "published": is_new });
        let what = if is_new { "published" } else { "unchanged" };
        session.show(&value, format!("{} v{} {what}", version.name, version.version))?;
    }
    Ok(Exit::Done)
}

/// Every fault on stderr, one a line; nothing was changed.
fn refuse(session: &Session, error: PublishError) -> Result<Exit, Failure> {
    let PublishError::Faults(faults) = error else { return Err(error.into()) };
    for fault in &faults {
        session.say(fault);
    }
    if session.json {
        session.print(&json!({ "ok": false, "faults": faults }))?;
    }
    session.say(format!("{} faults; nothing was changed", faults.len()));
    Ok(Exit::Failed)
}

fn tell_warnings<'c>(session: &Session, checked: &'c [Checked]) -> Vec<&'c Fault> {
    let warnings: Vec<&Fault> = checked.iter().flat_map(|one| &one.warnings).collect();
    warnings.iter().for_each(|warning| session.say(format!("warning: {warning}")));
    warnings
}

async fn render(session: &Session, command: Render) -> Result<Exit, Failure> {
    let compiled = latest(session, &command.name).await?;
    let now_ms = session.now_ms();
    let (member, history) = recipient(session, &command.member, now_ms).await?;
    let mut reader = session.db.reader().await?;
    let catalog = catalog::load(reader.conn(), &category_rules(&session.config)?, now_ms).await?;
    let stationery = stationery(session, &compiled, command.sender.as_deref())?;
    let keyring = session.keyring()?;
    let to = Recipient { message_id: 0, member: &member, history: &history };
    if command.eml {
        let mail = render_mail(&compiled, &stationery, &to, &catalog, &keyring, now_ms, now_ms)?;
        session.write(&String::from_utf8_lossy(&mail.bytes))?;
        return Ok(Exit::Done);
    }
    let page = render_page(&compiled, &stationery, &to, &catalog, &keyring, now_ms, None)?;
    let Page { locale, subject, preheader, html, text, .. } = &page;
    if session.json {
        let value = json!({ "locale": locale, "subject": subject, "preheader": preheader, "html": html, "text": text });
        session.print(&value)?;
    } else if command.text {
        session.write(text)?;
    } else {
        session.write(html)?;
    }
    Ok(Exit::Done)
}

async fn latest(session: &Session, name: &str) -> Result<Compiled, Failure> {
    let mut reader = session.db.reader().await?;
    let version = template::latest(reader.conn(), name).await?.ok_or_else(|| {
        Failure::new(format!("there is no template {name:?}")).fix("publish it with `indicia template push DIR`")
    })?;
    let source = template::source(reader.conn(), version.id).await?;
    let source = source.ok_or_else(|| Failure::new(format!("template version {} vanished", version.id)))?;
    let compiled = compile(&source).map_err(PublishError::Faults).fix("publish it again")?;
    Ok(compiled.of_version(version.id))
}

async fn recipient(session: &Session, email: &str, now_ms: i64) -> Result<(Member, History), Failure> {
    let email = Email::parse(email).map_err(|error| Failure::new(format!("--member {email:?} {error}")))?;
    let mut tx = session.db.begin(crate::store::Lane::Bulk).await?;
    let secret = setting::addr_secret(tx.conn(), &session.world).await?;
    tx.commit().await?;
    let mut reader = session.db.reader().await?;
    let found = member::by_email(reader.conn(), &secret, &email).await?;
    let found = found.ok_or_else(|| Failure::new(format!("there is no member {}", email.as_str())))?;
    drop(reader);
    let history = history::load(&session.db, &[found.id], now_ms).await?.remove(&found.id);
    Ok((found, history.unwrap_or_default()))
}

fn stationery(session: &Session, compiled: &Compiled, sender: Option<&str>) -> Result<Stationery, Failure> {
    let config = &session.config;
    let sender = match sender {
        Some(name) => Some(config.sender(name).ok_or_else(|| {
            Failure::new(format!("there is no sender {name:?}")).fix("name one of the configuration's [[sender]]")
        })?),
        None => config.senders.first(),
    };
    let sender = sender.map(|sender| sender.on_paper()).unwrap_or_default();
    let public_url = config.http.public_url.clone().unwrap_or_else(|| format!("http://{}", config.http.listen));
    let source = &compiled.source;
    Ok(Stationery::new(0, &source.name, &source.topic, source.class, sender, &public_url))
}
