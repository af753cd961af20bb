//! Breakers: a campaign that does harm is paused before it costs the sender's name, and a provider that refuses us is
//! left alone for a while. Both say why, in words.

use crate::domain::alert::{Alert, AlertKind, Ways};
use crate::domain::breaker::{BLOCK_WITHIN_MS, Fuse, Limits, Tally, words};
use crate::domain::message::{MessageState, RunEvent, RunState};
use crate::queue::count;
use crate::store::breaker::{self, Block};
use crate::store::run::{self, Run};
use crate::store::{Db, Lane, StoreError, alert, gate};

/// Looks at every sending run once. Says whether something was stopped.
///
/// # Errors
/// The database's.
///
/// # Crash
/// A pause commits with its reason, with the tally it was decided on, and with whom it is told to.
pub async fn tick(db: &Db, limits: &Limits, ways: &Ways, now_ms: i64) -> Result<bool, StoreError> {
    let mut reader = db.reader().await?;
    let sending: Vec<Run> =
        run::active(reader.conn()).await?.into_iter().filter(|run| run.state == RunState::Sending).collect();
    drop(reader);
    let mut stopped = false;
    for run in &sending {
        stopped |= leave_alone(db, limits, ways, run, now_ms).await? | pause(db, limits, ways, run, now_ms).await?;
    }
    Ok(stopped)
}

/// Pauses a run of which a fuse blows.
async fn pause(db: &Db, limits: &Limits, ways: &Ways, run: &Run, now_ms: i64) -> Result<bool, StoreError> {
    let mut reader = db.reader().await?;
    let hits = breaker::hits(reader.conn(), run.id).await?;
    if hits.values().all(|n| *n == 0) {
        return Ok(false);
    }
    let counts = count::of_run(reader.conn(), run.id).await?;
    let tried = count::sum(&counts, MessageState::Sent) + count::sum(&counts, MessageState::Bounced);
    let trips = breaker::trips(reader.conn(), run.id).await?;
    let tally = |fuse: &Fuse| Tally { tried, hits: hits.get(fuse).copied().unwrap_or(0) };
    let since = |fuse: &Fuse| tally(fuse).since(trips.get(fuse).copied().unwrap_or_default());
    let Some(fuse) = Fuse::ALL.iter().find(|fuse| limits.blows(**fuse, since(fuse))).copied() else {
        drop(reader);
        warn(db, limits, ways, run, since(&Fuse::Complaints), now_ms).await?;
        return Ok(false);
    };
    let said = breaker::last_said(reader.conn(), run.id, fuse).await?;
    drop(reader);
    let why = words(fuse, since(&fuse), said.as_deref());
    let mut tx = db.begin(Lane::Bulk).await?;
    if run::shift(tx.conn(), run, RunEvent::Pause, now_ms).await?.is_none() {
        return Ok(false);
    }
    run::set_why(tx.conn(), run.id, &why).await?;
    breaker::tripped(tx.conn(), run.id, fuse, tally(&fuse), now_ms).await?;
    let told = Alert {
        once: format!("run {} generation {}", run.id, run.generation),
        kind: AlertKind::CampaignPaused,
        about: run.campaign.clone(),
        subject: format!("Campaign {} was paused by itself", run.campaign),
        body: format!("Campaign {} {why}", run.campaign),
    };
    alert::add(tx.conn(), &told, ways, now_ms).await?;
    tx.commit().await?;
    tracing::error!(run = run.id, fuse = %fuse, "campaign {} {why}", run.campaign);
    Ok(true)
}

/// Tells once of a run that more readers complain than is good.
async fn warn(db: &Db, limits: &Limits, ways: &Ways, run: &Run, tally: Tally, now_ms: i64) -> Result<(), StoreError> {
    if ways.is_empty() || !limits.warns(tally) {
        return Ok(());
    }
    let once = format!("run {} complaints", run.id);
    let mut reader = db.reader().await?;
    if alert::is_known(reader.conn(), &once).await? {
        return Ok(());
    }
    drop(reader);
    let (campaign, Tally { tried, hits }, percent) = (&run.campaign, tally, 100.0 * tally.share());
    let told = Alert {
        once,
        kind: AlertKind::Complaints,
        about: campaign.clone(),
        subject: format!("Readers of campaign {campaign} complain"),
        body: format!(
            "{hits} of {tried} readers ({percent:.2} %) of campaign {campaign} called it spam; at {:.2} % it is paused. \
             What to do: narrow the segment to people who read you, before the next one",
            100.0 * limits.complaints
        ),
    };
    let mut tx = db.begin(Lane::Bulk).await?;
    alert::add(tx.conn(), &told, ways, now_ms).await?;
    tx.commit().await
}

/// Closes the gates of providers that refuse our address.
async fn leave_alone(db: &Db, limits: &Limits, ways: &Ways, run: &Run, now_ms: i64) -> Result<bool, StoreError> {
    let mut reader = db.reader().await?;
    let blocks = breaker::blocks(reader.conn(), run.id, now_ms - BLOCK_WITHIN_MS, limits.block_n).await?;
    drop(reader);
    if blocks.is_empty() {
        return Ok(false);
    }
    let mut tx = db.begin(Lane::Bulk).await?;
    for block in &blocks {
        let why = format!("refused our address {} times within an hour", block.n);
        gate::close(tx.conn(), (&block.route, block.provider_id), now_ms + limits.block_pause_ms, &why).await?;
        alert::add(tx.conn(), &closed(block, limits, now_ms), ways, now_ms).await?;
    }
    tx.commit().await?;
    for block in &blocks {
        tracing::error!(run = run.id, "{}", closed(block, limits, now_ms).body);
    }
    Ok(true)
}

/// What is told of a provider that is left alone. Two daemons that see it at once speak of the same event.
fn closed(block: &Block, limits: &Limits, now_ms: i64) -> Alert {
    let (Block { route, provider, n, provider_id }, minutes) = (block, limits.block_pause_ms / 60_000);
    Alert {
        once: format!("route {route} provider {provider_id} pause {}", now_ms / limits.block_pause_ms.max(1)),
        kind: AlertKind::ProviderClosed,
        about: format!("{provider} over {route}"),
        subject: format!("{provider} gets no mail over route {route} for {minutes} minutes"),
        body: format!(
            "{provider} refused our address {n} times within an hour over route {route}: it gets no mail from there for \
             {minutes} minutes. What to do: ask its postmaster to take the address off its list"
        ),
    }
}
