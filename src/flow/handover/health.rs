//! Whether a route can be reached.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

/// Whether a route can be reached: a route that cannot is left alone for a while, longer each time.
pub struct Health {
    first_pause_ms: i64,
    last_pause_ms: i64,
    failures: AtomicU32,
    retry_at_ms: AtomicI64,
    /// Since when nothing went well, and what was the matter last.
    trouble: Mutex<Option<(i64, String)>>,
    missing_replies: AtomicU32,
    lockstep_until_ms: AtomicI64,
}

/// How long a route whose pipelined replies went missing twice is spoken to in lockstep, milliseconds.
const LOCKSTEP_MS: i64 = 3_600_000;

impl Health {
    pub fn new(first_pause_ms: i64, last_pause_ms: i64) -> Health {
        Health {
            first_pause_ms,
            last_pause_ms,
            failures: AtomicU32::new(0),
            retry_at_ms: AtomicI64::new(0),
            trouble: Mutex::default(),
            missing_replies: AtomicU32::new(0),
            lockstep_until_ms: AtomicI64::new(0),
        }
    }

    /// When the route may be used again; in the past: now.
    pub fn retry_at_ms(&self) -> i64 {
        self.retry_at_ms.load(Ordering::Relaxed)
    }

    pub fn is_up(&self, now_ms: i64) -> bool {
        self.retry_at_ms() <= now_ms
    }

    /// The route answered as it should.
    pub fn succeeded(&self) {
        if self.failures.swap(0, Ordering::Relaxed) > 0 {
            *self.trouble.lock().expect("nothing panics while holding it") = None;
        }
    }

    /// Says what was the matter.
    pub fn say(&self, what: String, now_ms: i64) {
        let mut trouble = self.trouble.lock().expect("nothing panics while holding it");
        let since_ms = trouble.as_ref().map_or(now_ms, |(since_ms, _)| *since_ms);
        *trouble = Some((since_ms, what));
    }

    /// Since when nothing went well and what was the matter last, while it is left alone for that.
    pub fn trouble(&self, now_ms: i64) -> Option<(i64, String)> {
        let trouble = self.trouble.lock().expect("nothing panics while holding it").clone();
        trouble.filter(|_| !self.is_up(now_ms))
    }

    /// The route could not be used. Of many couriers that see one failure, the first counts it. Returns when to try
    /// again.
    pub fn failed(&self, now_ms: i64) -> i64 {
        let until = self.retry_at_ms();
        if until > now_ms {
            return until;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(30);
        let pause = self.first_pause_ms.saturating_mul(1 << failures).clamp(1, self.last_pause_ms.max(1));
        let next = now_ms + pause;
        match self.retry_at_ms.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => next,
            Err(theirs) => theirs,
        }
    }

    /// A reply went missing on a pipelining connection; the second in a row turns pipelining off for an hour.
    pub fn reply_missing(&self, now_ms: i64) {
        if self.missing_replies.fetch_add(1, Ordering::Relaxed) >= 1 {
            self.lockstep_until_ms.store(now_ms + LOCKSTEP_MS, Ordering::Relaxed);
        }
    }

    pub fn reply_came(&self) {
        self.missing_replies.store(0, Ordering::Relaxed);
    }

    pub fn in_lockstep(&self, now_ms: i64) -> bool {
        self.lockstep_until_ms.load(Ordering::Relaxed) > now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_seen_by_many_is_counted_once_and_pauses_double() {
        let health = Health::new(1_000, 60_000);
        assert!(health.is_up(10));
        assert_eq!((health.failed(10), health.failed(500)), (1_010, 1_010));
        assert!(!health.is_up(1_000));
        assert_eq!(health.failed(2_000), 4_000);
        for _ in 0..40 {
            health.failed(health.retry_at_ms() + 1);
        }
        assert_eq!(health.failed(health.retry_at_ms() + 1) - health.retry_at_ms(), 0);
        health.succeeded();
        let now = health.retry_at_ms() + 1;
        assert_eq!(health.failed(now), now + 1_000);
    }

    #[test]
    fn a_trouble_is_known_from_its_first_failure_until_something_goes_well() {
        let health = Health::new(1_000, 60_000);
        health.failed(10);
        health.say("first".to_owned(), 10);
        health.failed(2_000);
        health.say("second".to_owned(), 2_000);
        assert_eq!(health.trouble(2_500), Some((10, "second".to_owned())));
        assert_eq!(health.trouble(health.retry_at_ms()), None, "nobody knows whether it still is");
        health.succeeded();
        assert_eq!(health.trouble(2_500), None);
    }
}
