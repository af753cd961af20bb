//! The writers of turns: whoever is free takes every turn that is waiting, runs them in one transaction, commits once.
//!
//! A commit costs nearly the same whatever it holds, and a fast disk lets so many begin that each holds few. So one
//! that holds less than the last begins a moment later, and while one is under way the next waits for its end, unless
//! the disk is slow. A slot that is alone never waits: its commits are all of a size.

use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::turn::{self, Turn, Writer};
use crate::store::Db;

/// Most turns in one commit.
const TURNS_BATCH_MAX: usize = 256;
/// Turns that may wait for the writer; every slot has at most one.
const TURNS_WAITING_MAX: usize = 4096;
/// A commit of fewer turns than the last begins so long after it at the earliest: a third of the time in which twenty
/// slots send a mail each to a server next door.
const PACE: Duration = Duration::from_micros(800);
/// A commit that takes longer waits for a slow disk, or for a row: another line need not wait for it, once it has as
/// many turns as each of those under way.
const SLOW: Duration = Duration::from_millis(2);
/// How long a line with fewer waits: what holds up one of them, as a row that somebody else has locked, must not hold up
/// all.
const GATHER_MAX: Duration = Duration::from_millis(20);
/// How often a line looks whether it has as many.
const LOOK: Duration = Duration::from_millis(1);
/// First pause before a failed settle is repeated, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// Why a turn has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// Whether it was written is unknown, or it was not: the arm counts as refused, the settle must be repeated.
    #[error("the turn was not written: {0}")]
    NotWritten(String),
    /// The writer has ended.
    #[error("the queue's writer has ended")]
    Ended,
}

struct Item {
    turn: Turn,
    answer: oneshot::Sender<Result<bool, String>>,
}

/// The slots' handle on the writers; cheap to clone. They end when the last handle is dropped.
#[derive(Clone)]
pub struct Turns(mpsc::Sender<Item>);

/// Where the writers of all lines take turns from.
struct Waiting {
    items: Mutex<mpsc::Receiver<Item>>,
    committing: std::sync::Mutex<Committed>,
    /// Told when a commit ended.
    ended: Notify,
    /// Told when a commit takes long.
    slow: Notify,
}

/// What all lines are committing just now, and the last commit that began.
#[derive(Default)]
struct Committed {
    lines: usize,
    turns: usize,
    last: Option<(Instant, usize)>,
}

/// So many turns being committed, until it is dropped.
struct Committing<'w>(&'w Waiting, usize);

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        let mut all = self.0.committing();
        (all.lines, all.turns) = (all.lines - 1, all.turns - self.1);
        drop(all);
        self.0.ended.notify_one();
    }
}

impl Waiting {
    /// Fills `batch`, and counts it among what is being committed; `None` when the last handle was dropped. Blocks the
    /// thread for a moment: no timer of the runtime is as fine.
    async fn gather(&self, line: usize, batch: &mut Vec<Item>) -> Option<Committing<'_>> {
        let mut items = self.take_part(line).await;
        if items.recv_many(batch, TURNS_BATCH_MAX).await == 0 {
            self.slow.notify_one();
            return None;
        }
        std::thread::sleep(self.too_soon(batch.len()));
        // As long as others who were at work meanwhile hand in more.
        let mut known = 0;
        while batch.len() > known {
            known = batch.len();
            std::thread::yield_now();
            while batch.len() < TURNS_BATCH_MAX
                && let Ok(item) = items.try_recv()
            {
                batch.push(item);
            }
        }
        let mut all = self.committing();
        (all.lines, all.turns) = (all.lines + 1, all.turns + batch.len());
        all.last = Some((Instant::now(), batch.len()));
        Some(Committing(self, batch.len()))
    }

    /// Waits until a line may take what is waiting. The first may whenever nothing is under way; the others help it
    /// while the disk is slow, and else leave it the turns: what it needs for them is at hand there.
    async fn take_part(&self, line: usize) -> MutexGuard<'_, mpsc::Receiver<Item>> {
        loop {
            let items = self.items.lock().await;
            while let Some(wait) = self.wait(items.len()) {
                tokio::select! {
                    () = self.ended.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
            if line == 0 || items.is_closed() || self.committing().lines > 0 {
                return items;
            }
            drop(items);
            self.slow.notified().await;
        }
    }

    /// How long to wait for what others are committing, before so many turns that wait are looked at again.
    fn wait(&self, turns: usize) -> Option<Duration> {
        let all = self.committing();
        let taken = all.last.filter(|_| all.lines > 0)?.0.elapsed();
        let left = SLOW.saturating_sub(taken);
        let may_begin = left.is_zero() && (turns * all.lines >= all.turns || taken >= GATHER_MAX);
        (!may_begin).then_some(left.max(LOOK))
    }

    /// A commit, of which the other lines hear when it takes long.
    async fn watched<T>(&self, commit: impl Future<Output = T>) -> T {
        let mut commit = pin!(commit);
        if let Ok(done) = tokio::time::timeout(SLOW, &mut commit).await {
            return done;
        }
        self.slow.notify_one();
        commit.await
    }

    /// By how much a commit of so many turns would follow the last too soon.
    fn too_soon(&self, turns: usize) -> Duration {
        match self.committing().last {
            Some((began, last)) if turns < last => PACE.saturating_sub(began.elapsed()),
            _ => Duration::ZERO,
        }
    }

    fn committing(&self) -> std::sync::MutexGuard<'_, Committed> {
        self.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    /// A handle and its writers, as many as the database has [lines](Db::lines), to be spawned by the caller.
    /// `committed` hears of every commit: how many turns it held and how long it took.
    pub fn new(
        db: Db,
        epoch: i64,
        committed: impl Fn(usize, Duration) + Clone + Send + 'static,
    ) -> (Turns, Vec<impl Future<Output = ()> + Send>) {
        let (items, waiting) = mpsc::channel(TURNS_WAITING_MAX);
        let (items, waiting) = (Turns(items), Mutex::new(waiting));
        let waiting = Arc::new(Waiting {
            items: waiting,
            committing: Default::default(),
            ended: Notify::new(),
            slow: Notify::new(),
        });
        let line = |line| write(db.clone(), Writer { epoch, line }, waiting.clone(), committed.clone());
        (items, (0..db.lines()).map(line).collect())
    }

    /// Hands in a turn; returns, after it is durable, whether its arm was granted.
    ///
    /// # Errors
    /// [`TurnError::NotWritten`]: the commit failed or got no answer. Its settle must be handed in again.
    pub async fn take(&self, turn: Turn) -> Result<bool, TurnError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Item { turn, answer }).await.map_err(|_| TurnError::Ended)?;
        answered.await.map_err(|_| TurnError::Ended)?.map_err(TurnError::NotWritten)
    }

    /// Hands in what is owed until it is durable: a settle may be late, never lost while the process lives.
    ///
    /// # Errors
    /// [`TurnError::Ended`] alone.
    pub async fn settle(&self, turn: Turn) -> Result<(), TurnError> {
        let mut pause = RETRY_FIRST;
        loop {
            match self.take(Turn { settle: turn.settle.clone(), arm: None }).await {
                Ok(_) => return Ok(()),
                Err(TurnError::Ended) => return Err(TurnError::Ended),
                Err(TurnError::NotWritten(_)) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(RETRY_LAST);
        }
    }
}

async fn write(db: Db, writer: Writer, waiting: Arc<Waiting>, committed: impl Fn(usize, Duration)) {
    let mut batch = Vec::with_capacity(TURNS_BATCH_MAX);
    while let Some(_committing) = waiting.gather(writer.line, &mut batch).await {
        let began = Instant::now();
        let turns: Vec<Turn> = batch.iter_mut().map(|item: &mut Item| std::mem::take(&mut item.turn)).collect();
        match waiting.watched(turn::commit(&db, writer, &turns)).await {
            Ok(granted) => {
                committed(turns.len(), began.elapsed());
                for (item, granted) in batch.drain(..).zip(granted) {
                    let _ = item.answer.send(Ok(granted));
                }
            }
            Err(error) if turns.len() > 1 && !error.is_full() && !error.is_passing() => {
                // One bad row must not fail its neighbours: the batch is repeated item by item.
                tracing::warn!(%error, turns = turns.len(), "a batch of turns was refused, repeating it one by one");
                for (item, turn) in batch.drain(..).zip(turns) {
                    let one = turn::commit(&db, writer, std::slice::from_ref(&turn)).await;
                    let _ = item.answer.send(one.map(|granted| granted[0]).map_err(|error| error.to_string()));
                }
            }
            Err(error) => {
                tracing::error!(%error, turns = turns.len(), "turns were not written");
                for item in batch.drain(..) {
                    let _ = item.answer.send(Err(error.to_string()));
                }
            }
        }
    }
}
