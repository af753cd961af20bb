//! Opens and clicks get their final class when the time around them is over: in bounded pieces, in the order of time,
//! going on where the last piece ended.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use crate::domain::people::{AROUND_MS, Evidence, judge, network};
use crate::domain::touch::{Agents, TouchClass, TouchKind};
use crate::store::people::{self, Change, Kept, Mark};
use crate::store::{Db, Lane, StoreError};

/// Touches judged at once.
const PIECE_MAX: usize = 10_000;
/// Touches looked at on either side of them, at most: some 30 MB of evidence in all.
const AROUND_MAX: usize = 40_000;
/// Rows changed in one transaction: at most about 10 ms of SQLite's writer.
const CHANGES_MAX: usize = 400;

/// What a piece did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    pub judged: usize,
    pub changed: usize,
}

/// Judges a piece of what is older than `final_after_ms`; nothing was judged: nothing waits.
///
/// # Crash
/// Between two commits the same touches are judged again and get the same classes. On PostgreSQL a touch that commits
/// more than `final_after_ms` after it was made keeps its provisional class until it is judged on demand.
pub async fn tick(db: &Db, agents: &Arc<Agents>, now_ms: i64, final_after_ms: i64) -> Result<Done, StoreError> {
    let from = people::mark(db.reader().await?.conn()).await?;
    let Some((to, done)) = piece(db, agents, from, now_ms - final_after_ms).await? else { return Ok(Done::default()) };
    let mut tx = db.begin(Lane::Bulk).await?;
    people::advance(tx.conn(), from, to).await?;
    tx.commit().await?;
    Ok(done)
}

/// Judges again what was judged before, from an instant on, telling of each piece.
///
/// # Errors
/// When the database cannot be asked; asked again it begins at the beginning, and changes nothing twice.
pub async fn again(
    db: &Db,
    agents: &Arc<Agents>,
    since_ms: i64,
    until_ms: i64,
    told: &(dyn Fn(Done) + Sync),
) -> Result<Done, StoreError> {
    let mut from = people::mark_at(db.reader().await?.conn(), since_ms).await?;
    let mut all = Done::default();
    while let Some((to, done)) = piece(db, agents, from, until_ms).await? {
        from = to;
        all = Done { judged: all.judged + done.judged, changed: all.changed + done.changed };
        told(all);
    }
    Ok(all)
}

/// Judges what follows a mark, up to an instant: the mark it came to, `None` where nothing follows.
async fn piece(db: &Db, agents: &Arc<Agents>, from: Mark, until_ms: i64) -> Result<Option<(Mark, Done)>, StoreError> {
    let mut reader = db.reader().await?;
    let next = people::after(reader.conn(), from, until_ms, 1).await?;
    let Some(first) = next.first() else { return Ok(None) };
    let first_ms = first.at_ms;
    let ahead = people::after(reader.conn(), from, until_ms + AROUND_MS, PIECE_MAX + AROUND_MAX).await?;
    let n = ahead.iter().take(PIECE_MAX).take_while(|kept| kept.at_ms <= until_ms).count();
    let Some(last) = n.checked_sub(1).and_then(|last| ahead.get(last)) else { return Ok(None) };
    let to = Mark { at_ms: last.at_ms, id: last.id };
    let behind = people::before(reader.conn(), from, first_ms - AROUND_MS, AROUND_MAX).await?;
    drop(reader);
    let agents = agents.clone();
    let judging = move || changes(&agents, &behind, &ahead, n);
    let died = |error| StoreError::Inconsistent { what: format!("the judgement of touches died: {error}") };
    let changes = tokio::task::spawn_blocking(judging).await.map_err(died)??;
    let mut done = Done { judged: n, changed: 0 };
    for some in changes.chunks(CHANGES_MAX) {
        let mut tx = db.begin(Lane::Bulk).await?;
        done.changed += people::reclass(tx.conn(), some).await?;
        tx.commit().await?;
    }
    Ok(Some((to, done)))
}

/// What changes among the first `n` touches of `ahead`.
fn changes(agents: &Agents, behind: &[Kept], ahead: &[Kept], n: usize) -> Result<Vec<Change>, StoreError> {
    let mut all: Vec<(&Kept, bool)> = behind.iter().map(|kept| (kept, false)).collect();
    all.extend(ahead.iter().enumerate().map(|(place, kept)| (kept, place < n)));
    all.sort_by_key(|(kept, _)| (kept.at_ms, kept.id));
    let evidence: Vec<Evidence> = all.iter().map(|(kept, _)| evidence(agents, kept)).collect::<Result<_, _>>()?;
    let mut changes = Vec::new();
    for (((kept, wanted), evidence), is) in all.iter().zip(&evidence).zip(judge(&evidence)) {
        let was: TouchClass = parsed("class", &kept.class)?;
        if *wanted && was != is {
            let human = |class| class == TouchClass::Human;
            let teaches = evidence.kind == TouchKind::Click && human(was) != human(is);
            changes.push(Change { id: kept.id, at_ms: kept.at_ms, was, is, teaches });
        }
    }
    Ok(changes)
}

fn evidence(agents: &Agents, kept: &Kept) -> Result<Evidence, StoreError> {
    let kind: TouchKind = parsed("kind", &kept.kind)?;
    let domain = kept.email.as_deref().and_then(|email| email.rsplit_once('@'));
    let led_to = kept.url.as_deref().map_or(0, |url| hashed(url) as i64);
    Ok(Evidence {
        at_ms: kept.at_ms,
        message: (kept.run_id, kept.message_id),
        domain: domain.map_or(0, |(_, domain)| hashed(&domain.to_ascii_lowercase())),
        sent_at_ms: kept.sent_at_ms,
        kind,
        place: (u16::try_from(kept.slot).unwrap_or_default(), kept.product_id.unwrap_or(led_to)),
        alone: agents.classify(kind, &kept.method, &kept.agent),
        agent: hashed(&kept.agent),
        network: kept.ip.parse::<IpAddr>().map_or(0, network),
    })
}

/// Words as a number, to be compared within one judgement only.
fn hashed(words: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    hasher.finish()
}

fn parsed<T: FromStr>(column: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Inconsistent { what: format!("touch.{column} {text:?}") })
}
