//! A gate: how much mail one provider takes from us over one route, as all daemons of a database know it together.
//!
//! A gate hands out tokens with an instant each, so that whoever holds them, any stretch of time sees no more than the
//! rate (the virtual scheduling of GCRA, ITU-T I.371). A limiter in memory, such as the crate `governor` that slows who
//! guesses tokens, counts the same way but for one process: two daemons would send twice the rate, and one that is
//! restarted would have forgotten what it sent. What the provider's rate is, it is told or finds out: additive
//! increase, multiplicative decrease (Chiu, Jain 1989), with TCP's slow start while nothing is known, and the last rate
//! that was too much approached fast and passed slowly (CUBIC, RFC 9438).

use super::provider::Pace;

/// Seconds of tokens in one grant.
const GRANT_SECONDS: f64 = 1.0;
/// Tokens are taken so long before they are needed, at most, microseconds.
const AHEAD_US: i64 = 1_500_000;
/// Tokens in a grant where only the day is bounded.
const GRANT_OF_DAY: i64 = 200;
/// A grant takes at most this part of what is left of a day, or one: less is lost with a daemon that dies.
const GRANT_PART_OF_DAY: i64 = 20;
/// A token is good for so long after its instant, or for a quarter of the time to the next one, microseconds.
const LATE_US: i64 = 100_000;
/// The slowest that is learnt: one a minute.
const RATE_MIN: f64 = 1.0 / 60.0;
/// What is gained a step: up to this share of the last rate that was too much, of that rate …
const NEAR: f64 = 0.95;
const STEP_BELOW: f64 = 0.1;
/// … from there on …
const STEP_NEAR: f64 = 0.001;
/// … and beyond this share of it, or where none is known, of the rate itself.
const BEYOND: f64 = 1.1;
const STEP_UNKNOWN: f64 = 0.25;
/// A step is gained only where this share of the rate was used.
const USED_MIN: f64 = 0.5;
/// Warm-up: a day's cap is so much of the one before …
const WARM_GROWTH: f64 = 1.4;
/// … when this share of it was used and less than these shares of its mails went wrong …
const WARM_USED_MIN: f64 = 0.5;
const WARM_HARD_MAX: f64 = 0.02;
const WARM_COMPLAINTS_MAX: f64 = 0.001;
const WARM_DEFERRED_MAX: f64 = 0.1;
/// … and half, when so many times more went wrong.
const WARM_WORSE: f64 = 2.5;
/// After so many idle days it starts again, and at this cap it ends.
const WARM_IDLE_DAYS: i64 = 30;
const WARM_END: i64 = 1_000_000;
const DAY_MS: i64 = 86_400_000;
/// While an address warms up, whoever opened or followed a mail within the first of these times gets the next one
/// before whoever did within the second, and so on; those who never did come last. Milliseconds.
pub const WARM_FIRST_MS: [i64; 3] = [30 * DAY_MS, 90 * DAY_MS, 180 * DAY_MS];

/// What follows from being told that we are too fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Throttle {
    /// How long a provider is left alone the first, second, … time in a row, milliseconds; the last one repeats.
    pub pauses_ms: Vec<i64>,
    /// How often a learnt rate is raised, milliseconds.
    pub step_ms: i64,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle { pauses_ms: [2, 5, 15, 60, 120].map(|minutes| minutes * 60_000).to_vec(), step_ms: 60_000 }
    }
}

/// A gate's account.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gate {
    /// The instant up to which tokens were handed out.
    pub tat_us: i64,
    pub closed_until_ms: i64,
    /// Why it is closed, or was last, in words.
    pub why: Option<String>,
    /// The rate that was learnt, mails per second; `None`: no need to.
    pub learnt: Option<f64>,
    /// The last rate that was too much.
    pub ceiling: Option<f64>,
    /// How often in a row we were too fast.
    pub level: i64,
    /// Since when, and how many tokens were handed out since then.
    pub since_ms: i64,
    pub taken_since: i64,
    /// The day (of UTC, since 1970) of the counts that follow.
    pub day: i64,
    pub taken_day: i64,
    pub hard_day: i64,
    pub deferred_day: i64,
    /// The cap of that day while the address warms up.
    pub warm_cap: Option<i64>,
}

/// Tokens in a row, each good from its instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub next_us: i64,
    /// From one to the next; 0: all at once.
    pub step_us: i64,
    pub left: i64,
}

impl Span {
    /// Drops the tokens that were not used in time, and says how many.
    pub fn drop_late(&mut self, now_us: i64) -> i64 {
        let late_us = now_us - self.next_us - LATE_US.max(self.step_us / 4);
        if late_us <= 0 || self.step_us == 0 {
            return 0;
        }
        let late = (late_us / self.step_us + 1).min(self.left);
        self.next_us += late * self.step_us;
        self.left -= late;
        late
    }

    /// Until when there is a token, microseconds.
    pub fn until_us(&self) -> i64 {
        if self.step_us == 0 { i64::MAX } else { self.next_us + self.left * self.step_us }
    }
}

impl Gate {
    /// Mails per second: what the configuration allows or what was learnt, whichever is less; `None`: no bound.
    pub fn rate(&self, pace: &Pace) -> Option<f64> {
        match (pace.per_second, self.learnt) {
            (Some(told), Some(learnt)) => Some(told.min(learnt)),
            (told, learnt) => told.or(learnt),
        }
    }

    /// Mails of the day; `None`: no bound.
    pub fn cap(&self, pace: &Pace) -> Option<i64> {
        let told = pace.per_day.map(i64::from);
        match (told, self.warm_cap.filter(|cap| pace.warm_up.is_some() && *cap < WARM_END)) {
            (Some(told), Some(warm)) => Some(told.min(warm)),
            (told, warm) => told.or(warm),
        }
    }

    /// Whether mail passes without a token.
    pub fn is_free(&self, pace: &Pace) -> bool {
        self.learnt.is_none() && pace.per_second.is_none() && pace.per_day.is_none() && pace.warm_up.is_none()
    }

    /// Hands out about a second's tokens, or none yet.
    pub fn grant(&mut self, pace: &Pace, throttle: &Throttle, now_ms: i64) -> Option<Span> {
        let now_us = now_ms * 1_000;
        if self.closed_until_ms > now_ms || self.tat_us > now_us + AHEAD_US {
            return None;
        }
        self.grow(pace, throttle, now_ms);
        let rate = self.rate(pace);
        let (step_us, wanted) = match rate {
            Some(rate) => ((1_000_000.0 / rate).ceil().max(1.0) as i64, (rate * GRANT_SECONDS).ceil().max(1.0) as i64),
            None => (0, GRANT_OF_DAY),
        };
        let left = self.cap(pace).map_or(i64::MAX, |cap| cap - self.taken_day);
        if left <= 0 {
            // Who holds the last tokens may still use them.
            if rate.is_some() && self.tat_us + LATE_US > now_us {
                return None;
            }
            self.closed_until_ms = day_begins_ms(day(now_ms) + 1);
            self.why = Some(format!("has had its {} mails of today", self.cap(pace).unwrap_or(0)));
            return None;
        }
        let n = if left == i64::MAX { wanted } else { wanted.min((left / GRANT_PART_OF_DAY).max(1)) };
        let next_us = self.tat_us.max(now_us);
        self.tat_us = next_us + n * step_us;
        self.taken_day += n;
        self.taken_since += n;
        Some(Span { next_us, step_us, left: n })
    }

    /// When it is worth asking for tokens again that were refused, milliseconds.
    pub fn grants_at_ms(&self) -> i64 {
        self.closed_until_ms.max((self.tat_us - AHEAD_US) / 1_000)
    }

    /// Takes tokens back that nobody used: a day that was over has some left again.
    pub fn give_back(&mut self, n: i64) {
        self.taken_day = (self.taken_day - n).max(0);
        self.taken_since = (self.taken_since - n).max(0);
        if n > 0 && self.closed_until_ms == day_begins_ms(self.day + 1) {
            self.closed_until_ms = 0;
        }
    }

    /// The provider said that we are too fast. `measured` is how fast we were, where nothing bounds that. Of many that
    /// hear it, the first is counted: `false` for the others.
    pub fn throttled(&mut self, (pace, throttle): (&Pace, &Throttle), measured: f64, said: &str, now_ms: i64) -> bool {
        if self.closed_until_ms > now_ms {
            return false;
        }
        let elapsed = (now_ms - self.since_ms) as f64 / 1_000.0;
        let used = |rate: f64| (self.taken_since as f64 / elapsed.max(1.0)).clamp(rate / 4.0, rate);
        let was = self.rate(pace).map_or(measured, used).max(RATE_MIN);
        // What was only measured, before there were tokens, says little about the rate that is too much.
        self.ceiling = self.rate(pace).map(|_| was);
        self.learnt = Some((was / 2.0).max(RATE_MIN));
        let last = throttle.pauses_ms.len().saturating_sub(1);
        let pause_ms = throttle.pauses_ms.get((self.level as usize).min(last)).copied().unwrap_or(0);
        self.level += 1;
        self.closed_until_ms = now_ms + pause_ms;
        self.why = Some(format!("says that we are too fast: {said}"));
        (self.since_ms, self.taken_since) = (self.closed_until_ms, 0);
        true
    }

    /// Raises a learnt rate after a clean step, until there is nothing left to learn.
    fn grow(&mut self, pace: &Pace, throttle: &Throttle, now_ms: i64) {
        let elapsed_ms = now_ms - self.since_ms;
        if elapsed_ms < throttle.step_ms {
            return;
        }
        let used = self.taken_since as f64 * 1_000.0 / elapsed_ms as f64;
        (self.since_ms, self.taken_since) = (now_ms, 0);
        let Some(rate) = self.learnt.filter(|rate| used >= rate * USED_MIN) else { return };
        let raised = match self.ceiling {
            Some(ceiling) if rate < NEAR * ceiling => (rate + STEP_BELOW * ceiling).min(NEAR * ceiling),
            Some(ceiling) if rate < BEYOND * ceiling => rate + STEP_NEAR * ceiling,
            _ => rate * (1.0 + STEP_UNKNOWN),
        };
        if self.ceiling.is_none_or(|ceiling| raised >= NEAR * ceiling) {
            self.level = 0;
        }
        self.learnt = Some(raised).filter(|raised| pace.per_second.is_none_or(|told| *raised < told));
        if self.learnt.is_none() {
            self.ceiling = None;
        }
    }

    /// Begins a new day, if there is one. `complaints` came back from the day that ends.
    pub fn begin_day(&mut self, pace: &Pace, complaints: i64, now_ms: i64) {
        let today = day(now_ms);
        if self.day == today && self.warm_cap.is_some() == pace.warm_up.is_some() {
            return;
        }
        let rested = today - self.day > WARM_IDLE_DAYS;
        self.warm_cap = pace.warm_up.map(i64::from).map(|first| match self.warm_cap {
            Some(cap) if !rested => self.warmer(cap, first, complaints),
            _ => first,
        });
        if self.day != today {
            (self.day, self.taken_day, self.hard_day, self.deferred_day) = (today, 0, 0, 0);
        }
    }

    /// The cap after a day under `cap`.
    fn warmer(&self, cap: i64, first: i64, complaints: i64) -> i64 {
        let share = |n: i64| n as f64 / (self.taken_day as f64).max(1.0);
        let wrong = [
            share(self.hard_day) / WARM_HARD_MAX,
            share(complaints) / WARM_COMPLAINTS_MAX,
            share(self.deferred_day) / WARM_DEFERRED_MAX,
        ];
        let worst = wrong.into_iter().fold(0.0, f64::max);
        if worst >= WARM_WORSE {
            (cap / 2).max(first.min(cap))
        } else if worst >= 1.0 || (self.taken_day as f64) < WARM_USED_MIN * cap as f64 {
            cap
        } else {
            ((cap as f64 * WARM_GROWTH).ceil() as i64).min(WARM_END)
        }
    }
}

/// The day of an instant: of UTC, since 1970.
pub fn day(now_ms: i64) -> i64 {
    now_ms / DAY_MS
}

/// When a day begins, milliseconds.
pub fn day_begins_ms(day: i64) -> i64 {
    day * DAY_MS
}

/// How many of a gate's connections a daemon may hold, of `limit` in all, while the others hold `theirs` and so many
/// other daemons want some too.
pub fn connections(limit: i64, theirs: i64, rivals: i64) -> i64 {
    let fair = (limit + rivals) / (rivals + 1);
    fair.min(limit - theirs).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 20_000 * DAY_MS + 1_000;

    fn told(per_second: f64) -> Pace {
        Pace { per_second: Some(per_second), ..Pace::default() }
    }

    #[test]
    fn tokens_follow_each_other_whoever_takes_them() {
        let (mut gate, pace, throttle) = (Gate::default(), told(4.0), Throttle::default());
        let one = gate.grant(&pace, &throttle, NOW_MS).unwrap();
        let two = gate.grant(&pace, &throttle, NOW_MS + 10).unwrap();
        assert_eq!((one.next_us, one.step_us, one.left), (NOW_MS * 1_000, 250_000, 4));
        assert_eq!(two.next_us, one.until_us());
        assert_eq!(gate.grant(&pace, &throttle, NOW_MS + 20), None, "too far ahead");
        assert!(gate.grant(&pace, &throttle, gate.grants_at_ms()).is_some());
    }

    #[test]
    fn a_token_that_is_not_used_in_time_is_lost() {
        let mut span = Span { next_us: 1_000_000, step_us: 10_000, left: 50 };
        assert_eq!((span.drop_late(1_100_000), span.drop_late(1_130_001)), (0, 4));
        assert_eq!((span.next_us, span.left), (1_040_000, 46));
        assert_eq!((span.drop_late(9_000_000), span.left), (46, 0));
    }

    #[test]
    fn a_day_has_an_end_and_so_has_its_cap() {
        let pace = Pace { per_day: Some(3), ..Pace::default() };
        let (mut gate, throttle) = (Gate::default(), Throttle::default());
        gate.begin_day(&pace, 0, NOW_MS);
        for _ in 0..3 {
            assert_eq!(gate.grant(&pace, &throttle, NOW_MS).unwrap().left, 1);
        }
        assert_eq!(gate.grant(&pace, &throttle, NOW_MS), None);
        assert_eq!(gate.closed_until_ms, 20_001 * DAY_MS);
        gate.give_back(1);
        assert_eq!(gate.grant(&pace, &throttle, NOW_MS).unwrap().left, 1);
        assert_eq!(gate.grant(&pace, &throttle, NOW_MS), None);
        assert_eq!(gate.closed_until_ms, 20_001 * DAY_MS);
        gate.begin_day(&pace, 0, gate.closed_until_ms);
        assert!(gate.grant(&pace, &throttle, gate.closed_until_ms).is_some());
    }

    #[test]
    fn many_that_hear_it_count_once_and_pauses_grow_until_it_goes_well() {
        let (mut gate, pace, throttle) = (Gate::default(), told(10.0), Throttle::default());
        gate.since_ms = NOW_MS - 1_000;
        gate.taken_since = 10;
        assert!(gate.throttled((&pace, &throttle), 0.0, "slow down", NOW_MS));
        assert!(!gate.throttled((&pace, &throttle), 0.0, "slow down", NOW_MS + 5));
        assert_eq!((gate.rate(&pace), gate.closed_until_ms), (Some(5.0), NOW_MS + 120_000));
        let again_ms = gate.closed_until_ms + 1;
        assert!(gate.throttled((&pace, &throttle), 0.0, "slow down", again_ms));
        assert_eq!(gate.closed_until_ms, again_ms + 300_000);
        let mut now_ms = gate.closed_until_ms;
        while gate.learnt.is_some() {
            gate.taken_since = 1_000;
            now_ms += throttle.step_ms;
            gate.grant(&pace, &throttle, now_ms);
            assert!(now_ms < again_ms + 40 * 3_600_000, "it never recovers: {gate:?}");
        }
        assert_eq!((gate.level, gate.ceiling), (0, None));
    }

    #[test]
    fn an_address_warms_up_by_clean_days_and_cools_by_rest() {
        let pace = Pace { warm_up: Some(100), ..Pace::default() };
        let mut gate = Gate::default();
        let mut day = 20_000;
        let mut next = |gate: &mut Gate, days: i64, taken: i64, hard: i64, complaints: i64| {
            (gate.taken_day, gate.hard_day) = (taken, hard);
            day += days;
            gate.begin_day(&pace, complaints, day_begins_ms(day));
            gate.cap(&pace)
        };
        assert_eq!(next(&mut gate, 0, 0, 0, 0), Some(100));
        assert_eq!(next(&mut gate, 1, 100, 0, 0), Some(140));
        assert_eq!(next(&mut gate, 1, 20, 0, 0), Some(140), "it was hardly used");
        assert_eq!(next(&mut gate, 1, 140, 3, 0), Some(140), "too many unknown users");
        assert_eq!(next(&mut gate, 1, 140, 0, 1), Some(100), "a complaint of 140 is far too much");
        assert_eq!(next(&mut gate, 1, 100, 0, 0), Some(140));
        assert_eq!(next(&mut gate, 31, 140, 0, 0), Some(100), "it rested too long");
        for _ in 0..40 {
            let all = gate.cap(&pace).unwrap_or(WARM_END);
            next(&mut gate, 1, all, 0, 0);
        }
        assert_eq!(gate.cap(&pace), None, "it is warm");
    }

    #[test]
    fn connections_are_shared_fairly_and_never_too_many() {
        assert_eq!((connections(5, 0, 0), connections(5, 0, 1), connections(5, 3, 1)), (5, 3, 2));
        assert_eq!((connections(1, 1, 1), connections(1, 0, 2), connections(2, 5, 0)), (0, 1, 0));
    }
}
