//! What people do becomes tags: takes what waits in the outbox, applies the rules, adds to the scores.

use std::collections::HashMap;

use crate::domain::engagement::{Decay, log_add};
use crate::domain::tagging::{Raise, Rules};
use crate::store::deed::{self, Deed, Source};
use crate::store::{Conn, Db, Lane, StoreError, outbox, people, tag};

/// Rows of one transaction: they raise some 200 scores, at most about 10 ms of SQLite's writer.
pub const BATCH_MAX: usize = 100;
/// Events of one member that a tag is learned anew from, of each source; the latest count.
const KEPT_MAX: i64 = 50_000;

/// Learns from up to `limit` events in one transaction and says how many it took; 0: nothing waits.
///
/// # Crash
/// Everything or nothing: an event leaves the outbox in the transaction that records what it changed. Consumed twice
/// is impossible, in any order is the same.
pub async fn run_once(db: &Db, rules: &Rules, now_ms: i64, limit: usize) -> Result<usize, StoreError> {
    if !outbox::waits(db.reader().await?.conn()).await? {
        return Ok(0);
    }
    let mut tx = db.begin_by_key(Lane::Bulk).await?;
    let taken = outbox::take(tx.conn(), limit.min(BATCH_MAX)).await?;
    record(tx.conn(), rules, &taken, now_ms).await?;
    tx.commit().await?;
    Ok(taken.len())
}

/// Learns one member's tags anew that hang on clicks whose class changed between person and machine: the sum over all
/// kept events, never a subtraction. `false`: none waits.
///
/// # Crash
/// Everything or nothing. Events that wait in the outbox are left to [`run_once`], so that nothing counts twice.
pub async fn again(db: &Db, rules: &Rules, now_ms: i64) -> Result<bool, StoreError> {
    if !people::lessons_wait(db.reader().await?.conn()).await? {
        return Ok(false);
    }
    let mut tx = db.begin(Lane::Bulk).await?;
    outbox::hold(tx.conn()).await?;
    let Some((member, touches)) = people::take_lesson(tx.conn()).await? else { return Ok(false) };
    let doubtful = deed::clicks_of_anybody(tx.conn(), &touches).await?;
    let decays: HashMap<String, Decay> =
        raises(rules, &doubtful).into_iter().map(|(_, raise)| (raise.key, raise.decay)).collect();
    let tags = tag::ensure(tx.conn(), &decays).await?;
    let mut scores: HashMap<i64, Option<f64>> = tags.values().map(|tag| (tag.id, None)).collect();
    let deeds = deed::learned_of_member(tx.conn(), member, KEPT_MAX).await?;
    for (deed, raise) in raises(rules, &deeds) {
        let Some(tag) = tags.get(&raise.key) else { continue };
        let score = scores.entry(tag.id).or_default();
        *score = Some(tag.decay.add(*score, raise.weight, deed.at_ms));
    }
    tag::set(tx.conn(), member, &scores, now_ms).await?;
    tx.commit().await?;
    Ok(true)
}

async fn record(mut conn: Conn<'_>, rules: &Rules, taken: &[(Source, i64)], now_ms: i64) -> Result<(), StoreError> {
    let ids =
        |of: Source| -> Vec<i64> { taken.iter().filter(|(source, _)| *source == of).map(|(_, id)| *id).collect() };
    let mut deeds = deed::events(conn.again(), &ids(Source::Event)).await?;
    deeds.extend(deed::touches(conn.again(), &ids(Source::Touch)).await?);
    let raises = raises(rules, &deeds);
    if raises.is_empty() {
        return Ok(());
    }
    let decays: HashMap<String, Decay> = raises.iter().map(|(_, raise)| (raise.key.clone(), raise.decay)).collect();
    let tags = tag::ensure(conn.again(), &decays).await?;
    let mut amounts: HashMap<(i64, i64), f64> = HashMap::new();
    for (deed, raise) in &raises {
        let Some(tag) = tags.get(&raise.key) else { continue };
        let fresh = tag.decay.log_of(raise.weight, deed.at_ms);
        amounts.entry((tag.id, deed.member_id)).and_modify(|sum| *sum = log_add(*sum, fresh)).or_insert(fresh);
    }
    tag::add(conn, &amounts, now_ms).await
}

fn raises<'a>(rules: &Rules, deeds: &'a [Deed]) -> Vec<(&'a Deed, Raise)> {
    deeds.iter().flat_map(|deed| rules.apply(&deed.fact()).into_iter().map(move |raise| (deed, raise))).collect()
}
