//! Limits that nobody told: five servers, a clock of the test's own, and the rates that are learnt from their answers.

use std::collections::VecDeque;

use indicia::domain::gate::{Gate, Span, Throttle};
use indicia::domain::provider::Pace;

const TICK_MS: i64 = 20;
/// From a mail's way out to its answer.
const LATENCY_MS: i64 = 80;
/// Mails under way at most.
const CONNECTIONS: i64 = 20;
const HOUR_MS: i64 = 3_600_000;

/// A server that takes so many a second, and at most as many at once.
struct Server {
    per_second: f64,
    left: f64,
}

impl Server {
    fn takes(&mut self) -> bool {
        let takes = self.left >= 1.0;
        self.left -= f64::from(takes);
        takes
    }

    fn rest(&mut self, ms: i64) {
        self.left = (self.left + self.per_second * ms as f64 / 1_000.0).min(self.per_second.max(1.0));
    }
}

/// One domain's mail.
struct Domain {
    server: Server,
    gate: Gate,
    spans: VecDeque<Span>,
    /// Answers on their way: when they come, and whether the mail was taken.
    answers: VecDeque<(i64, bool)>,
    sent: i64,
    taken: i64,
    refused: i64,
    taken_lately: VecDeque<i64>,
}

impl Domain {
    fn new(per_second: f64) -> Domain {
        Domain {
            server: Server { per_second, left: per_second },
            gate: Gate::default(),
            spans: VecDeque::new(),
            answers: VecDeque::new(),
            sent: 0,
            taken: 0,
            refused: 0,
            taken_lately: VecDeque::new(),
        }
    }

    fn tick(&mut self, throttle: &Throttle, now_ms: i64) {
        let pace = Pace::default();
        self.server.rest(TICK_MS);
        while self.answers.front().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
            let Some((_, taken)) = self.answers.pop_front() else { break };
            if taken {
                self.taken += 1;
                self.taken_lately.push_back(now_ms);
            } else {
                self.refused += 1;
                let lately = self.taken_lately.iter().filter(|at| **at > now_ms - 1_000).count();
                self.gate.throttled((&pace, throttle), lately as f64, "421 slow down", now_ms);
                self.spans.clear();
            }
        }
        while self.taken_lately.front().is_some_and(|at| *at < now_ms - HOUR_MS / 2) {
            self.taken_lately.pop_front();
        }
        if self.gate.closed_until_ms > now_ms {
            return;
        }
        let idle = CONNECTIONS - self.answers.len() as i64;
        let leave = if self.gate.is_free(&pace) { idle } else { self.tokens(&pace, throttle, idle, now_ms) };
        for _ in 0..leave {
            self.sent += 1;
            let taken = self.server.takes();
            self.answers.push_back((now_ms + LATENCY_MS, taken));
        }
    }

    fn tokens(&mut self, pace: &Pace, throttle: &Throttle, idle: i64, now_ms: i64) -> i64 {
        let now_us = now_ms * 1_000;
        if self.spans.len() < 2 {
            self.spans.extend(self.gate.grant(pace, throttle, now_ms));
        }
        let mut n = 0;
        while let Some(span) = self.spans.front_mut() {
            self.gate.give_back(span.drop_late(now_us));
            if span.left == 0 {
                self.spans.pop_front();
                continue;
            }
            if span.next_us > now_us || n == idle {
                break;
            }
            span.left -= 1;
            span.next_us += span.step_us;
            n += 1;
        }
        n
    }
}

#[test]
fn two_hours_are_enough_to_learn_five_limits() {
    let throttle = Throttle::default();
    let limits = [0.5, 2.0, 10.0, 50.0, 200.0];
    let mut domains = limits.map(Domain::new);
    let began_ms = 1_790_000_000_000;
    for now_ms in (began_ms..began_ms + 4 * HOUR_MS).step_by(TICK_MS as usize) {
        for domain in &mut domains {
            domain.tick(&throttle, now_ms);
        }
        let since = now_ms - began_ms;
        if since > 0 && since % HOUR_MS == 0 && since >= 2 * HOUR_MS || since == 5 * HOUR_MS / 2 {
            for domain in &domains {
                judge(domain, since);
            }
        }
    }
}

/// Half an hour's average is at least 80 % of the limit, few were refused in all, and nobody is lost.
fn judge(domain: &Domain, since_ms: i64) {
    let limit = domain.server.per_second;
    let lately = domain.taken_lately.len() as f64 / (HOUR_MS as f64 / 2_000.0);
    let refused = domain.refused as f64 / (domain.taken + domain.refused) as f64;
    println!(
        "limit {limit:>5}: after {} min {lately:.2}/s ({:.0} %), {:.2} % refused, learnt {:?}, ceiling {:?}",
        since_ms / 60_000,
        100.0 * lately / limit,
        100.0 * refused,
        domain.gate.learnt,
        domain.gate.ceiling
    );
    assert_eq!(domain.sent, domain.taken + domain.refused + domain.answers.len() as i64);
    assert!(lately >= 0.8 * limit, "{lately} of {limit} a second");
    assert!(refused < 0.02, "{refused} were refused at {limit} a second");
}
