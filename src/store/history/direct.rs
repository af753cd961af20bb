//! Member by member, as SQLite answers fastest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::{CachedStatement, OptionalExtension, Row, Transaction};

use super::{BOUGHT_WITHIN_MS, LOOKS_MAX, RUNS_LOOKED, VIEWED_WITHIN_MS, ignored, looks, tidy};
use crate::domain::engagement::{Decay, SCORE_MIN};
use crate::domain::recommend::{Act, History, TagScore};
use crate::domain::shown::Shown;
use crate::store::StoreError;

const VIEWED: &str = "select product_id, at_ms, name_id from event
     where member_id = ?1 and at_ms > ?2 and product_id is not null order by at_ms desc limit ?3";
const CLICKED: &str = "select product_id, at_ms from touch
     where member_id = ?1 and at_ms > ?2 and kind = 'click' and class = 'human' and product_id is not null";
const BOUGHT: &str = "select l.product_id, o.ordered_at_ms from orders o join order_line l on l.orders_id = o.id
     where o.member_id = ?1 and o.ordered_at_ms > ?2 and o.status in ('completed', 'pending')";
/// The mail being made is not among those that were sent, nor one in doubt, so a second try shows what the first
/// showed.
const MAIL: &str = "select coalesce(g.armed_at_ms, g.sent_at_ms, 0), s.body
     from message g join shown s on s.run_id = g.run_id and s.message_id = g.id
     where g.run_id = ?1 and g.origin = ?2 and g.seq = 0 and g.member_id = ?2 and g.state = 'sent'";
const RUNS: &str = "select id from run order by id desc limit ?1";
const TAGS: &str = "select tag_id, lscore from member_tag where member_id = ?1";
const TAG: &str = "select key, half_life_ms, ceiling from tag where id = ?1";

/// As [`load`](super::load), of one moment of the database.
pub fn load(tx: &Transaction<'_>, ids: &[i64], now_ms: i64) -> Result<HashMap<i64, History>, StoreError> {
    let read = || {
        let mut desk = Desk::new(tx, now_ms)?;
        let mut all = HashMap::with_capacity(ids.len());
        for id in ids {
            let mut history = desk.history(*id)?;
            if history != History::default() {
                tidy(&mut history);
                all.insert(*id, history);
            }
        }
        Ok(all)
    };
    read().map_err(|error| StoreError::direct("load what members did", error))
}

/// The questions, ready to be asked, and what is the same for every member.
struct Desk<'t> {
    now_ms: i64,
    /// The names of looks at products.
    looks: Vec<i64>,
    /// The latest runs.
    runs: Vec<i64>,
    viewed: CachedStatement<'t>,
    clicked: CachedStatement<'t>,
    bought: CachedStatement<'t>,
    mail: CachedStatement<'t>,
    tags: CachedStatement<'t>,
    tag: CachedStatement<'t>,
    known: HashMap<i64, (Arc<str>, Decay)>,
}

impl<'t> Desk<'t> {
    fn new(tx: &'t Transaction<'_>, now_ms: i64) -> rusqlite::Result<Desk<'t>> {
        Ok(Desk {
            now_ms,
            looks: every(&mut tx.prepare_cached(looks!())?, [], |row| row.get(0))?,
            runs: every(&mut tx.prepare_cached(RUNS)?, [RUNS_LOOKED], |row| row.get(0))?,
            viewed: tx.prepare_cached(VIEWED)?,
            clicked: tx.prepare_cached(CLICKED)?,
            bought: tx.prepare_cached(BOUGHT)?,
            mail: tx.prepare_cached(MAIL)?,
            tags: tx.prepare_cached(TAGS)?,
            tag: tx.prepare_cached(TAG)?,
            known: HashMap::new(),
        })
    }

    fn history(&mut self, id: i64) -> rusqlite::Result<History> {
        let since = self.now_ms - VIEWED_WITHIN_MS;
        let act = |row: &Row<'_>| Ok(Act { product: row.get(0)?, at_ms: row.get(1)?, times: 1 });
        let named = |row: &Row<'_>| Ok((act(row)?, row.get::<_, i64>(2)?));
        let mut viewed = every(&mut self.viewed, (id, since, LOOKS_MAX), named)?;
        viewed.retain(|(_, name)| self.looks.contains(name));
        let mut viewed: Vec<Act> = viewed.into_iter().map(|(seen, _)| seen).collect();
        let clicks = every(&mut self.clicked, (id, since), act)?;
        viewed.extend(&clicks);
        let mail = |row: &Row<'_>| Ok((row.get(0)?, Shown::products_of(row.get_ref(1)?.as_str()?)));
        let mut mails = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            mails.extend(self.mail.query_row((run, id), mail).optional()?);
        }
        let clicked = |product| clicks.iter().filter(|act| act.product == product).map(|act| act.at_ms).max();
        let bought = every(&mut self.bought, (id, self.now_ms - BOUGHT_WITHIN_MS), act)?;
        Ok(History {
            viewed,
            bought: summed(bought),
            ignored: ignored(mails, clicked),
            tags: self.tags(id)?,
            ..History::default()
        })
    }

    /// Those that still count.
    fn tags(&mut self, id: i64) -> rusqlite::Result<Vec<TagScore>> {
        let mut counting = Vec::new();
        for (tag, lscore) in every(&mut self.tags, [id], |row| Ok((row.get(0)?, row.get::<_, f64>(1)?)))? {
            let (key, decay) = match self.known.entry(tag) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.tag.query_row([tag], |row| {
                    let decay = Decay { half_life_ms: row.get(1)?, ceiling: row.get(2)? };
                    Ok((row.get::<_, Box<str>>(0)?.into(), decay))
                })?),
            };
            if lscore >= (Decay { ceiling: None, ..*decay }).threshold(SCORE_MIN, self.now_ms) {
                counting.push(TagScore { key: key.clone(), score: decay.score(lscore, self.now_ms) });
            }
        }
        Ok(counting)
    }
}

/// Every row of an answer.
fn every<T>(
    statement: &mut CachedStatement<'_>,
    params: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut all = Vec::with_capacity(16);
    for row in statement.query_map(params, read)? {
        all.push(row?);
    }
    Ok(all)
}

/// Each product once: the last time, and how often.
fn summed(mut acts: Vec<Act>) -> Vec<Act> {
    acts.sort_unstable_by_key(|act| (act.product, -act.at_ms));
    acts.dedup_by(|later, kept| {
        let same = later.product == kept.product;
        kept.times += if same { later.times } else { 0 };
        same
    });
    acts
}
