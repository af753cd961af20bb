//! `indicia campaign`

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::{Exit, Failure, Session, shaping};
use crate::app::config::parse_ms;
use crate::app::launch;
use crate::domain::message::{MessageState, RunEvent, RunState};
use crate::flow::plan;
use crate::flow::report::{self, Progress};
use crate::queue::sweep::Sweep;
use crate::store::run::{self, Run};
use crate::store::{Lane, daemon, template};

/// How often a waiting command looks.
const LOOK: Duration = Duration::from_millis(200);
/// How long a waiting command stands a database on which no daemon lives, milliseconds.
const NOBODY_MS: i64 = 10_000;
/// Campaigns that are listed.
const LISTED_MAX: i64 = 1_000;

/// Campaigns: start, watch, pause, report
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Approve a campaign file: the daemon freezes its audience and sends it when its time has come
    Start {
        file: PathBuf,
        #[command(flatten)]
        wait: Wait,
    },
    /// Count the audience and render 200 real mails; sends nothing
    Rehearse { file: PathBuf },
    /// Wait until a campaign is over
    Wait {
        name: String,
        #[arg(long, value_name = "DURATION", value_parser = timeout_ms)]
        timeout: Option<i64>,
    },
    /// List campaigns, the newest first
    List,
    /// Where a campaign stands
    Show { name: String },
    /// Claim nothing more of it; what is on its way finishes
    Pause { name: String },
    /// Go on, with the newest versions of its templates for what is not yet sent
    Resume {
        name: String,
        /// Stay with the template versions it began with
        #[arg(long)]
        keep_templates: bool,
    },
    /// Cancel what is not yet sent
    Cancel { name: String },
    /// Try again what failed
    Retry {
        name: String,
        /// Send again what is in doubt, though it may have arrived
        #[arg(long)]
        in_doubt: bool,
    },
    /// Who got it, who did not and why, who opened and clicked
    Report { name: String },
}

#[derive(Debug, clap::Args)]
pub struct Wait {
    /// Wait until it is over
    #[arg(long)]
    wait: bool,
    /// Wait at most so long: seconds, or a duration such as 5m
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = timeout_ms)]
    timeout: Option<i64>,
}

fn timeout_ms(text: &str) -> Result<i64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 => Ok((seconds * 1_000.0) as i64),
        _ => parse_ms(text).map_err(str::to_owned),
    }
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    match command {
        Command::Start { file, wait } => start(session, &file, &wait).await,
        Command::Rehearse { file } => rehearse(session, &file).await,
        Command::Wait { name, timeout } => wait_for(session, &name, timeout).await,
        Command::List => list(session).await,
        Command::Show { name } => show(session, &name).await,
        Command::Pause { name } => shift(session, &name, RunEvent::Pause).await,
        Command::Resume { name, keep_templates } => resume(session, &name, keep_templates).await,
        Command::Cancel { name } => shift(session, &name, RunEvent::Cancel).await,
        Command::Retry { name, in_doubt } => retry(session, &name, in_doubt).await,
        Command::Report { name } => full_report(session, &name).await,
    }
}

async fn start(session: &Session, file: &std::path::Path, wait: &Wait) -> Result<Exit, Failure> {
    let prepared = launch::prepare(session, file).await?;
    let name = prepared.doc.campaign.clone();
    let mut reader = session.db.reader().await?;
    let taken = || Failure::new(format!("there is a campaign {name:?} already")).fix("give this one another name");
    if run::by_campaign(reader.conn(), &name).await?.is_some() {
        return Err(taken());
    }
    drop(reader);
    launch::must_render(&launch::rehearse(session, &prepared.doc).await?)?;
    let now_ms = session.now_ms();
    let scheduled = prepared.at_ms.unwrap_or(now_ms);
    let Some(id) = launch::approve(session, &prepared).await? else { return Err(taken()) };
    if wait.wait {
        return wait_for(session, &name, wait.timeout).await;
    }
    let when = if scheduled > now_ms { "starts at its time" } else { "starts now" };
    session.show(
        &json!({ "campaign": name, "run_id": id, "state": RunState::Approved, "scheduled_for_ms": scheduled }),
        format_args!("campaign {name} is approved and {when}"),
    )?;
    Ok(Exit::Done)
}

async fn rehearse(session: &Session, file: &std::path::Path) -> Result<Exit, Failure> {
    let prepared = launch::prepare(session, file).await?;
    let found = launch::rehearse(session, &prepared.doc).await?;
    let takes = found.seconds.map_or(String::new(), |seconds| format!(", about {seconds} s at the configured rates"));
    session.show(
        &found,
        format_args!(
            "{}: {} members{takes}; {} rendered ({} bytes, at most {}), {} skipped by the template, {} faults",
            found.campaign,
            found.members,
            found.rendered,
            found.bytes_median,
            found.bytes_max,
            found.skipped,
            found.faults.len(),
        ),
    )?;
    launch::must_render(&found)?;
    Ok(Exit::Done)
}

async fn find(session: &Session, name: &str) -> Result<Run, Failure> {
    let mut reader = session.db.reader().await?;
    run::by_campaign(reader.conn(), name).await?.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failure {
    Failure::new(format!("there is no campaign {name:?}")).fix("see `indicia campaign list`")
}

async fn progress(session: &Session, name: &str) -> Result<Progress, Failure> {
    let mut reader = session.db.reader().await?;
    let run = run::by_campaign(reader.conn(), name).await?.ok_or_else(|| unknown(name))?;
    Ok(report::progress(reader.conn(), &run, session.now_ms()).await?)
}

fn in_state(progress: &Progress, state: MessageState) -> i64 {
    progress.by_state.get(&state).copied().unwrap_or(0)
}

/// One line of where a campaign stands.
fn line(progress: &Progress) -> String {
    let mut parts = vec![format!("{:<24} {:<10} {:>9} frozen", progress.campaign, progress.state, progress.frozen)];
    for state in MessageState::ALL {
        match in_state(progress, *state) {
            0 => {}
            n => parts.push(format!("{n} {state}")),
        }
    }
    parts.join("  ")
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    for run in run::list(reader.conn(), LISTED_MAX).await? {
        let progress = report::progress(reader.conn(), &run, session.now_ms()).await?;
        session.show(&progress, line(&progress))?;
    }
    Ok(Exit::Done)
}

async fn show(session: &Session, name: &str) -> Result<Exit, Failure> {
    let progress = progress(session, name).await?;
    let mut words = line(&progress);
    for (reason, n) in progress.excluded.iter().chain(&progress.reasons) {
        words.push_str(&format!("\n  {n:>9} {reason}"));
    }
    if let Some(why) = &progress.why {
        words.push_str(&format!("\n  {why}"));
    }
    for slowed in &progress.slowed {
        words.push_str(&format!("\n  {}", shaping::slowed(slowed)));
    }
    session.show(&progress, words)?;
    Ok(Exit::Done)
}

/// Shows a campaign's progress until it is over.
///
/// # Errors
/// When nobody works on it.
pub async fn watch(session: &Session, name: &str) -> Result<(), Failure> {
    let progress = until_over(session, name, None).await?;
    session.say(line(&progress));
    Ok(())
}

/// Waits until a campaign is over, showing its progress; exit 3 when some of it failed or is in doubt.
async fn wait_for(session: &Session, name: &str, timeout_ms: Option<i64>) -> Result<Exit, Failure> {
    let progress = until_over(session, name, timeout_ms).await?;
    session.show(&progress, line(&progress))?;
    let short = in_state(&progress, MessageState::Failed) + in_state(&progress, MessageState::InDoubt) > 0;
    Ok(if short { Exit::Partly } else { Exit::Done })
}

async fn until_over(session: &Session, name: &str, timeout_ms: Option<i64>) -> Result<Progress, Failure> {
    let bar = super::progress::bar(session);
    let began_ms = session.now_ms();
    let mut alone_since_ms = None;
    loop {
        let progress = progress(session, name).await?;
        bar.at(&progress);
        let state = progress.state;
        if state.is_over() {
            bar.finish();
            return Ok(progress);
        }
        let now_ms = session.now_ms();
        if timeout_ms.is_some_and(|timeout| now_ms - began_ms > timeout) {
            return Err(Failure::new(format!("campaign {name:?} is still {state}: {}", line(&progress)))
                .fix("wait longer with --timeout"));
        }
        let alone = *alone_since_ms.get_or_insert(now_ms);
        if anybody_works(session, now_ms).await? {
            alone_since_ms = None;
        } else if now_ms - alone > NOBODY_MS {
            return Err(Failure::new(format!("campaign {name:?} is {state}, and no daemon works on this database"))
                .fix("start one with `indicia serve`"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn anybody_works(session: &Session, now_ms: i64) -> Result<bool, Failure> {
    let mut reader = session.db.reader().await?;
    let fresh_ms = session.config.queue.beat_ms * 3;
    Ok(daemon::living(reader.conn()).await?.iter().any(|daemon| now_ms - daemon.beat_at_ms < fresh_ms.max(NOBODY_MS)))
}

/// Moves a campaign by an event; a command that finds it moved meanwhile says where it stands.
async fn shift(session: &Session, name: &str, event: RunEvent) -> Result<Exit, Failure> {
    let run = find(session, name).await?;
    let mut tx = session.db.begin(Lane::Bulk).await?;
    let moved = run::shift(tx.conn(), &run, event, session.now_ms()).await?;
    tx.commit().await?;
    let Some(state) = moved else {
        return Err(Failure::new(format!(
            "campaign {name:?} is {}: that does not apply",
            find(session, name).await?.state
        )));
    };
    session.show(&json!({ "campaign": name, "state": state }), format_args!("campaign {name} is {state}"))?;
    Ok(Exit::Done)
}

async fn resume(session: &Session, name: &str, keep_templates: bool) -> Result<Exit, Failure> {
    let run = find(session, name).await?;
    if run.state.next(RunEvent::Resume).is_none() {
        return Err(Failure::new(format!("campaign {name:?} is {}, neither paused nor a draft", run.state)));
    }
    let mut doc = run.doc.clone();
    let mut tx = session.db.begin(Lane::Bulk).await?;
    let mut taken = Vec::new();
    if !keep_templates && run.state == RunState::Paused {
        for variant in &mut doc.variants {
            let latest = template::latest(tx.conn(), &variant.template).await?;
            if let Some(version) = latest.filter(|version| version.id != variant.template_version_id) {
                taken.push(format!("{} version {}", version.name, version.version));
                variant.template_version_id = version.id;
            }
        }
    }
    let mut run = run;
    if doc != run.doc {
        run::set_doc(tx.conn(), run.id, &doc).await?;
        run = run::by_id(tx.conn(), run.id).await?.ok_or_else(|| unknown(name))?;
    }
    let moved = run::shift(tx.conn(), &run, RunEvent::Resume, session.now_ms()).await?;
    tx.commit().await?;
    let Some(state) = moved else {
        return Err(Failure::new(format!("campaign {name:?} was moved by somebody else")).fix("look again"));
    };
    let with = if taken.is_empty() { String::new() } else { format!(", now with {}", taken.join(" and ")) };
    session.show(
        &json!({ "campaign": name, "state": state, "new_templates": taken }),
        format_args!("campaign {name} is {state} again{with}"),
    )?;
    Ok(Exit::Done)
}

/// Queues again what failed, or is in doubt.
async fn retry(session: &Session, name: &str, in_doubt: bool) -> Result<Exit, Failure> {
    let run = find(session, name).await?;
    let what = if in_doubt { Sweep::RetryInDoubt } else { Sweep::RetryFailed };
    let Some(queued) = plan::retry(&session.db, &run, what, session.now_ms()).await? else {
        return Err(Failure::new(format!("campaign {name:?} is {}: nothing can be tried again now", run.state)));
    };
    session.show(
        &json!({ "campaign": name, "queued": queued }),
        format_args!("{queued} messages of {name} are queued again"),
    )?;
    Ok(Exit::Done)
}

async fn full_report(session: &Session, name: &str) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    let run = run::by_campaign(reader.conn(), name).await?.ok_or_else(|| unknown(name))?;
    let report = report::report(reader.conn(), &run, session.now_ms()).await?;
    let words = super::progress::words(&report, line(&report.progress));
    session.show(&report, words)?;
    Ok(Exit::Done)
}
