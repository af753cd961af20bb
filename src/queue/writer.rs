//! The writers of turns: each takes every turn that is waiting for it, runs them in one transaction, commits once. No
//! timer gathers the batch: the commit before it does, and where threads wait for a processor, those that are at work
//! on a turn just now. A turn goes to the line that has the least to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::turn::{self, Turn, Writer};
use crate::store::Db;

/// Most turns in one commit.
const TURNS_BATCH_MAX: usize = 256;
/// Turns that may wait for the writer; every slot has at most one.
const TURNS_WAITING_MAX: usize = 4096;
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
pub struct Turns(Arc<[Line]>);

struct Line {
    items: mpsc::Sender<Item>,
    /// Turns handed in and not answered.
    under_way: AtomicUsize,
}

/// A turn under way on a line, until it is dropped.
struct UnderWay<'l>(&'l Line);

impl<'l> UnderWay<'l> {
    /// On the line with the least to do, the first of equal ones.
    fn on(lines: &'l [Line]) -> UnderWay<'l> {
        let least = lines.iter().min_by_key(|line| line.under_way.load(Ordering::Relaxed)).expect("there is a line");
        least.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(least)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
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
        let line = |line| {
            let (items, waiting) = mpsc::channel(TURNS_WAITING_MAX);
            let written = write(db.clone(), Writer { epoch, line }, waiting, committed.clone());
            (Line { items, under_way: AtomicUsize::new(0) }, written)
        };
        let (lines, writers): (Vec<Line>, Vec<_>) = (0..db.lines()).map(line).unzip();
        (Turns(lines.into()), writers)
    }

    /// Hands in a turn; returns, after it is durable, whether its arm was granted.
    ///
    /// # Errors
    /// [`TurnError::NotWritten`]: the commit failed or got no answer. Its settle must be handed in again.
    pub async fn take(&self, turn: Turn) -> Result<bool, TurnError> {
        let (answer, answered) = oneshot::channel();
        let under_way = UnderWay::on(&self.0);
        under_way.0.items.send(Item { turn, answer }).await.map_err(|_| TurnError::Ended)?;
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

async fn write(db: Db, writer: Writer, mut waiting: mpsc::Receiver<Item>, committed: impl Fn(usize, Duration)) {
    let mut batch = Vec::with_capacity(TURNS_BATCH_MAX);
    while waiting.recv_many(&mut batch, TURNS_BATCH_MAX).await > 0 {
        // As long as others who were at work meanwhile hand in more.
        let mut known = 0;
        while batch.len() > known && batch.len() < TURNS_BATCH_MAX {
            known = batch.len();
            std::thread::yield_now();
            while batch.len() < TURNS_BATCH_MAX
                && let Ok(item) = waiting.try_recv()
            {
                batch.push(item);
            }
        }
        let began = tokio::time::Instant::now();
        let turns: Vec<Turn> = batch.iter_mut().map(|item: &mut Item| std::mem::take(&mut item.turn)).collect();
        match turn::commit(&db, writer, &turns).await {
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
