//! What a person is to be told when the house stops something by itself, and how often it is tried.

use crate::text_enum;

text_enum! {
    /// What happened.
    pub enum AlertKind {
        /// A breaker paused a campaign.
        CampaignPaused = "campaign_paused",
        /// A provider gets no mail over a route for a while.
        ProviderClosed = "provider_closed",
    }
}

text_enum! {
    /// How a person is told.
    pub enum Way {
        /// A mail to an address.
        Mail = "mail",
        /// A `POST` to the configured address.
        Webhook = "webhook",
    }
}

/// Times that telling is tried: over about a day.
pub const TRIES_MAX: i64 = 40;
/// The first pause after a failure, and the longest, milliseconds.
const PAUSE_FIRST_MS: i64 = 1_000;
const PAUSE_LAST_MS: i64 = 3_600_000;

/// An event to tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Names the event: of it nobody is told twice.
    pub once: String,
    pub kind: AlertKind,
    /// The campaign, or the provider and the route.
    pub about: String,
    pub subject: String,
    /// Why, and what to do.
    pub body: String,
}

/// When it is tried again after the `tries`-th failure (from 1); `None`: it is given up.
pub fn due_after(tries: i64, now_ms: i64) -> Option<i64> {
    let doubled = PAUSE_FIRST_MS << tries.clamp(1, 20).saturating_sub(1);
    (tries < TRIES_MAX).then_some(now_ms + doubled.min(PAUSE_LAST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_an_hour_and_end_after_a_day_or_so() {
        assert_eq!(due_after(1, 0), Some(1_000));
        assert_eq!(due_after(2, 0), Some(2_000));
        assert_eq!(due_after(30, 5), Some(5 + 3_600_000));
        assert_eq!(due_after(TRIES_MAX, 0), None);
        let all: i64 = (1..TRIES_MAX).filter_map(|tries| due_after(tries, 0)).sum();
        assert!((20..40).contains(&(all / 3_600_000)), "{all}");
    }
}
