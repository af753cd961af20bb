//! Whether two things happen together more often than chance makes them.

/// Below this a pair may well be chance: the 99.9 % point of χ² with one degree of freedom.
pub const LLR_MIN: f64 = 10.83;

/// Dunning's log-likelihood ratio of two things that happened to `a` and `b` of `n` members, and both to `both` of
/// them ("Accurate methods for the statistics of surprise and coincidence", 1993); 0 where they happen together less
/// often than chance makes them.
pub fn llr(both: f64, a: f64, b: f64, n: f64) -> f64 {
    if both * n <= a * b {
        return 0.0;
    }
    let entropy = |cells: &[f64]| {
        let sum: f64 = cells.iter().sum();
        cells.iter().filter(|cell| **cell > 0.0).map(|cell| cell * (cell / sum).ln()).sum::<f64>()
    };
    let (only_a, only_b, neither) = (a - both, b - both, (n - a - b + both).max(0.0));
    let ratio = entropy(&[both, only_a, only_b, neither]) - entropy(&[a, n - a]) - entropy(&[b, n - b]);
    (2.0 * ratio).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_nothing_and_company_is_much() {
        assert!(llr(10.0, 100.0, 100.0, 1000.0) < 1e-9, "as many as chance makes");
        assert_eq!(llr(1.0, 100.0, 100.0, 1000.0), 0.0, "fewer than chance makes");
        // The table (8, 2, 2, 88) by the other way to write it, 2 Σ observed · ln(observed / expected).
        assert!((llr(8.0, 10.0, 10.0, 100.0) - 35.827).abs() < 0.001, "{}", llr(8.0, 10.0, 10.0, 100.0));
    }
}
