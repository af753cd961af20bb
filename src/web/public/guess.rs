//! Who guesses tokens is slowed: each address may be wrong so often, then it is told to wait.
//!
//! Only requests whose token proved nothing are counted, so nobody with a true link ever waits. The table is of one size:
//! addresses share its places by a hash nobody outside can foresee, and those that share one are wrong together.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::base::World;

/// Places of the table, 8 bytes each.
const PLACES: usize = 8_192;
/// How often an address may be wrong at once, and how soon it may once more, milliseconds.
const BURST: i64 = 60;
const STEP_MS: i64 = 2_000;

/// How wrong each address was lately.
pub(super) struct Guesses {
    /// When each place will be forgiven everything (GCRA's theoretical arrival time).
    places: Box<[AtomicI64]>,
    seed: u64,
}

impl Guesses {
    pub fn new(world: &World) -> Guesses {
        Guesses { places: (0..PLACES).map(|_| AtomicI64::new(0)).collect(), seed: world.random() }
    }

    /// Counts a wrong token; `false`: this address has been wrong too often.
    pub fn may_be_wrong(&self, address: IpAddr, now_ms: i64) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.seed, network(address)).hash(&mut hasher);
        let place = &self.places[hasher.finish() as usize % PLACES];
        let counted = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |forgiven_ms| {
            let next = forgiven_ms.max(now_ms) + STEP_MS;
            (next - now_ms <= BURST * STEP_MS).then_some(next)
        });
        counted.is_ok()
    }
}

/// What one party may well have of addresses: a single one of IPv4, 64 bits of IPv6.
fn network(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() >> 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_forgiven_and_a_stream_is_not() {
        let guesses = Guesses::new(&World::seeded(1, 0));
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let taken = |address, at_ms, n| (0..n).filter(|_| guesses.may_be_wrong(address, at_ms)).count() as i64;
        assert_eq!(taken(one, 1_000, 200), BURST);
        assert_eq!(taken(other, 1_000, 10), 10);
        assert_eq!(taken(one, 1_000 + 5 * STEP_MS, 200), 5);
        assert_eq!(taken(one, 1_000 + 1_000 * STEP_MS, 200), BURST, "all is forgiven in time");
    }

    #[test]
    fn whoever_has_a_network_is_one_guesser() {
        let guesses = Guesses::new(&World::seeded(1, 0));
        let taken =
            (0..200u128).filter(|n| guesses.may_be_wrong(IpAddr::V6((0x2001_0db8 << 96 | n).into()), 1)).count();
        assert_eq!(taken as i64, BURST);
    }
}
