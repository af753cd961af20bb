//! Breakers: when a campaign is paused by itself, before its mails cost the sender's name.
//!
//! The limits are those the big mail services publish: complaints below 0.1 % and never 0.3 % (Gmail and Yahoo sender
//! guidelines, 2024), few unknown users, no mail on when authentication fails.

use crate::text_enum;

text_enum! {
    /// What pauses a campaign.
    pub enum Fuse {
        /// Addresses that do not exist.
        HardBounces = "hard_bounces",
        /// Readers who called it spam.
        Complaints = "complaints",
        /// Servers that refuse what the mail says.
        Content = "content",
        /// Servers that find SPF, DKIM or DMARC of our domain wanting.
        Auth = "auth",
    }
}

/// From when on a fuse blows. Shares are of the messages tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Shares are not looked at before so many messages were tried.
    pub after: i64,
    pub hard_bounces: f64,
    pub complaints: f64,
    pub content: f64,
    /// So many refusals of the content are enough, however many were tried.
    pub content_n: i64,
    pub auth_n: i64,
    /// A provider that refused our address so often within [`BLOCK_WITHIN_MS`] gets no mail for a while.
    pub block_n: i64,
    pub block_pause_ms: i64,
}

/// Within what time refusals of our address are counted together, milliseconds.
pub const BLOCK_WITHIN_MS: i64 = 3_600_000;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            after: 500,
            hard_bounces: 0.02,
            complaints: 0.003,
            content: 0.01,
            content_n: 20,
            auth_n: 1,
            block_n: 5,
            block_pause_ms: 2 * 3_600_000,
        }
    }
}

/// How many messages were tried, and how many of them met with what a fuse counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub tried: i64,
    pub hits: i64,
}

impl Tally {
    /// What came since an earlier tally.
    pub fn since(self, before: Tally) -> Tally {
        Tally { tried: (self.tried - before.tried).max(0), hits: (self.hits - before.hits).max(0) }
    }

    /// Hits of what was tried, 0 to 1.
    pub fn share(self) -> f64 {
        if self.tried == 0 { 0.0 } else { self.hits as f64 / self.tried as f64 }
    }
}

/// Complaints are told of from this part of the limit on that pauses: providers begin to mind there.
const COMPLAINTS_WARN: f64 = 1.0 / 3.0;

impl Limits {
    /// Whether complaints are to be told of, before they are so many that the campaign is paused.
    pub fn warns(&self, complaints: Tally) -> bool {
        complaints.tried >= self.after && complaints.hits > 0 && complaints.share() >= self.complaints * COMPLAINTS_WARN
    }

    /// Whether a fuse blows at this tally.
    pub fn blows(&self, fuse: Fuse, tally: Tally) -> bool {
        let reaches = |limit: f64| tally.tried >= self.after && tally.hits > 0 && tally.share() >= limit;
        match fuse {
            Fuse::HardBounces => reaches(self.hard_bounces),
            Fuse::Complaints => reaches(self.complaints),
            Fuse::Content => tally.hits >= self.content_n || reaches(self.content),
            Fuse::Auth => tally.hits >= self.auth_n,
        }
    }
}

/// Why a campaign stands still and what to do, in words for whoever runs it. `said` is a server's last answer.
pub fn words(fuse: Fuse, tally: Tally, said: Option<&str>) -> String {
    let Tally { tried, hits } = tally;
    let percent = 100.0 * tally.share();
    let (what, fix) = match fuse {
        Fuse::HardBounces => (
            format!("{percent:.1} % of {tried} mails went to addresses that do not exist"),
            "look where these members come from and take out what was never confirmed",
        ),
        Fuse::Complaints => (
            format!("{hits} of {tried} readers ({percent:.2} %) called it spam"),
            "narrow the segment to people who read you, and look at what you promised them when they signed up",
        ),
        Fuse::Content => (
            format!("{hits} of {tried} mails were refused for what they say"),
            "look at the mail's links and words, push a better version, and resume",
        ),
        Fuse::Auth => (
            format!("{hits} of {tried} mails were refused because SPF, DKIM or DMARC of the sender's domain failed"),
            "mend the domain's records: `indicia doctor` says which",
        ),
    };
    let said = said.map(|said| format!(" The last answer was: {said}.")).unwrap_or_default();
    format!("paused by itself: {what}.{said} What to do: {fix}; then `indicia campaign resume`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(tried: i64, hits: i64) -> Tally {
        Tally { tried, hits }
    }

    #[test]
    fn a_share_counts_from_enough_mails_on() {
        let limits = Limits::default();
        assert!(!limits.blows(Fuse::HardBounces, tally(499, 400)));
        assert!(!limits.blows(Fuse::HardBounces, tally(1_000, 19)));
        assert!(limits.blows(Fuse::HardBounces, tally(1_000, 20)));
        assert!(!limits.blows(Fuse::Complaints, tally(10_000, 29)));
        assert!(limits.blows(Fuse::Complaints, tally(10_000, 30)));
        assert!(limits.blows(Fuse::Content, tally(30, 20)) && !limits.blows(Fuse::Content, tally(30, 19)));
        assert!(limits.blows(Fuse::Auth, tally(1, 1)) && !limits.blows(Fuse::Auth, tally(900, 0)));
    }

    #[test]
    fn complaints_are_told_of_from_one_in_a_thousand_on() {
        let limits = Limits::default();
        assert!(limits.warns(tally(1_000, 1)) && !limits.warns(tally(2_000, 1)) && !limits.warns(tally(499, 9)));
    }

    #[test]
    fn after_a_resume_only_what_came_since_counts() {
        let limits = Limits::default();
        let blown = tally(1_000, 25);
        assert!(limits.blows(Fuse::HardBounces, blown));
        assert!(!limits.blows(Fuse::HardBounces, tally(1_600, 30).since(blown)));
        assert!(limits.blows(Fuse::HardBounces, tally(1_600, 40).since(blown)));
    }

    #[test]
    fn the_words_say_what_and_what_to_do() {
        let said = words(Fuse::HardBounces, tally(1_000, 24), Some("550 5.1.1 no such user"));
        assert!(said.contains("2.4 % of 1000") && said.contains("no such user") && said.contains("resume"), "{said}");
    }
}
