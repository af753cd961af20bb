//! The loops around the steps of the way: a step is a `tick`, sleeping and stopping live here alone.

use std::fmt::Display;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Longest pause after a failed tick.
const FAILED_PAUSE: Duration = Duration::from_secs(2);

/// A step of the way as a loop sees it.
pub trait Worker: Send {
    type Error: Display + Send;

    /// Does one piece of work; `false`: there was none.
    fn tick(&mut self) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

/// Ticks until `stop`: at once again while there was something to do, else after `idle`. A failure is logged once when
/// it begins and once when it ends, however often it repeats.
pub async fn repeat<W: Worker>(name: &'static str, stop: CancellationToken, idle: Duration, worker: &mut W) {
    let mut failing = false;
    while !stop.is_cancelled() {
        let pause = match worker.tick().await {
            Ok(did) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(worker = name, "{name} works again");
                }
                if did { Duration::ZERO } else { idle }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(worker = name, %error, "{name} failed and tries again: {error}");
                }
                idle.max(Duration::from_millis(50)).min(FAILED_PAUSE)
            }
        };
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// The tasks of a daemon. One that panics ends the daemon: what it held is recovered by the next.
#[derive(Default)]
pub struct Crew(JoinSet<&'static str>);

impl Crew {
    pub fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            work.await;
            name
        });
    }

    /// Spawns work that is waited for by many, on a thread of its own: between two of its steps it does not stand in
    /// line behind mails being rendered.
    pub fn spawn_apart(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let runtime = tokio::runtime::Handle::current();
        self.0.spawn_blocking(move || {
            runtime.block_on(work);
            name
        });
    }

    /// As [`spawn_apart`](Crew::spawn_apart), and what it connects to is read by its thread too.
    pub fn spawn_alone(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a thread can wait").block_on(work);
            name
        });
    }

    /// Waits until one ends: its name, or an error when it panicked. `None`: all have ended.
    pub async fn next(&mut self) -> Option<Result<&'static str, String>> {
        let ended = self.0.join_next().await?;
        Some(ended.map_err(|error| error.to_string()))
    }

    /// Waits for all, at most `wait`; what still runs then is dropped. Says whether all ended.
    pub async fn finish(mut self, wait: Duration) -> bool {
        tokio::time::timeout(wait, async { while self.0.join_next().await.is_some() {} }).await.is_ok()
    }
}
