//! `indicia touches reclassify`: opens and clicks judged again from the kept evidence.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{Exit, Failure, Session};
use crate::app::tag_rules::tag_rules;
use crate::domain::touch::{Agents, CLASS_VERSION};
use crate::flow::classify::{self, Done};
use crate::flow::learn;
use crate::store::people;

/// Opens and clicks, of people and of machines
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Judge again, from the kept evidence, who opened and clicked; tags follow
    Reclassify {
        /// Only what was done from this day (UTC) or instant on
        #[arg(long, value_name = "DATE")]
        since: Option<String>,
    },
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    let Command::Reclassify { since } = command;
    let since_ms = since.as_deref().map_or(Ok(0), |text| {
        instant_ms(text).ok_or_else(|| Failure::new(format!("--since {text:?} is no date")).fix("write 2026-10-01"))
    })?;
    let rules = tag_rules(&session.config)?;
    let until_ms = (session.now_ms() - session.config.tracking.final_after_ms)
        .max(people::mark(session.db.reader().await?.conn()).await?.at_ms);
    let told = |done: Done| tracing::info!(judged = done.judged, changed = done.changed, "judging again");
    let agents = std::sync::Arc::new(Agents::new());
    let done = classify::again(&session.db, &agents, since_ms, until_ms, &told).await?;
    let mut members = 0;
    while learn::again(&session.db, &rules, session.now_ms()).await? {
        members += 1;
    }
    let Done { judged, changed } = done;
    let value =
        json!({ "class_version": CLASS_VERSION, "judged": judged, "changed": changed, "relearned_members": members });
    session.show(
        &value,
        format!("{judged} opens and clicks judged again, {changed} changed; tags of {members} members learned anew"),
    )?;
    Ok(Exit::Done)
}

/// A day, taken as its first instant in UTC, or an instant.
fn instant_ms(text: &str) -> Option<i64> {
    let day = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    text.parse::<jiff::Timestamp>().ok().or_else(day).map(jiff::Timestamp::as_millisecond)
}
