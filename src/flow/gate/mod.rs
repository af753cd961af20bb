//! Gates as one daemon has them: tokens granted by the database, its share of each provider's connections, and what its
//! couriers heard, to be told to all.
//!
//! The row in the database is the budget of every daemon ([`crate::domain::gate`]). A token not used in time and a seat
//! of a dead daemon are free again; what a dead daemon had been granted is lost, so the sum is never above the limit.

mod all;
mod seats;

pub use all::Gates;
pub use seats::Seats;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::base::text::{clean, mask_addresses};
use crate::domain::gate::{self as account, Span, Throttle};
use crate::domain::provider::{OTHER, Pace};
use crate::queue::Outcome;

/// A gate that nobody asked for so long wants nothing, milliseconds.
const WANTED_MS: i64 = 2_000;
/// Tokens are asked for when those at hand last no longer than this, microseconds.
const LOW_US: i64 = 1_000_000;
/// How soon tokens that were refused are asked for again, milliseconds.
const REFUSED_MS: i64 = 20;
/// How often the share of connections is looked at: while there is one, and while there is none, milliseconds.
const SEATED_MS: i64 = 2_000;
const UNSEATED_MS: i64 = 300;
/// How often counts are written down, milliseconds.
const COUNTS_MS: i64 = 5_000;
/// The least time over which a speed is measured, milliseconds.
const MEASURED_MS: i64 = 1_000;
/// Longest part of a server's words that is kept, bytes.
const SAID_BYTES_MAX: usize = 200;

/// Whether mail may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    Now,
    /// At an instant, microseconds.
    At(i64),
    /// Who knows when.
    Later,
}

impl Pass {
    /// The one of two that comes first.
    pub fn sooner(self, other: Pass) -> Pass {
        match (self, other) {
            (Pass::At(a), Pass::At(b)) => Pass::At(a.min(b)),
            (Pass::Later, at) => at,
            (at, _) => at,
        }
    }
}

/// One gate: of a provider over a route, of a whole route, or of a run.
pub struct Gate {
    route: Box<str>,
    provider_id: i64,
    /// The name of the provider; empty for a whole route or a run.
    pub provider: Arc<str>,
    pub pace: Pace,
    /// How long it closes at least when we were too fast, milliseconds.
    pause_ms: i64,
    /// Its row; 0: not known yet.
    id: AtomicI64,
    local: Mutex<Local>,
}

#[derive(Default)]
struct Local {
    /// The account as it was read last.
    account: account::Gate,
    is_known: bool,
    /// The tokens at hand, and those after them.
    spans: [Span; 2],
    /// Connections this daemon may hold, and holds.
    seats: i64,
    seated: i64,
    /// When a mail last stood before it, and when mail was last looked for.
    wanted_ms: i64,
    asked_ms: i64,
    ask_ms: i64,
    review_ms: i64,
    written_ms: i64,
    counts: Counts,
    told: Option<Told>,
    meter: Meter,
}

/// What is written down now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    unused: i64,
    hard: i64,
    deferred: i64,
}

/// A server said that we are too fast.
#[derive(Debug, Clone)]
struct Told {
    said: String,
    measured: f64,
    at_ms: i64,
}

/// How many mails were taken since when, and how fast that went before.
#[derive(Default)]
struct Meter {
    n: i64,
    since_ms: i64,
    before: f64,
}

/// What one look into the database decided for a gate.
struct Draft {
    at: usize,
    id: i64,
    account: account::Gate,
    is_changed: bool,
    span: Option<Span>,
    seats: Option<i64>,
    counts: Counts,
    told: bool,
}

impl Gate {
    fn new(route: &str, (provider_id, provider): (i64, &str), pace: Pace, throttle: &Throttle) -> Gate {
        let (route, provider, id, local) = (route.into(), provider.into(), AtomicI64::new(0), Mutex::default());
        let pause_ms = throttle.pauses_ms.iter().copied().min().unwrap_or(1);
        Gate { route, provider_id, provider, pace, pause_ms, id, local }
    }

    /// Whether mail may be claimed for it: it is known, not closed, and this daemon may hold a connection.
    pub fn is_open(&self, now_ms: i64) -> bool {
        let mut local = self.local();
        local.asked_ms = now_ms;
        local.is_known
            && local.account.closed_until_ms <= now_ms
            && (self.pace.connections.is_none() || local.seats > 0)
    }

    /// Whether it is closed by a breaker, a throttle or its day's cap.
    pub fn is_closed(&self, now_ms: i64) -> bool {
        self.local().account.closed_until_ms > now_ms
    }

    /// Mails per second, if that is bounded.
    pub fn rate(&self) -> Option<f64> {
        self.local().account.rate(&self.pace)
    }

    /// Whether there is a token.
    pub fn peek(&self, now_us: i64) -> Pass {
        self.local().peek(&self.pace, now_us)
    }

    /// Takes a token, if there is one.
    pub fn take(&self, now_us: i64) -> Pass {
        let mut local = self.local();
        let pass = local.peek(&self.pace, now_us);
        if pass == Pass::Now && !local.account.is_free(&self.pace) {
            local.spans[0].left -= 1;
            local.spans[0].next_us += local.spans[0].step_us;
        }
        pass
    }

    /// An attempt for this provider ended. One that is given back had taken its token.
    pub fn ended(&self, outcome: &Outcome) {
        let mut local = self.local();
        match outcome {
            Outcome::Sent { .. } => local.meter.n += 1,
            Outcome::Bounced { why: "refused_recipient" } => local.counts.hard += 1,
            Outcome::Deferred { .. } => local.counts.deferred += 1,
            // Nothing of it was sent: the day has a token more.
            Outcome::Released { .. } if !local.account.is_free(&self.pace) => local.counts.unused += 1,
            _ => {}
        }
    }

    /// A server said that we are too fast: the gate closes. `false` where that says nothing about the others who go
    /// through it, because they are many.
    pub fn throttled(&self, said: &str, now_ms: i64) -> bool {
        if &*self.provider == OTHER || self.provider.is_empty() {
            return false;
        }
        let mut local = self.local();
        if local.account.closed_until_ms <= now_ms {
            let said = mask_addresses(&clean(said, SAID_BYTES_MAX));
            let measured = local.meter.speed(now_ms);
            local.told.get_or_insert(Told { said, measured, at_ms: now_ms });
            local.account.closed_until_ms = now_ms + self.pause_ms;
        }
        local.counts.deferred += 1;
        true
    }

    fn has_seat(&self) -> bool {
        let local = self.local();
        local.seated < local.seats
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().expect("nothing panics while holding a gate")
    }

    /// Whether the database must be asked or told something.
    fn is_due(&self, now_ms: i64) -> bool {
        let mut local = self.local();
        let local = &mut *local;
        local.meter.roll(now_ms);
        let is_wanted = local.is_wanted(now_ms);
        local.drop_unused(is_wanted, now_ms * 1_000);
        let is_open = local.account.closed_until_ms <= now_ms;
        let asks = is_wanted && is_open && local.is_low(&self.pace, now_ms) && local.ask_ms <= now_ms;
        let may_sit = local.may_sit(now_ms) || local.seats > 0;
        let seats = self.pace.connections.is_some() && local.review_ms <= now_ms && may_sit;
        let counts = local.counts != Counts::default() && local.written_ms + COUNTS_MS <= now_ms;
        local.told.is_some() || asks || seats || counts
    }

    /// Brings the account up to date with what happened here, and takes what is needed from it.
    fn draft(&self, at: usize, row: Row, day_complaints: i64, throttle: &Throttle, now_ms: i64) -> Draft {
        let mut local = self.local();
        let local = &mut *local;
        let Row { id, account: before, theirs, rivals } = row;
        let mut account = before.clone();
        account.begin_day(&self.pace, day_complaints, now_ms);
        let counts = local.counts;
        account.give_back(counts.unused);
        account.hard_day += counts.hard;
        account.deferred_day += counts.deferred;
        if let Some(Told { said, measured, at_ms }) = &local.told {
            account.throttled((&self.pace, throttle), *measured, said, *at_ms);
        }
        let is_wanted = local.is_wanted(now_ms);
        // Whoever asks while there are tokens at hand may be told that the day is over, and could not use them.
        let asks = is_wanted && local.is_low(&self.pace, now_ms) && local.spans[1].left == 0;
        let span = if asks { account.grant(&self.pace, throttle, now_ms) } else { None };
        let seats = self.pace.connections.map(|limit| {
            let target = if local.may_sit(now_ms) { account::connections(i64::from(limit), theirs, rivals) } else { 0 };
            // What is given up is given up before others are told, what is won only after.
            local.seats = local.seats.min(target);
            target.max(local.seated)
        });
        let is_changed = account != before;
        Draft { at, id, account, is_changed, span, seats, counts, told: local.told.is_some() }
    }

    /// The database has it.
    fn apply(&self, draft: Draft, now_ms: i64) {
        let mut local = self.local();
        self.id.store(draft.id, Ordering::Relaxed);
        local.account = draft.account;
        local.is_known = true;
        local.written_ms = now_ms;
        let Counts { unused, hard, deferred } = draft.counts;
        local.counts.unused -= unused;
        local.counts.hard -= hard;
        local.counts.deferred -= deferred;
        if draft.told {
            local.told = None;
            local.drop_unused(false, now_ms * 1_000);
        }
        match draft.span {
            Some(span) => {
                let at = usize::from(local.spans[0].left > 0);
                local.spans[at] = span;
            }
            None => local.ask_ms = local.account.grants_at_ms().clamp(now_ms + REFUSED_MS, now_ms + WANTED_MS),
        }
        if let Some(seats) = draft.seats {
            local.seats = seats;
            local.review_ms = now_ms + if seats > 0 { SEATED_MS } else { UNSEATED_MS };
        }
    }
}

impl Local {
    fn is_wanted(&self, now_ms: i64) -> bool {
        self.wanted_ms + WANTED_MS > now_ms
    }

    fn may_sit(&self, now_ms: i64) -> bool {
        self.is_wanted(now_ms) || self.asked_ms + WANTED_MS > now_ms || self.seated > 0
    }

    fn peek(&mut self, pace: &Pace, now_us: i64) -> Pass {
        self.wanted_ms = now_us / 1_000;
        if !self.is_known || self.account.closed_until_ms * 1_000 > now_us {
            return Pass::Later;
        }
        if self.account.is_free(pace) {
            return Pass::Now;
        }
        self.drop_unused(true, now_us);
        match self.spans[0] {
            Span { left: 0, .. } => Pass::Later,
            Span { next_us, .. } if next_us <= now_us => Pass::Now,
            Span { next_us, .. } => Pass::At(next_us),
        }
    }

    /// Drops tokens whose instant has passed, and those that nobody wants.
    fn drop_unused(&mut self, is_wanted: bool, now_us: i64) {
        for span in &mut self.spans {
            self.counts.unused += span.drop_late(now_us);
            if !is_wanted {
                self.counts.unused += std::mem::take(&mut span.left);
            }
        }
        if self.spans[0].left == 0 {
            self.spans[0] = std::mem::take(&mut self.spans[1]);
        }
    }

    /// Whether the tokens at hand will soon be gone.
    fn is_low(&self, pace: &Pace, now_ms: i64) -> bool {
        !self.account.is_free(pace) && self.lasts_until_us() < now_ms * 1_000 + LOW_US
    }

    fn lasts_until_us(&self) -> i64 {
        self.spans.iter().filter(|span| span.left > 0).map(Span::until_us).max().unwrap_or(0)
    }
}

impl Meter {
    fn roll(&mut self, now_ms: i64) {
        let elapsed_ms = now_ms - self.since_ms;
        if elapsed_ms >= MEASURED_MS {
            self.before = self.n as f64 * 1_000.0 / elapsed_ms as f64;
            (self.n, self.since_ms) = (0, now_ms);
        }
    }

    /// Mails per second of late.
    fn speed(&self, now_ms: i64) -> f64 {
        let elapsed_ms = (now_ms - self.since_ms).max(MEASURED_MS);
        self.before.max(self.n as f64 * 1_000.0 / elapsed_ms as f64)
    }
}

/// An account with what the database says beside it.
struct Row {
    id: i64,
    account: account::Gate,
    /// Connections that other daemons hold, and how many of them want some.
    theirs: i64,
    rivals: i64,
}
