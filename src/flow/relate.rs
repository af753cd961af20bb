//! The recommender's tables, built from what all members did: one walk, checkpoints on the way, one commit at the end.
//!
//! A build walks members by id, some thousands at a time, and keeps counts of bounded size. The weights of the model
//! are learned on the way: a second count stops a sixth of the time short of now, and some members' purchases after
//! that are kept to be foretold from it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::base::{World, draw};
use crate::domain::recommend::bytes::{Broken, Reader, Writer};
use crate::domain::recommend::count::Counter;
use crate::domain::recommend::follow::Followers;
use crate::domain::recommend::learn::{LEARNERS_MAX, learn};
use crate::domain::recommend::log::Deed;
use crate::domain::recommend::tables::Tables;
use crate::domain::recommend::taste::kinds;
use crate::store::catalog::PRODUCTS_MAX;
use crate::store::recommend::{self as store, Build, TABLES};
use crate::store::{Conn, Db, Lane, StoreError};

/// Ids of members read at once: at first, and at most.
const CHUNK: (i64, i64) = (125, 2_000);
/// Deeds that a chunk should not have more of, for they lie in memory all at once.
const CHUNK_DEEDS: u64 = 200_000;
/// How often a checkpoint is written, milliseconds; where writing one takes long, so many times as long.
const CHECKPOINT_MS: i64 = 60_000;
const CHECKPOINT_SHARE: i64 = 9;
/// A build whose last sign of life is older is dead, milliseconds.
const DEAD_AFTER_MS: i64 = 5 * CHECKPOINT_MS;
/// How far back purchases and looks are read, milliseconds: two years, half a year.
const BOUGHT_WITHIN_MS: i64 = 730 * 86_400_000;
const VIEWED_WITHIN_MS: i64 = 180 * 86_400_000;
/// The share of that time after which weights are learned from.
const LEARNED_WITHIN_MS: i64 = 60 * 86_400_000;
/// Deeds of a member that are learned from, the latest.
const LEARNER_DEEDS_MAX: usize = 300;

/// Why a build came to no end.
#[derive(Debug, thiserror::Error)]
pub enum RelateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error(
        "the thread that worked out the tables died: the build goes on from its last checkpoint when it is run again"
    )]
    Died,
    #[error("another build is under way: it last gave a sign of life {} s ago", ago_ms / 1000)]
    UnderWay { ago_ms: i64 },
}

/// How far a build has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Ids of members walked, and of all there are.
    pub members: i64,
    pub of_members: i64,
    /// Purchases and looks since this process began.
    pub deeds: u64,
    /// It goes on where an earlier process left off.
    pub resumed: bool,
}

/// Whether the newest tables are older than `age_ms`, and nobody builds new ones.
///
/// # Errors
/// The database's.
pub async fn is_due(db: &Db, now_ms: i64, age_ms: i64) -> Result<bool, StoreError> {
    let mut reader = db.reader().await?;
    let newest = store::newest(reader.conn()).await?;
    let building = store::unfinished(reader.conn()).await?;
    Ok(newest.is_none_or(|(_, started_at_ms)| now_ms - started_at_ms >= age_ms)
        && building.is_none_or(|build| now_ms - build.beat_at_ms >= DEAD_AFTER_MS))
}

/// Builds new tables, or finishes the build that an earlier process left unfinished.
///
/// # Errors
/// The database's; another build that is alive.
///
/// # Crash
/// The tables that count stay those before. The next build goes on from the last checkpoint, at most a minute back.
pub async fn build(db: &Db, world: &World, told: &(dyn Fn(Progress) + Sync)) -> Result<Tables, RelateError> {
    let mut walk = Walk::enter(db, world.now_ms()).await?;
    let mut progress = Progress { of_members: walk.last, resumed: walk.cursor > 0, ..Progress::default() };
    let mut due_ms = world.now_ms() + CHECKPOINT_MS;
    while walk.cursor < walk.last {
        progress.deeds += walk.chunk(db).await?;
        progress.members = walk.cursor.min(walk.last);
        told(progress);
        let begun_ms = world.now_ms();
        if begun_ms >= due_ms {
            walk.save(db, begun_ms).await?;
            let took_ms = world.now_ms() - begun_ms;
            due_ms = world.now_ms() + (CHECKPOINT_SHARE * took_ms).clamp(CHECKPOINT_MS, DEAD_AFTER_MS / 2);
        }
    }
    walk.finish(db, world).await
}

/// Where a build stands.
struct Walk {
    build: i64,
    checkpoint: i64,
    cursor: i64,
    /// Ids of members read next.
    chunk: i64,
    last: i64,
    ids: Vec<i64>,
    numbers: HashMap<i64, u32>,
    /// Everything until the build began.
    whole: Counter,
    /// Everything until the time that is learned from.
    earlier: Counter,
    follows: Followers,
    /// Members who bought after that time, drawn evenly: those with the lowest lots.
    learners: BTreeMap<(i64, i64), Vec<Deed>>,
}

impl Walk {
    async fn enter(db: &Db, now_ms: i64) -> Result<Walk, RelateError> {
        let mut tx = db.begin(Lane::Bulk).await?;
        let found = store::unfinished(tx.conn()).await?;
        if let Some(build) =
            found.filter(|build| now_ms - build.beat_at_ms < DEAD_AFTER_MS && build.beat_at_ms <= now_ms)
        {
            return Err(RelateError::UnderWay { ago_ms: now_ms - build.beat_at_ms });
        }
        let resumed = found.filter(|build| build.checkpoint > 0);
        let mut build = match resumed {
            Some(build) => build.id,
            None => store::begin(tx.conn(), now_ms).await?,
        };
        store::beat(tx.conn(), build, now_ms).await?;
        tx.commit().await?;
        let (products, last) = store::extent(db.reader().await?.conn(), PRODUCTS_MAX).await?;
        if let Some(found) = resumed {
            match Walk::resume(db.reader().await?.conn(), found).await {
                Ok(walk) => return Ok(Walk { checkpoint: found.checkpoint, cursor: found.cursor, last, ..walk }),
                // Another version wrote it, or it is damaged: nothing is lost but the time it took.
                Err(RelateError::Broken(_)) => {
                    let mut tx = db.begin(Lane::Bulk).await?;
                    build = store::begin(tx.conn(), now_ms).await?;
                    tx.commit().await?;
                }
                Err(error) => return Err(error),
            }
        }
        let categories = || products.iter().map(|(_, category)| category.as_str());
        let (follows, kinds) = (Followers::new(categories()), kinds(categories()));
        let ids: Vec<i64> = products.iter().map(|(id, _)| *id).collect();
        let (whole, earlier) = (Counter::new(kinds.clone(), now_ms), Counter::new(kinds, now_ms - LEARNED_WITHIN_MS));
        Ok(Walk { last, ..Walk::new(build, ids, (whole, earlier), follows) })
    }

    fn new(build: i64, ids: Vec<i64>, (whole, earlier): (Counter, Counter), follows: Followers) -> Walk {
        let numbers = ids.iter().copied().zip(0..).collect();
        let (checkpoint, cursor, chunk, last) = (0, 0, CHUNK.0, 0);
        Walk {
            build,
            checkpoint,
            cursor,
            chunk,
            last,
            ids,
            numbers,
            whole,
            earlier,
            follows,
            learners: BTreeMap::new(),
        }
    }

    /// Counts the next members, and says how much they did.
    async fn chunk(&mut self, db: &Db) -> Result<u64, StoreError> {
        let (from, to, now_ms) = (self.cursor + 1, self.cursor + self.chunk, self.whole.now_ms());
        let mut reader = db.reader().await?;
        let bought = store::bought(reader.conn(), from, to, now_ms - BOUGHT_WITHIN_MS).await?;
        let viewed = store::viewed(reader.conn(), from, to, now_ms - VIEWED_WITHIN_MS).await?;
        drop(reader);
        let of = |rows: Vec<store::DeedRow>, bought: bool| {
            let numbers = &self.numbers;
            rows.into_iter().filter_map(move |(member, product, at_ms)| {
                Some((member, Deed { at_ms, product: *numbers.get(&product)?, bought }))
            })
        };
        let mut deeds: Vec<(i64, Deed)> = of(bought, true).chain(of(viewed, false)).collect();
        deeds.sort_unstable();
        for member in deeds.chunk_by(|a, b| a.0 == b.0) {
            let id = member[0].0;
            self.member(id, member.iter().map(|(_, deed)| *deed).collect());
        }
        self.cursor = to;
        let done = deeds.len() as u64;
        self.chunk = match done {
            deeds if deeds > CHUNK_DEEDS => (self.chunk / 2).max(1),
            deeds if deeds < CHUNK_DEEDS / 2 => (2 * self.chunk).min(CHUNK.1),
            _ => self.chunk,
        };
        Ok(done)
    }

    fn member(&mut self, id: i64, mut deeds: Vec<Deed>) {
        self.whole.member(&deeds);
        self.earlier.member(&deeds);
        self.follows.member(deeds.iter().filter(|deed| deed.bought).map(|deed| (deed.product, deed.at_ms)));
        let bought_after = |deed: &Deed| deed.bought && deed.at_ms >= self.earlier.now_ms();
        if deeds.iter().any(bought_after) && deeds.iter().any(|deed| deed.at_ms < self.earlier.now_ms()) {
            deeds.drain(..deeds.len().saturating_sub(LEARNER_DEEDS_MAX));
            let lot = (draw::fraction(&[id]) * draw::LOT_MODULUS as f64) as i64;
            self.learners.insert((lot, id), deeds);
            if self.learners.len() > LEARNERS_MAX {
                self.learners.pop_last();
            }
        }
    }

    /// Writes a checkpoint and makes it the one to go on from.
    async fn save(&mut self, db: &Db, now_ms: i64) -> Result<(), StoreError> {
        let part = self.checkpoint + 1;
        store::put(db, self.build, part, self.units()).await?;
        let mut tx = db.begin(Lane::Bulk).await?;
        store::reached(tx.conn(), self.build, part, self.cursor, now_ms).await?;
        tx.commit().await?;
        self.checkpoint = part;
        sweep(db, self.build, part).await
    }

    async fn finish(self, db: &Db, world: &World) -> Result<Tables, RelateError> {
        let build = self.build;
        let made = tokio::task::spawn_blocking(move || {
            let weights = learn(&self.earlier.finish(self.ids.clone()), self.learners.values().map(Vec::as_slice));
            Tables { weights, follows: self.follows.finish(), ..self.whole.finish(self.ids) }
        });
        let tables = made.await.map_err(|_| RelateError::Died)?;
        store::put(db, build, TABLES, std::iter::once(tables.to_bytes())).await?;
        let mut tx = db.begin(Lane::Bulk).await?;
        store::finish(tx.conn(), build, world.now_ms()).await?;
        tx.commit().await?;
        sweep(db, build, TABLES).await?;
        Ok(tables)
    }

    /// The walk as bytes, a unit at a time: all of it at once would take as much memory again as the counts do.
    fn units(&self) -> impl Iterator<Item = Vec<u8>> + Send + '_ {
        let pairs = |stretch: Range<usize>| {
            let mut w = Writer::default();
            [&self.whole, &self.earlier].into_iter().for_each(|counter| counter.write_pairs(stretch.clone(), &mut w));
            w.0
        };
        std::iter::once_with(|| self.but_pairs()).chain(self.whole.stretches().map(pairs))
    }

    fn but_pairs(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.i64s(&self.ids);
        self.whole.write(&mut w);
        self.earlier.write(&mut w);
        self.follows.write(&mut w);
        w.i64(self.learners.len() as i64);
        for ((lot, id), deeds) in &self.learners {
            let flat = deeds.iter().flat_map(|deed| [deed.at_ms, i64::from(deed.product) * 2 + i64::from(deed.bought)]);
            w.i64s(&[*lot, *id]);
            w.i64s(&flat.collect::<Vec<_>>());
        }
        w.0
    }

    /// The walk as a build's checkpoint keeps it.
    async fn resume(mut conn: Conn<'_>, found: Build) -> Result<Walk, RelateError> {
        let bytes = store::get_unit(conn.again(), found.id, found.checkpoint, 0).await?;
        let mut walk = Walk::read(&bytes, found.id)?;
        for (unit, stretch) in (1..).zip(walk.whole.stretches()) {
            let bytes = store::get_unit(conn.again(), found.id, found.checkpoint, unit).await?;
            let r = &mut Reader(&bytes);
            walk.whole.read_pairs(stretch.clone(), r)?;
            walk.earlier.read_pairs(stretch, r)?;
        }
        Ok(walk)
    }

    fn read(bytes: &[u8], build: i64) -> Result<Walk, Broken> {
        let r = &mut Reader(bytes);
        let (ids, whole, earlier) = (r.i64s()?, Counter::read(r)?, Counter::read(r)?);
        if [whole.products(), earlier.products()] != [ids.len(); 2] {
            return Err(Broken);
        }
        let mut walk = Walk::new(build, ids, (whole, earlier), Followers::read(r)?);
        for _ in 0..r.i64()? {
            let (key, flat) = (r.i64s()?, r.i64s()?);
            let [lot, id] = key[..] else { return Err(Broken) };
            let deed = |pair: &[i64]| Deed { at_ms: pair[0], product: (pair[1] / 2) as u32, bought: pair[1] % 2 == 1 };
            walk.learners.insert((lot, id), flat.chunks_exact(2).map(deed).collect());
        }
        Ok(walk)
    }
}

/// Deletes what no build needs any more, in short transactions.
async fn sweep(db: &Db, build: i64, keep: i64) -> Result<(), StoreError> {
    loop {
        let mut tx = db.begin(Lane::Bulk).await?;
        let swept = store::sweep(tx.conn(), build, keep).await?;
        tx.commit().await?;
        if swept == 0 {
            return Ok(());
        }
    }
}
