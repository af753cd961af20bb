//! `indicia suppression list | add | lift | import`

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::import::run_import;
use super::member::{addr_secret, address, time};
use super::{Exit, Failure, Session};
use crate::domain::suppression::{SCOPE_ALL, SuppressionReason, is_scope};
use crate::flow::intake::{Import, Kind};
use crate::store::suppression::{self, Listed, Suppression};
use crate::store::{Lane, strike};

/// Entries read at once for a list.
const PAGE: i64 = 1_000;

/// Addresses never to be mailed, and why
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the entries; an address is shown where a member has it, of others only a keyed hash is kept
    List {
        /// Only entries of this scope: all, or a topic
        #[arg(long, value_parser = scope)]
        scope: Option<String>,
        /// Only entries with this reason
        #[arg(long)]
        reason: Option<SuppressionReason>,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<i64>,
    },
    /// Put an address on the list, at once and for ever
    Add {
        email: String,
        /// What to stop: all, or the mails of one topic
        #[arg(long, default_value = SCOPE_ALL, value_parser = scope)]
        scope: String,
        /// Why: hard_bounce, soft_bounce, complaint, unsubscribe, manual, legal, role or erased
        #[arg(long, default_value = "manual")]
        reason: SuppressionReason,
        /// On whose word, as in a ticket's number
        #[arg(long, default_value = "command_line")]
        source: String,
    },
    /// Take an address off the list in one scope
    Lift {
        email: String,
        /// The scope of the entry: all, or a topic
        #[arg(long, default_value = SCOPE_ALL, value_parser = scope)]
        scope: String,
        /// Lift a complaint, a legal entry or an erased person's too: you hold that person's new word
        #[arg(long)]
        force: bool,
    },
    /// Import entries from CSV or JSON lines: email, and scope, reason, source where they are not all, manual, import
    Import {
        file: PathBuf,
        /// Import nothing if a single row is rejected
        #[arg(long)]
        strict: bool,
    },
}

fn scope(text: &str) -> Result<String, String> {
    if is_scope(text) { Ok(text.to_owned()) } else { Err("write all, or the name of a topic".to_owned()) }
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    match command {
        Command::List { scope, reason, limit } => list(session, scope.as_deref(), reason, limit).await,
        Command::Add { email, scope, reason, source } => add(session, &email, scope, reason, source).await,
        Command::Lift { email, scope, force } => lift(session, &email, &scope, force).await,
        Command::Import { file, strict } => {
            run_import(Import { strict, ..Import::new(Kind::Suppressions, file, Arc::default()) }, session).await
        }
    }
}

async fn list(
    session: &Session,
    scope: Option<&str>,
    reason: Option<SuppressionReason>,
    limit: Option<i64>,
) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    let (mut after, mut left) = ((-1, String::new()), limit.unwrap_or(i64::MAX));
    while left > 0 {
        let page = suppression::list(reader.conn(), (scope, reason), (after.0, &after.1), left.min(PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = (last.addr_key, last.scope.clone());
        left -= page.len() as i64;
        for entry in &page {
            session.show(entry, words(entry))?;
        }
    }
    Ok(Exit::Done)
}

fn words(entry: &Listed) -> String {
    let email = entry.email.as_deref().unwrap_or("(no member)");
    let until = entry.expires_at_ms.map_or(String::new(), |ms| format!(" until {}", time(ms)));
    let Listed { scope, reason, source, at_ms, .. } = entry;
    format!("{email:<40} {scope:<12} {reason} from {source} since {}{until}", time(*at_ms))
}

async fn add(
    session: &Session,
    email: &str,
    scope: String,
    reason: SuppressionReason,
    source: String,
) -> Result<Exit, Failure> {
    let email = address(email)?;
    let key = addr_secret(session).await?.key(&email);
    let words = format!("{} is suppressed in scope {scope}: {reason}", email.as_str());
    let entry = Suppression { scope, reason, source, at_ms: session.now_ms(), expires_at_ms: None };
    let mut tx = session.db.begin(Lane::Bulk).await?;
    let added = suppression::suppress(tx.conn(), key, &entry).await?;
    tx.commit().await?;
    let value = json!({ "email": email.as_str(), "scope": entry.scope, "reason": reason, "changed": added });
    session.show(&value, if added { words } else { format!("{} was on the list already", email.as_str()) })?;
    Ok(Exit::Done)
}

async fn lift(session: &Session, email: &str, scope: &str, force: bool) -> Result<Exit, Failure> {
    let email = address(email)?;
    let key = addr_secret(session).await?.key(&email);
    let mut tx = session.db.begin(Lane::Bulk).await?;
    let entries = suppression::of_address(tx.conn(), key).await?;
    let Some(entry) = entries.iter().find(|entry| entry.scope == scope) else {
        return Err(Failure::new(format!("{} is not suppressed in scope {scope}", email.as_str()))
            .fix("see its entries: indicia suppression list, or indicia member show EMAIL"));
    };
    if entry.reason.binds() && !force {
        return Err(Failure::new(format!("{} is suppressed because of {}", email.as_str(), because(entry.reason)))
            .fix("give --force if you hold that person's new word in writing"));
    }
    suppression::lift(tx.conn(), key, scope).await?;
    if entry.reason.is_bounce() {
        strike::forget(tx.conn(), key).await?;
    }
    tx.commit().await?;
    let value = json!({ "email": email.as_str(), "scope": scope, "reason": entry.reason, "changed": true });
    session.show(&value, format!("{} is no longer suppressed in scope {scope} ({})", email.as_str(), entry.reason))?;
    Ok(Exit::Done)
}

/// Why an entry is not to be lifted lightly.
fn because(reason: SuppressionReason) -> &'static str {
    match reason {
        SuppressionReason::Complaint => {
            "a complaint: its owner called our mail spam, and another mail costs the sender's standing"
        }
        SuppressionReason::Erased => "an erasure: its owner asked to be forgotten, and only this entry remembers it",
        SuppressionReason::Legal => "a legal order",
        _ => "a bounce or a wish",
    }
}
