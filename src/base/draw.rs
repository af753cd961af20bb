//! Draws that must come out the same again: who gets which variant, who is held out, how long a retry is put off.
//!
//! A member carries a `lot`, a random 31-bit integer fixed at import. A purpose ("variant of run 7") becomes a
//! permutation of lots, so that the same draw is made by SQLite, by PostgreSQL and here.

use aws_lc_rs::digest;

/// The modulus of lots, a Mersenne prime: 2³¹ − 1.
pub const LOT_MODULUS: i64 = (1 << 31) - 1;

/// A permutation of lots, `lot ↦ (a·lot + b) mod (2³¹ − 1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permutation {
    pub a: i64,
    pub b: i64,
}

impl Permutation {
    /// The permutation of `purpose` under `seed`: `a` and `b` are the first two 8-byte words of SHA-256(seed, purpose).
    pub fn new(seed: i64, purpose: &str) -> Permutation {
        let word = |from: usize, hash: &[u8]| {
            u64::from_be_bytes(hash[from..from + 8].try_into().expect("eight bytes of a hash"))
        };
        let mut input = seed.to_be_bytes().to_vec();
        input.extend_from_slice(purpose.as_bytes());
        let hash = digest::digest(&digest::SHA256, &input);
        let modulus = LOT_MODULUS as u64;
        Permutation {
            a: (1 + word(0, hash.as_ref()) % (modulus - 1)) as i64,
            b: (word(8, hash.as_ref()) % modulus) as i64,
        }
    }

    /// Where `lot` lands, in `0..LOT_MODULUS`. `a·lot + b` stays below 2⁶³, so both SQLs compute it in 64 bits.
    pub fn of(self, lot: i64) -> i64 {
        (self.a * lot + self.b) % LOT_MODULUS
    }
}

/// The lot below which a share of all lots lies; `share` is clamped to 0..=1.
pub fn lot_at(share: f64) -> i64 {
    (share.clamp(0.0, 1.0) * LOT_MODULUS as f64).round() as i64
}

/// A fraction in `0.0..1.0` that is always the same for the same words: jitter of a retry, exploration of a slot.
/// SHA-256, first eight bytes, of the words in big-endian.
pub fn fraction(words: &[i64]) -> f64 {
    let input: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let hash = digest::digest(&digest::SHA256, &input);
    let first = u64::from_be_bytes(hash.as_ref()[..8].try_into().expect("eight bytes of a hash"));
    (first >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_spreads_lots_evenly() {
        let permutation = Permutation::new(7, "variant");
        let below = (0..100_000).filter(|lot| permutation.of(*lot * 20_011 % LOT_MODULUS) < lot_at(0.3)).count();
        assert!((29_000..31_000).contains(&below), "{below} of 100000 fell in the first 30 %");
    }

    #[test]
    fn purposes_draw_apart() {
        assert_ne!(Permutation::new(7, "variant"), Permutation::new(7, "holdout"));
        assert_ne!(Permutation::new(7, "variant"), Permutation::new(8, "variant"));
    }

    #[test]
    fn fractions_stay_below_one_and_repeat() {
        for word in 0..1000 {
            let drawn = fraction(&[word, 3]);
            assert!((0.0..1.0).contains(&drawn));
            assert_eq!(drawn.to_bits(), fraction(&[word, 3]).to_bits());
        }
    }
}
