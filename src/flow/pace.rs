//! One true rate: a `governor` limiter spreads the tokens that the database grants.
//!
//! The gate's row is the budget of all daemons; each takes about a second's tokens at a time. A token taken and not
//! used is lost, so the sum stays below the limit whoever dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Mutex;

use crate::base::World;
use crate::store::{Db, Lane, StoreError, gate};

/// A rate allows this much of a second at once, so that a clock of a millisecond's grain does not slow a fast route:
/// burst 1 up to 100 mails per second.
const BURST_SECONDS: f64 = 0.01;
/// How long to wait before asking for a grant again that was refused.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);

/// A rate shared by every courier that holds it.
pub struct Pace {
    db: Db,
    world: World,
    gate_id: i64,
    per_second: f64,
    grant: i64,
    granted: AtomicI64,
    refill: Mutex<()>,
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Pace {
    /// The pace of a gate: `per_second` above 0, fractions allowed.
    pub async fn open(
        db: &Db,
        world: &World,
        route: &str,
        provider_id: i64,
        per_second: f64,
    ) -> Result<Arc<Pace>, StoreError> {
        let step_us = (1_000_000.0 / per_second).ceil().max(1.0) as i64;
        let mut tx = db.begin(Lane::Bulk).await?;
        let gate_id = gate::ensure(tx.conn(), route, provider_id, step_us).await?;
        tx.commit().await?;
        let burst = ((per_second * BURST_SECONDS) as u32).max(1);
        let period = Duration::from_secs_f64(1.0 / per_second).max(Duration::from_nanos(1));
        let quota = Quota::with_period(period)
            .expect("a period above zero")
            .allow_burst(burst.try_into().expect("a burst of at least one"));
        let clock = DefaultClock::default();
        Ok(Arc::new(Pace {
            db: db.clone(),
            world: world.clone(),
            gate_id,
            per_second,
            grant: (per_second.ceil() as i64).max(1),
            granted: AtomicI64::new(0),
            refill: Mutex::new(()),
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
        }))
    }

    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    /// Takes a token if one is at hand, without waiting.
    pub fn try_take(&self) -> bool {
        if !self.take_granted() {
            return false;
        }
        let ready = self.limiter.check().is_ok();
        if !ready {
            self.granted.fetch_add(1, Ordering::Relaxed);
        }
        ready
    }

    /// Waits for a token.
    ///
    /// # Errors
    /// The database could not be asked for a grant.
    pub async fn take(&self) -> Result<(), StoreError> {
        while !self.take_granted() {
            self.refill().await?;
        }
        while let Err(not_until) = self.limiter.check() {
            tokio::time::sleep(not_until.wait_time_from(self.clock.now())).await;
        }
        Ok(())
    }

    fn take_granted(&self) -> bool {
        self.granted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n > 0).then_some(n - 1)).is_ok()
    }

    async fn refill(&self) -> Result<(), StoreError> {
        let _one = self.refill.lock().await;
        if self.granted.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let mut tx = self.db.begin(Lane::Turn).await?;
        let taken = gate::take(tx.conn(), self.gate_id, self.grant, self.world.now_ms()).await?;
        tx.commit().await?;
        if taken {
            self.granted.store(self.grant, Ordering::Relaxed);
        } else {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
        Ok(())
    }
}
