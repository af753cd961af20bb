//! Time and chance. `app` makes one [`World`] and lends it to whoever must ask again during long work;
//! everything else takes `now_ms` as an argument.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

/// A handle on the clocks and on randomness; cheap to clone.
#[derive(Clone)]
pub struct World(Arc<Kind>);

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

enum Kind {
    System,
    Seeded { now_ms: AtomicI64, chance: Box<Mutex<StdRng>> },
}

impl World {
    /// The machine's clocks and the operating system's randomness.
    pub fn system() -> World {
        World(Arc::new(Kind::System))
    }

    /// A world for tests: it stands still at `now_ms` until [`World::advance`], and draws from `seed`.
    pub fn seeded(seed: u64, now_ms: i64) -> World {
        World(Arc::new(Kind::Seeded {
            now_ms: AtomicI64::new(now_ms),
            chance: Box::new(Mutex::new(StdRng::seed_from_u64(seed))),
        }))
    }

    /// Wall-clock time, unix milliseconds UTC.
    pub fn now_ms(&self) -> i64 {
        match &*self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one door through which wall-clock time enters")]
            Kind::System => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Kind::Seeded { now_ms, .. } => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Milliseconds since boot, counting time spent suspended (`CLOCK_BOOTTIME`): `std`'s `Instant` stops while a
    /// machine sleeps, and the check between arm and dot must not.
    pub fn boot_ms(&self) -> i64 {
        match &*self.0 {
            Kind::System => {
                let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                at.tv_sec * 1000 + at.tv_nsec / 1_000_000
            }
            Kind::Seeded { now_ms, .. } => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Moves a seeded world's clock forward; does nothing to the system's.
    pub fn advance(&self, by_ms: i64) {
        if let Kind::Seeded { now_ms, .. } = &*self.0 {
            now_ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }

    /// Fills `bytes` with randomness fit for keys.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &*self.0 {
            Kind::System => SysRng.try_fill_bytes(bytes).expect("the operating system gives randomness"),
            Kind::Seeded { chance, .. } => chance.lock().expect("no panic while drawing").fill_bytes(bytes),
        }
    }

    /// One uniform 64-bit number.
    pub fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
