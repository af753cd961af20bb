//! When to try again, and when to give up.

use crate::base::draw;

/// How refusals for now are put off.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The pause after the first, second, … refusal, milliseconds. After the last the message has failed.
    pub pauses_ms: Vec<i64>,
    /// The share by which a pause is lengthened or shortened, 0 to 1.
    pub jitter: f64,
    /// How long a message is worth sending after its run started, milliseconds.
    pub ttl_ms: i64,
}

impl Retry {
    /// When a message refused for the `tries`-th time (from 1) is due again; `None`: given up. The jitter is drawn from
    /// the message's id and the try, so that it comes out the same however often it is asked.
    pub fn due_after(&self, tries: i64, message_id: i64, started_at_ms: i64, now_ms: i64) -> Option<i64> {
        let at = usize::try_from(tries - 1).unwrap_or(0);
        let pause = *self.pauses_ms.get(at)?;
        let swing = 1.0 + self.jitter * (2.0 * draw::fraction(&[message_id, tries]) - 1.0);
        let due = now_ms + ((pause as f64 * swing) as i64).max(1);
        (due <= started_at_ms + self.ttl_ms).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry() -> Retry {
        Retry { pauses_ms: vec![60_000, 120_000], jitter: 0.2, ttl_ms: 300_000 }
    }

    #[test]
    fn pauses_follow_the_list_within_the_jitter() {
        for id in 0..200 {
            let due = retry().due_after(1, id, 0, 1_000).unwrap() - 1_000;
            assert!((48_000..=72_000).contains(&due), "{due}");
            assert_eq!(retry().due_after(1, id, 0, 1_000).unwrap() - 1_000, due);
        }
        assert!(retry().due_after(2, 1, 0, 0).unwrap() >= 96_000);
    }

    #[test]
    fn the_list_and_the_time_to_live_both_end_it() {
        assert_eq!(retry().due_after(3, 1, 0, 0), None);
        assert_eq!(retry().due_after(1, 1, 0, 299_999), None);
    }
}
