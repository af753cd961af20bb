//! How interest fades: tag scores under forward decay (Cormode, Shkapenyuk, Srivastava, Xu: "Forward Decay", ICDE
//! 2009).
//!
//! A score is `Σ weight · 2^(−age / half-life)`. The table keeps its logarithm as seen from a fixed instant,
//! `lscore = ln(score) + λ·(t − T0)`, which does not change while time passes. So nothing is rewritten at night, the
//! order in which events arrive does not matter, and "score ≥ θ now" is one range of an index.

use std::f64::consts::LN_2;

/// The fixed instant, 2020-01-01T00:00:00Z in unix milliseconds.
pub const T0_MS: i64 = 1_577_836_800_000;
/// Scores below this count as nothing.
pub const SCORE_MIN: f64 = 0.05;

/// The rate of decay λ per millisecond; 0 for a tag that never fades.
pub fn lambda(half_life_ms: Option<i64>) -> f64 {
    half_life_ms.map_or(0.0, |ms| LN_2 / ms.max(1) as f64)
}

/// How one tag fades and how high it can read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Decay {
    /// `None`: never fades.
    pub half_life_ms: Option<i64>,
    /// The highest score anyone reads; applied when read, never when written, so that the order of events stays free.
    pub ceiling: Option<f64>,
}

impl Decay {
    /// The log-score of one event of `weight` (positive) at `at_ms`.
    pub fn log_of(self, weight: f64, at_ms: i64) -> f64 {
        weight.max(f64::MIN_POSITIVE).ln() + self.shift(at_ms)
    }

    /// `lscore` (`None`: no tag yet) with an event of `weight` at `at_ms` added to it.
    ///
    /// ```
    /// use indicia::domain::engagement::Decay;
    /// let decay = Decay { half_life_ms: Some(1000), ceiling: None };
    /// let late_last = decay.add(Some(decay.add(None, 1.0, 0)), 1.0, 1000);
    /// let late_first = decay.add(Some(decay.add(None, 1.0, 1000)), 1.0, 0);
    /// assert!((decay.score(late_last, 1000) - 1.5).abs() < 1e-6);
    /// assert!((late_last - late_first).abs() < 1e-6);
    /// ```
    pub fn add(self, lscore: Option<f64>, weight: f64, at_ms: i64) -> f64 {
        let fresh = self.log_of(weight, at_ms);
        lscore.map_or(fresh, |lscore| log_add(lscore, fresh))
    }

    /// The score at `now_ms`, never above the ceiling.
    pub fn score(self, lscore: f64, now_ms: i64) -> f64 {
        let score = (lscore - self.shift(now_ms)).exp();
        self.ceiling.map_or(score, |ceiling| score.min(ceiling))
    }

    /// The bound such that `lscore >= threshold(theta, now)` means `score(lscore, now) >= theta`: plus infinity where
    /// the ceiling keeps every score below `theta`, minus infinity where `theta` is not positive.
    pub fn threshold(self, theta: f64, now_ms: i64) -> f64 {
        if theta <= 0.0 {
            return f64::NEG_INFINITY;
        }
        if self.ceiling.is_some_and(|ceiling| theta > ceiling) {
            return f64::INFINITY;
        }
        theta.ln() + self.shift(now_ms)
    }

    fn shift(self, at_ms: i64) -> f64 {
        lambda(self.half_life_ms) * (at_ms - T0_MS) as f64
    }
}

/// `ln(e^a + e^b)` without leaving the logarithm.
pub fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    high + (low - high).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn events() -> impl Strategy<Value = Vec<(f64, i64)>> {
        prop::collection::vec((0.01f64..50.0, T0_MS..T0_MS + 4000 * DAY_MS), 1..40)
    }

    fn lscore(decay: Decay, events: &[(f64, i64)]) -> f64 {
        events.iter().fold(None, |l, (weight, at)| Some(decay.add(l, *weight, *at))).expect("at least one event")
    }

    proptest! {
        #[test]
        fn the_order_of_events_does_not_matter(events in events(), days in 1i64..400) {
            let decay = Decay { half_life_ms: Some(days * DAY_MS), ceiling: None };
            let mut turned = events.clone();
            turned.reverse();
            turned.rotate_left(events.len() / 3);
            prop_assert!((lscore(decay, &events) - lscore(decay, &turned)).abs() < 1e-8);
        }

        #[test]
        fn the_log_score_is_the_sum_of_decayed_weights(events in events(), days in 1i64..400, later in 0i64..400) {
            let decay = Decay { half_life_ms: Some(days * DAY_MS), ceiling: None };
            let now = T0_MS + (4000 + later) * DAY_MS;
            let half_lives = |at: i64| (now - at) as f64 / (days * DAY_MS) as f64;
            let plain: f64 = events.iter().map(|(weight, at)| weight * (-half_lives(*at)).exp2()).sum();
            let score = decay.score(lscore(decay, &events), now);
            prop_assert!((score - plain).abs() <= 1e-9 + plain * 1e-6, "{score} is not {plain}");
        }

        #[test]
        fn the_threshold_selects_whom_the_score_selects(
            events in events(), days in 1i64..400, theta in 0.0f64..60.0, ceiling in prop::option::of(0.1f64..50.0),
        ) {
            let decay = Decay { half_life_ms: Some(days * DAY_MS), ceiling };
            let now = T0_MS + 4001 * DAY_MS;
            let l = lscore(decay, &events);
            let near = (decay.score(l, now) - theta).abs() < 1e-9;
            prop_assert!(near || (l >= decay.threshold(theta, now)) == (decay.score(l, now) >= theta));
        }
    }

    #[test]
    fn a_tag_that_never_fades_keeps_its_sum_under_its_ceiling() {
        let decay = Decay { half_life_ms: None, ceiling: Some(1.0) };
        let l = lscore(decay, &[(1.0, T0_MS), (3.0, T0_MS + DAY_MS)]);
        assert_eq!(decay.score(l, T0_MS + 9000 * DAY_MS), 1.0);
        assert!((l.exp() - 4.0).abs() < 1e-12, "the ceiling must not touch what is kept");
        assert_eq!(decay.threshold(1.5, 0), f64::INFINITY);
    }
}
