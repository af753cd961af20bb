//! `indicia render-alone`: the limited process in which mails are rendered over which daemons died.

use std::io::Write as _;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Exit, Failure, Global, Session};
use crate::app::alone::{CPU_S, MEMORY_BYTES, Suspects};
use crate::app::category_rules::category_rules;
use crate::base::token::{KEY_BYTES, Keyring};
use crate::flow::editions::Editions;
use crate::render::{Recipient, Sender, Stationery, render_mail};
use crate::store::{history, member, run};

/// How long it may wait for the database and render, in all.
const WAIT: Duration = Duration::from_secs(60);

/// Render mails given on stdin, under limits, naming each as it is begun (used by the daemon)
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Command {}

pub async fn run(_: Command, global: &Global) -> Result<Exit, Failure> {
    limit_resources()?;
    let suspects: Suspects = serde_json::from_reader(std::io::stdin().lock())?;
    let mut config = global.load()?;
    config.database.url.clone_from(&suspects.database);
    let session = Session::open_beside(config, true).await?;
    match tokio::time::timeout(WAIT, render(&session, &suspects)).await {
        Ok(done) => done.map(|()| Exit::Done),
        Err(_) => Err(Failure::new(format!("rendering took more than {} s", WAIT.as_secs()))),
    }
}

fn limit_resources() -> std::io::Result<()> {
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::As, limit(MEMORY_BYTES))?;
    Ok(setrlimit(Resource::Core, limit(0))?)
}

/// Ends this process when the next mail takes [`CPU_S`] more than what the ones before it took.
fn limit_mail() -> std::io::Result<()> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec.unsigned_abs();
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(used + 1 + CPU_S), maximum: None })?)
}

async fn render(session: &Session, suspects: &Suspects) -> Result<(), Failure> {
    let ids: Vec<i64> = suspects.mails.iter().map(|mail| mail.member_id).collect();
    let mut reader = session.db.reader().await?;
    let Some(run) = run::by_id(reader.conn(), suspects.run_id).await? else { return Ok(()) };
    let members = member::profiles(reader.conn(), &ids).await?;
    drop(reader);
    let histories = history::load(&session.db, &ids, suspects.now_ms).await?;
    let editions = Editions::new(session.db.clone(), category_rules(&session.config)?);
    let catalog = editions.catalog(suspects.now_ms).await?;
    let doc = &run.doc;
    let sender = Sender { from: "nobody@sender.invalid".to_owned(), ..Sender::default() };
    let stationery = Stationery::new(0, &doc.campaign, &doc.topic, doc.class, sender, "https://sender.invalid");
    let keyring = Keyring::new(&[(0, [0; KEY_BYTES])]);
    for mail in &suspects.mails {
        let Some(member) = members.get(&mail.member_id) else { continue };
        let Some(variant) = doc.variants.get(mail.variant as usize) else { continue };
        let version = editions.version(variant.template_version_id).await?;
        let history = histories.get(&mail.member_id).cloned().unwrap_or_default();
        let to = Recipient { message_id: mail.id, member, history: &history };
        limit_mail()?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", mail.id)?;
        out.flush()?;
        // An error is the daemon's to find again and to tell: only dying counts here.
        let _ = render_mail(&version, &stationery, &to, &catalog, &keyring, suspects.now_ms, suspects.now_ms);
    }
    Ok(())
}
