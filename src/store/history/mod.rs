//! What picking products knows of each member, for a whole claim at once.
//!
//! PostgreSQL is asked one statement per kind of behaviour ([`gathered`]). SQLite is asked member by member on a thread
//! of its own ([`direct`]): there a question costs nothing but its answer, and an answer as JSON several times as much.

mod direct;
mod gathered;

use std::collections::HashMap;

use super::{Db, StoreError};
use crate::domain::recommend::{Act, History};

/// Products looked at that are kept per member.
pub const VIEWED_MAX: usize = 20;
/// Events with a product that are read per member to find them.
const LOOKS_MAX: i64 = 30;
/// Events that are looks at products.
macro_rules! looks {
    () => {
        "select id from event_name where name in ('Product Viewed', 'Product Clicked', 'Product Added')"
    };
}
use looks;
/// Products bought that are kept per member.
pub const BOUGHT_MAX: usize = 100;
/// Tags that are kept per member.
pub const TAGS_MAX: usize = 40;
/// Mails to a member in which what was shown and ignored counts, the latest.
const MAILS_MINDED: usize = 3;
/// Runs in which those are looked for, the latest.
const RUNS_LOOKED: i64 = 6;
/// How far back purchases count, milliseconds (10 years): appliances serve so long.
pub const BOUGHT_WITHIN_MS: i64 = 3650 * 86_400_000;
/// How far back looks count, milliseconds (180 days).
pub const VIEWED_WITHIN_MS: i64 = 180 * 86_400_000;

/// The history of each of `ids`; who has none is not in the map.
///
/// # Errors
/// The database's.
pub async fn load(db: &Db, ids: &[i64], now_ms: i64) -> Result<HashMap<i64, History>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let wanted = ids.to_vec();
    match db.read_directly(move |tx| direct::load(tx, &wanted, now_ms)).await {
        Some(loaded) => loaded,
        None => gathered::load(db.reader_by_key().await?.conn(), ids, now_ms).await,
    }
}

/// Latest and strongest first, each product once, no more than the bounds.
fn tidy(history: &mut History) {
    latest_of_each(&mut history.viewed, VIEWED_MAX);
    latest_first(&mut history.bought);
    history.bought.truncate(BOUGHT_MAX);
    history.tags.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
    history.tags.truncate(TAGS_MAX);
}

fn latest_first(acts: &mut [Act]) {
    acts.sort_unstable_by_key(|act| (-act.at_ms, act.product));
}

/// So few are kept that each is compared with those before it.
fn latest_of_each(acts: &mut Vec<Act>, most: usize) {
    latest_first(acts);
    let mut kept = 0;
    for at in 0..acts.len() {
        let act = acts[at];
        if kept < most && !acts[..kept].iter().any(|earlier| earlier.product == act.product) {
            acts[kept] = act;
            kept += 1;
        }
    }
    acts.truncate(kept);
}

/// What was shown and not clicked from then on, and how often: of `mails`, each with when it was sent and the products
/// it showed, the latest.
fn ignored(mut mails: Vec<(i64, Vec<i64>)>, clicked: impl Fn(i64) -> Option<i64>) -> Vec<(i64, u32)> {
    mails.sort_unstable_by_key(|(at_ms, _)| -at_ms);
    mails.truncate(MAILS_MINDED);
    let mut ignored: Vec<(i64, u32)> = Vec::with_capacity(mails.iter().map(|(_, shown)| shown.len()).sum());
    for (at_ms, shown) in mails {
        for product in shown {
            if clicked(product).is_some_and(|clicked_at_ms| clicked_at_ms >= at_ms) {
                continue;
            }
            match ignored.iter_mut().find(|(known, _)| *known == product) {
                Some((_, times)) => *times += 1,
                None => ignored.push((product, 1)),
            }
        }
    }
    ignored
}
