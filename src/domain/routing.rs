//! Which ways out a campaign may take, and how much of it each of them gets.

use super::campaign::MailClass;

/// What marks a campaign's name among what a route is kept for.
const CAMPAIGN: &str = "campaign:";

/// What a route is kept for: classes of mail, topics, or campaigns as `campaign:NAME`. Without any it is open to all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptFor(Vec<String>);

impl KeptFor {
    pub fn new(entries: Vec<String>) -> KeptFor {
        KeptFor(entries)
    }

    /// Whether it is kept for nothing in particular.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is kept for mail of this kind.
    pub fn names(&self, class: MailClass, topic: &str, campaign: &str) -> bool {
        self.0.iter().any(|entry| match entry.strip_prefix(CAMPAIGN) {
            Some(name) => name == campaign,
            None => entry == class.as_str() || (!topic.is_empty() && entry == topic),
        })
    }
}

/// How much each of several takers has got of what there is to give, by their weights (start-time fair queueing: Goyal,
/// Vin, Cheng 1996). Whoever was away for a while takes part again at once, and is owed nothing for the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    weights: Vec<f64>,
    /// What each was given, by its weight, with what passed it by while it took nothing.
    given: Vec<f64>,
    /// Where in that measure the last one to be given anything began.
    clock: f64,
}

impl Shares {
    /// Weights above 0.
    pub fn new(weights: Vec<f64>) -> Shares {
        Shares { given: vec![0.0; weights.len()], weights, clock: 0.0 }
    }

    /// Whether all weigh the same: then nobody waits for another to keep the shares.
    pub fn are_even(&self) -> bool {
        self.weights.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Whose turn it is among some of the takers.
    pub fn next(&self, among: impl Iterator<Item = usize>) -> Option<usize> {
        among.min_by(|a, b| self.begins(*a).total_cmp(&self.begins(*b)))
    }

    /// Somebody was given `n`.
    pub fn gave(&mut self, to: usize, n: usize) {
        self.clock = self.begins(to);
        self.given[to] = self.clock + n as f64 / self.weights[to];
    }

    fn begins(&self, taker: usize) -> f64 {
        self.given[taker].max(self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much each gets of so many rounds in which those of `away` take nothing.
    fn rounds(shares: &mut Shares, n: usize, away: &[usize]) -> Vec<usize> {
        let mut got = vec![0; shares.weights.len()];
        for _ in 0..n {
            let to = shares.next((0..got.len()).filter(|taker| !away.contains(taker))).expect("somebody is there");
            shares.gave(to, 10);
            got[to] += 10;
        }
        got
    }

    #[test]
    fn shares_follow_the_weights() {
        assert_eq!(rounds(&mut Shares::new(vec![1.0, 1.0]), 100, &[]), [500, 500]);
        let got = rounds(&mut Shares::new(vec![3.0, 1.0]), 400, &[]);
        assert!((2_980..=3_020).contains(&got[0]), "{got:?}");
    }

    #[test]
    fn whoever_comes_back_has_its_share_again_and_no_more() {
        let mut shares = Shares::new(vec![1.0, 1.0, 2.0]);
        rounds(&mut shares, 40, &[]);
        assert_eq!(rounds(&mut shares, 300, &[2])[2], 0);
        let got = rounds(&mut shares, 40, &[]);
        assert!((190..=210).contains(&got[2]), "{got:?}");
    }

    #[test]
    fn a_route_is_kept_for_what_it_names() {
        let kept = KeptFor::new(vec!["transactional".to_owned(), "receipts".to_owned(), "campaign:spring".to_owned()]);
        assert!(kept.names(MailClass::Transactional, "", "x") && kept.names(MailClass::Marketing, "receipts", "x"));
        assert!(kept.names(MailClass::Marketing, "offers", "spring"));
        assert!(!kept.names(MailClass::Marketing, "offers", "receipts") && !kept.is_open());
        assert!(!KeptFor::default().names(MailClass::Marketing, "", "") && KeptFor::default().is_open());
    }
}
