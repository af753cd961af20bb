//! `indicia message`

use std::fmt::Write as _;

use serde_json::json;

use super::{Exit, Failure, Fix, Session};
use crate::domain::message::MessageState;
use crate::store::{message, run};

/// Messages read and printed at once.
const PAGE: i64 = 1_000;

/// Messages of a campaign: who got it, who did not, and why
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List a campaign's messages
    List {
        #[arg(long, value_name = "NAME")]
        campaign: String,
        /// Only those in this state
        #[arg(long, value_name = "STATE")]
        state: Option<MessageState>,
    },
    /// One message, with every attempt that did not end in a plain 250
    Show { id: i64 },
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    match command {
        Command::List { campaign, state } => list(session, &campaign, state).await,
        Command::Show { id } => show(session, id).await,
    }
}

async fn list(session: &Session, campaign: &str, state: Option<MessageState>) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    let run = run::by_campaign(reader.conn(), campaign).await?;
    let run = run
        .ok_or_else(|| Failure::new(format!("there is no campaign {campaign:?}")))
        .fix("see `indicia campaign list`")?;
    let mut after = 0;
    loop {
        let page = message::list(reader.conn(), run.id, state.map(MessageState::as_str), after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(Exit::Done) };
        after = last.id;
        for row in &page {
            let who = row.email.as_deref().unwrap_or("(erased)");
            let why = row.why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
            session.show(row, format_args!("{:>10}  {:<10}{why}  {who}", row.id, row.state))?;
        }
    }
}

async fn show(session: &Session, id: i64) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    let found = message::by_id(reader.conn(), id).await?;
    let (run_id, row) = found
        .ok_or_else(|| Failure::new(format!("there is no message {id}")))
        .fix("ids stand in `indicia message list --campaign NAME`")?;
    let run = run::by_id(reader.conn(), run_id).await?;
    let attempts = message::deliveries(reader.conn(), run_id, id).await?;
    let campaign = run.map(|run| run.campaign).unwrap_or_default();
    let mut words =
        format!("message {id} of {campaign} to {}: {}", row.email.as_deref().unwrap_or("(erased)"), row.state);
    if let Some(why) = &row.why {
        let _ = write!(words, " ({why})");
    }
    for attempt in &attempts {
        let code = attempt.code.map(|code| format!("{code} ")).unwrap_or_default();
        let _ = write!(
            words,
            "\n  attempt {} over {} at {}: {} {code}{}",
            attempt.attempt, attempt.route, attempt.stage, attempt.outcome, attempt.text
        );
    }
    session.show(&json!({ "campaign": campaign, "run_id": run_id, "message": row, "attempts": attempts }), words)?;
    Ok(Exit::Done)
}
