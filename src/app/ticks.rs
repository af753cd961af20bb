//! The daemon's workers: what each of them does at a tick.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bell::Bell;
use super::high_water::HighWater;
use super::library::Shelf;
use super::serve::recover_piece;
use super::workers::Worker;
use crate::base::World;
use crate::base::metrics::Metrics;
use crate::domain::alert::Alert;
use crate::domain::breaker::Limits;
use crate::domain::message::MessageState;
use crate::domain::tagging::Rules;
use crate::domain::touch::Agents;
use crate::flow::breaker;
use crate::flow::classify;
use crate::flow::dispatch::Dispatch;
use crate::flow::learn;
use crate::flow::plan::{self, PlanError, Terms};
use crate::flow::relate::{self, RelateError};
use crate::queue::count;
use crate::store::checkpoint::Checkpoints;
use crate::store::schema::partition;
use crate::store::{Db, Lane, StoreError, daemon, outbox};

/// Events waiting to be learned from that are counted, at most.
const UNLEARNED_MAX: i64 = 100_000;
/// How far the database's clock may be off this machine's, milliseconds.
const CLOCK_OFF_MAX_MS: i64 = 30_000;
/// Why runs stand still after a restore.
pub(super) const WENT_BACK: &str = "the database has gone back in time (a restored copy, or a standby promoted too \
    early): mails that read as queued may have been sent since. Every campaign stands still: cancel it, or resume it \
    and send those mails again";
/// How often free space is looked at.
const ROOM_LOOK: Duration = Duration::from_millis(250);

/// Moves runs along their life.
pub struct Plan {
    pub db: Db,
    pub world: World,
    pub terms: Terms,
    pub bell: Bell,
}

impl Worker for Plan {
    type Error = PlanError;

    async fn tick(&mut self) -> Result<bool, PlanError> {
        plan::tick(&self.db, &self.world, &self.terms, self.bell.ways()).await
    }
}

/// Stops what does harm.
pub struct Breakers {
    pub db: Db,
    pub world: World,
    pub limits: Limits,
    pub bell: Bell,
}

impl Worker for Breakers {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        breaker::tick(&self.db, &self.limits, self.bell.ways(), self.world.now_ms()).await
    }
}

/// Turns events into tags.
pub struct Learn {
    pub db: Db,
    pub world: World,
    pub rules: Arc<Rules>,
    pub metrics: Metrics,
}

impl Worker for Learn {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        let learned = learn::run_once(&self.db, &self.rules, self.world.now_ms(), learn::BATCH_MAX).await?;
        self.metrics.learned.inc_by(learned as u64);
        let anew = learn::again(&self.db, &self.rules, self.world.now_ms()).await?;
        Ok(learned > 0 || anew)
    }
}

/// Gives opens and clicks their final class.
pub struct Classify {
    pub db: Db,
    pub world: World,
    pub agents: Arc<Agents>,
    pub final_after_ms: i64,
}

impl Worker for Classify {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        let done = classify::tick(&self.db, &self.agents, self.world.now_ms(), self.final_after_ms).await?;
        if done.changed > 0 {
            tracing::info!(judged = done.judged, changed = done.changed, "opens and clicks have their final class");
        }
        Ok(done.judged > 0)
    }
}

/// Builds the recommender's tables when they have become old.
pub struct Relate {
    pub db: Db,
    pub world: World,
    pub every_ms: i64,
    /// A build that is cut short goes on from its last checkpoint.
    pub stop: CancellationToken,
}

impl Worker for Relate {
    type Error = RelateError;

    async fn tick(&mut self) -> Result<bool, RelateError> {
        if !relate::is_due(&self.db, self.world.now_ms(), self.every_ms).await? {
            return Ok(false);
        }
        tokio::select! {
            () = self.stop.cancelled() => Ok(false),
            built = relate::build(&self.db, &self.world, &|_| ()) => {
                let products = built?.ids.len();
                tracing::info!(products, "built the recommender's tables");
                Ok(true)
            }
        }
    }
}

/// Beats, buries the silent, takes back what they held.
pub struct Watch {
    pub db: Db,
    pub world: World,
    pub epoch: i64,
    /// `None` on SQLite, where the lock proves that nobody else is there.
    pub dead_after_ms: Option<i64>,
    /// Beats in a row.
    pub beats: u32,
    /// Cancelled when somebody declared this daemon dead.
    pub drain: CancellationToken,
    pub high_water: HighWater,
    /// Whether this machine's clock and the database's agree.
    pub clocks_agree: Arc<AtomicBool>,
    pub bell: Bell,
}

impl Worker for Watch {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        let beaten = self.beat().await;
        // Whoever was away himself cannot tell who else was: two beats of its own first.
        self.beats = if matches!(beaten, Ok(true)) { self.beats.saturating_add(1) } else { 0 };
        if beaten? && self.dead_after_ms.is_some() && self.beats > 2 {
            while recover_piece(&self.db, self.epoch, self.world.now_ms()).await? {}
        }
        Ok(false)
    }
}

impl Watch {
    async fn beat(&mut self) -> Result<bool, StoreError> {
        let now_ms = self.world.now_ms();
        let mut tx = self.db.begin(Lane::Turn).await?;
        let living = daemon::beat(tx.conn(), self.epoch, now_ms).await?;
        let turn_no = daemon::turn_no(tx.conn(), self.epoch).await?;
        let theirs_ms = daemon::clock_ms(tx.conn()).await?;
        if let Some(dead_after_ms) = self.dead_after_ms.filter(|_| living && self.beats >= 2) {
            daemon::reap(tx.conn(), now_ms - dead_after_ms, now_ms).await?;
        }
        tx.commit().await?;
        self.compare_clocks(theirs_ms.map_or(0, |theirs_ms| theirs_ms - now_ms), now_ms).await;
        if let Some(turn_no) = turn_no {
            self.keep_high_water(turn_no, now_ms).await?;
        }
        if !living && !self.drain.is_cancelled() {
            tracing::error!("another daemon declared this one dead: it drains and ends; start it again");
            self.drain.cancel();
        }
        Ok(living)
    }
}

impl Watch {
    /// A daemon whose clock is off would send too early or too late, and judge others dead that live.
    async fn compare_clocks(&self, off_ms: i64, now_ms: i64) {
        let agree = off_ms.abs() <= CLOCK_OFF_MAX_MS;
        if self.clocks_agree.swap(agree, Ordering::Relaxed) != agree {
            match agree {
                true => tracing::info!("sending goes on: the database's clock and this machine's agree again"),
                false => {
                    let why = format!(
                        "sending stops: the database's clock is {off_ms} ms off this machine's; set both by NTP"
                    );
                    tracing::error!(off_ms, "{why}");
                    self.bell.ring(&Alert::sending_stopped("clock", &why, now_ms), now_ms).await;
                }
            }
        }
    }

    async fn keep_high_water(&mut self, turn_no: i64, now_ms: i64) -> Result<(), StoreError> {
        match self.high_water.raise(turn_no) {
            Ok(true) => {}
            Ok(false) => {
                tracing::error!("{WENT_BACK}");
                plan::doubt_all(&self.db, self.bell.ways(), WENT_BACK, now_ms).await?;
                self.high_water.accept(turn_no);
            }
            Err(error) => tracing::warn!(%error, "could not write the high-water mark: {error}"),
        }
        Ok(())
    }
}

/// Says how much waits: messages by state, events to be learned from.
pub struct Gauges {
    pub db: Db,
    pub metrics: Metrics,
}

impl Gauges {
    /// How often.
    pub const LOOK: Duration = Duration::from_secs(2);
}

impl Worker for Gauges {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        let mut reader = self.db.reader().await?;
        let standing = count::standing(reader.conn()).await?;
        let unlearned = outbox::waiting(reader.conn(), UNLEARNED_MAX).await?;
        for state in [MessageState::Queued, MessageState::Leased, MessageState::Armed, MessageState::InDoubt] {
            let n = standing.iter().find(|(known, _)| known == state.as_str()).map_or(0, |(_, n)| *n);
            self.metrics.stand(state.as_str(), n);
        }
        self.metrics.unlearned.set(unlearned);
        Ok(false)
    }
}

/// Makes room in PostgreSQL's largest tables before it is needed.
pub struct Room {
    pub db: Db,
    pub world: World,
}

impl Room {
    /// How often.
    pub const LOOK: Duration = Duration::from_secs(3600);
}

impl Worker for Room {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        let mut reader = self.db.reader().await?;
        match partition::make_ahead(reader.conn(), self.world.now_ms()).await {
            Ok(0) => {}
            Ok(made) => tracing::info!(made, "made partitions for what is to come"),
            // There is time: what is not made now stands in the default partition at worst.
            Err(error) => tracing::warn!(%error, "partitions were not made; it is tried again in an hour: {error}"),
        }
        Ok(false)
    }
}

/// Folds SQLite's log into its file.
pub struct Fold(pub Checkpoints);

impl Worker for Fold {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        self.0.fold().await.map(|_| false)
    }
}

/// Keeps the couriers in work, while there is room to write down what they send.
pub struct Dispatching {
    pub dispatch: Dispatch<Shelf>,
    survey: Every,
    look: Every,
    disk: Disk,
    clocks_agree: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Dispatching {
    pub fn new(
        dispatch: Dispatch<Shelf>,
        poll: Duration,
        disk: Disk,
        clocks_agree: Arc<AtomicBool>,
        stop: CancellationToken,
    ) -> Dispatching {
        Dispatching { dispatch, survey: Every::new(poll), look: Every::new(ROOM_LOOK), disk, clocks_agree, stop }
    }
}

impl Worker for Dispatching {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        if self.look.is_due() {
            self.disk.look(self.dispatch.world.now_ms()).await?;
        }
        if self.survey.is_due() {
            self.dispatch.survey().await?;
        }
        if !self.disk.has_room || !self.clocks_agree.load(Ordering::Relaxed) || self.stop.is_cancelled() {
            return Ok(false);
        }
        self.dispatch.fill().await
    }
}

/// Something done at most so often.
struct Every {
    period: Duration,
    last: Option<Instant>,
}

impl Every {
    fn new(period: Duration) -> Every {
        Every { period, last: None }
    }

    fn is_due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.period);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}

/// Whether there is room to write down what is sent.
pub struct Disk {
    db: Db,
    reserve_bytes: u64,
    has_room: bool,
    bell: Bell,
}

impl Disk {
    pub fn new(db: Db, reserve_bytes: u64, bell: Bell) -> Disk {
        Disk { db, reserve_bytes, has_room: true, bell }
    }

    /// Looks at the free space, and says once when it ends and once when there is room again. What is kept free is at
    /// most a tenth of all: a small database may be used too.
    async fn look(&mut self, now_ms: i64) -> Result<(), StoreError> {
        let Some(room) = self.db.room().await? else { return Ok(()) };
        let reserve = self.reserve_bytes.min(room.of_bytes / 10);
        let has_room = room.free_bytes > reserve;
        if self.has_room && !has_room {
            let why = format!(
                "sending stops: the database has {} bytes of room left, and {reserve} are kept to write down what was \
                 sent; make room, or raise [database] sqlite_bytes_max",
                room.free_bytes,
            );
            tracing::error!(free_bytes = room.free_bytes, reserve_bytes = reserve, "{why}");
            // What is kept is room enough for this too.
            self.bell.ring(&Alert::sending_stopped("disk", &why, now_ms), now_ms).await;
        } else if has_room && !self.has_room {
            tracing::info!(free_bytes = room.free_bytes, "sending goes on: there is room again");
        }
        self.has_room = has_room;
        Ok(())
    }
}
