//! Who guesses tokens is slowed: each address may be wrong so often, then it is told to wait.
//!
//! Only requests whose token proved nothing are counted, so nobody with a true link ever waits. There is a fixed number
//! of places: addresses share them by a hash nobody outside can foresee, and those that share one are wrong together.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::base::World;
use crate::domain::people::customer;

/// Places that addresses share.
const PLACES: u64 = 8_192;
/// How often an address may be wrong at once, and how soon it may once more.
const BURST: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
const STEP: Duration = Duration::from_secs(2);

/// The world's clock, for a limiter.
#[derive(Clone)]
struct BootClock(World);

impl Clock for BootClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(Duration::from_millis(self.0.boot_ms().unsigned_abs()))
    }
}

/// How wrong each address was lately.
pub(super) struct Guesses {
    places: RateLimiter<u64, HashMapStateStore<u64>, BootClock, NoOpMiddleware<Nanos>>,
    seed: u64,
}

impl Guesses {
    pub fn new(world: &World) -> Guesses {
        let quota = Quota::with_period(STEP).expect("not zero").allow_burst(BURST);
        let places = RateLimiter::hashmap_with_clock(quota, BootClock(world.clone()));
        Guesses { places, seed: world.random() }
    }

    /// Counts a wrong token; `false`: this address has been wrong too often.
    pub fn may_be_wrong(&self, address: IpAddr) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.seed, customer(address)).hash(&mut hasher);
        self.places.check_key(&(hasher.finish() % PLACES)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_forgiven_and_a_stream_is_not() {
        let world = World::seeded(1, 1_000);
        let guesses = Guesses::new(&world);
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let taken = |address, n| (0..n).filter(|_| guesses.may_be_wrong(address)).count();
        assert_eq!(taken(one, 200), 60);
        assert_eq!(taken(other, 10), 10);
        world.advance(10_000);
        assert_eq!(taken(one, 200), 5);
        world.advance(1_000_000);
        assert_eq!(taken(one, 200), 60, "all is forgiven in time");
    }

    #[test]
    fn whoever_has_a_network_is_one_guesser() {
        let guesses = Guesses::new(&World::seeded(1, 1));
        let taken = (0..200u128).filter(|n| guesses.may_be_wrong(IpAddr::V6((0x2001_0db8 << 96 | n).into()))).count();
        assert_eq!(taken, 60);
    }
}
