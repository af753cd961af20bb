//! How the mail of one domain comes to a sink, and the limit it is held to.

use std::time::Duration;

/// One domain's mail.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Traffic {
    /// Recipients told to slow down.
    pub refused: u64,
    /// Connections with a mail under way, now and at most.
    busy: usize,
    pub busy_max: usize,
    /// Mails over one connection, at most.
    pub mails_max: u64,
    /// What is left of its limit, and when that was.
    left: f64,
    at: Duration,
}

impl Traffic {
    /// A recipient is named: whether it is taken, at so many a second with half a second's worth at once, two at least.
    pub fn enters(&mut self, limit: Option<f64>, now: Duration) -> bool {
        if let Some(rate) = limit {
            let most = (rate / 2.0).max(2.0);
            let gained = if self.at.is_zero() { most } else { now.saturating_sub(self.at).as_secs_f64() * rate };
            (self.left, self.at) = ((self.left + gained).min(most), now);
            if self.left < 1.0 {
                self.refused += 1;
                return false;
            }
            self.left -= 1.0;
        }
        self.busy += 1;
        self.busy_max = self.busy_max.max(self.busy);
        true
    }

    /// A mail is over, the `mails`-th of its connection if it was taken.
    pub fn leaves(&mut self, mails: u64) {
        self.busy -= 1;
        self.mails_max = self.mails_max.max(mails);
    }
}
