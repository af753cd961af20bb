//! Opens and clicks, written down before they are answered: a group commit without a timer.
//!
//! Whoever records a touch waits until it is durable. One task takes everything that is waiting, commits it in one
//! transaction, wakes all of them, and takes what came in the meantime: the disk makes the batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::base::metrics::Metrics;
use crate::store::touch::{self, Touch};
use crate::store::{Db, Lane, StoreError, direct};

/// Touches that may wait for the disk. More callers wait at the door.
pub const QUEUE_MAX: usize = 16_384;
/// Touches committed at once: about 10 ms of the writer.
const BATCH_MAX: usize = 1_024;

/// Why a touch was not recorded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrackError {
    #[error("the touch was not recorded: {0}")]
    Store(Arc<StoreError>),
    #[error("the touch was not recorded: tracking has stopped")]
    Stopped,
}

struct Waiting {
    touch: Touch,
    done: oneshot::Sender<Result<(), TrackError>>,
}

/// Where touches are handed in; cheap to clone. The writer ends when the last handle is dropped.
#[derive(Clone)]
pub struct Tracker(mpsc::Sender<Waiting>);

/// The task that writes touches down. On SQLite it blocks its thread: give it one of its own.
pub struct Writer {
    db: Db,
    metrics: Metrics,
    queue: mpsc::Receiver<Waiting>,
}

/// A tracker and its writer, which the caller must [run](Writer::run).
pub fn tracker(db: Db, metrics: Metrics) -> (Tracker, Writer) {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    (Tracker(sender), Writer { db, metrics, queue })
}

impl Tracker {
    /// Records a touch and returns when it is durable.
    ///
    /// # Errors
    /// When its batch was not committed, or nobody writes any more.
    ///
    /// # Crash
    /// Before the return the touch is there or not; after it, it is there.
    pub async fn record(&self, touch: Touch) -> Result<(), TrackError> {
        let (done, outcome) = oneshot::channel();
        self.0.send(Waiting { touch, done }).await.map_err(|_| TrackError::Stopped)?;
        outcome.await.unwrap_or(Err(TrackError::Stopped))
    }
}

impl Writer {
    /// Writes until every [`Tracker`] is dropped and the queue is empty.
    pub async fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        let (mut touches, mut callers) = (Vec::with_capacity(BATCH_MAX), Vec::with_capacity(BATCH_MAX));
        while self.queue.recv_many(&mut waiting, BATCH_MAX).await > 0 {
            for Waiting { touch, done } in waiting.drain(..) {
                touches.push(touch);
                callers.push(done);
            }
            let outcome = self.commit(&touches).await.map_err(|error| {
                tracing::error!(touches = touches.len(), %error, "opens and clicks were not recorded");
                TrackError::Store(Arc::new(error))
            });
            touches.clear();
            for done in callers.drain(..) {
                // Whoever asked may have hung up.
                let _ = done.send(outcome.clone());
            }
        }
    }

    async fn commit(&self, touches: &[Touch]) -> Result<(), StoreError> {
        let timer = self.metrics.track_commit.start();
        match self.db.direct(Lane::Event).await {
            Some(mut writer) => {
                let tx = writer.begin()?;
                touch::append_directly(&tx, touches)?;
                direct::commit(tx)?;
            }
            None => {
                let mut tx = self.db.begin_by_key(Lane::Event).await?;
                touch::append(tx.conn(), touches).await?;
                tx.commit().await?;
            }
        }
        timer.stop();
        self.metrics.track_batch.observe(touches.len() as f64);
        self.count(touches);
        Ok(())
    }

    fn count(&self, touches: &[Touch]) {
        let mut counts = BTreeMap::new();
        for touch in touches {
            *counts.entry((touch.kind, touch.class)).or_default() += 1;
        }
        for ((kind, class), n) in counts {
            self.metrics.touched(kind.as_str(), class.as_str(), n);
        }
    }
}
