//! What a person is to be told when the house stops something by itself or cannot go on, and how often it is tried.

use crate::text_enum;

text_enum! {
    /// What happened.
    pub enum AlertKind {
        /// A breaker paused a campaign.
        CampaignPaused = "campaign_paused",
        /// A provider gets no mail over a route for a while.
        ProviderClosed = "provider_closed",
        /// A campaign's audience could not be frozen in time.
        CampaignPutOff = "campaign_put_off",
        /// A campaign is over, and more of its mails than usual failed or are in doubt.
        CampaignShort = "campaign_short",
        /// More readers call a campaign spam than is good, and fewer than pause it.
        Complaints = "complaints",
        /// A route cannot be used, for long.
        RouteDown = "route_down",
        /// Nothing at all is sent.
        SendingStopped = "sending_stopped",
        /// Some work of the daemon fails, for long.
        WorkFailing = "work_failing",
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

/// Whom each way leads to.
pub type Ways = [(Way, String)];

/// A campaign is short when so much of what was tried failed, or is in doubt.
const FAILED_SHARE: f64 = 0.01;
const IN_DOUBT_SHARE: f64 = 0.001;
const DAY_MS: i64 = 86_400_000;

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
    /// The campaign, the provider and the route, the work, or what stopped all.
    pub about: String,
    pub subject: String,
    /// Why, and what to do.
    pub body: String,
}

impl Alert {
    /// A trouble that may come and go: of it people are told once a day (of UTC), however many see it.
    pub fn of_today(kind: AlertKind, about: &str, subject: String, body: String, now_ms: i64) -> Alert {
        let once = format!("{kind} {about} day {}", now_ms.div_euclid(DAY_MS));
        Alert { once, kind, about: about.to_owned(), subject, body }
    }

    /// Sending stopped as a whole, on account of the `disk`, the `clock` or the `database`.
    pub fn sending_stopped(about: &str, why: &str, now_ms: i64) -> Alert {
        let subject = "Nothing is sent any more".to_owned();
        Alert::of_today(AlertKind::SendingStopped, about, subject, why.to_owned(), now_ms)
    }

    /// A run's audience could not be frozen, because of `why`.
    pub fn put_off(run_id: i64, campaign: &str, generation: i64, why: &str) -> Alert {
        Alert {
            once: format!("run {run_id} generation {generation} put off"),
            kind: AlertKind::CampaignPutOff,
            about: campaign.to_owned(),
            subject: format!("Campaign {campaign} was put off: it is a draft again"),
            body: format!(
                "Nothing of campaign {campaign} was sent: {why}. What to do: `indicia campaign resume` tries again; a \
                 simpler segment is a new campaign"
            ),
        }
    }

    /// What is told of a run that is over; `None`: all is as usual.
    pub fn short(run_id: i64, campaign: &str, generation: i64, ended: &Ended) -> Option<Alert> {
        let Ended { sent, failed, in_doubt } = ended;
        let tried = (sent + failed + in_doubt) as f64;
        let much = |n: i64, share: f64| n > 0 && n as f64 >= share * tried;
        if !much(*failed, FAILED_SHARE) && !much(*in_doubt, IN_DOUBT_SHARE) {
            return None;
        }
        Some(Alert {
            once: format!("run {run_id} generation {generation} short"),
            kind: AlertKind::CampaignShort,
            about: campaign.to_owned(),
            subject: format!("Campaign {campaign} is over, and not all of it was sent"),
            body: format!(
                "Of campaign {campaign} {sent} mails were sent, {failed} failed, and of {in_doubt} nobody knows whether they \
                 arrived. What to do: `indicia campaign report` says why they failed, `indicia campaign retry` sends \
                 those again, and with --in-doubt the others, which may then arrive twice"
            ),
        })
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub sent: i64,
    pub failed: i64,
    pub in_doubt: i64,
}

/// On which day a person was last told of a trouble that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToldOn(Option<i64>);

impl ToldOn {
    /// Whether to tell of a trouble there is since `since_ms`: it has lasted for `after_ms`, and today nobody was told.
    pub fn is_due(self, since_ms: Option<i64>, after_ms: i64, now_ms: i64) -> bool {
        since_ms.is_some_and(|since_ms| now_ms - since_ms >= after_ms) && self.0 != Some(now_ms.div_euclid(DAY_MS))
    }

    pub fn told(&mut self, now_ms: i64) {
        self.0 = Some(now_ms.div_euclid(DAY_MS));
    }
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
    fn a_campaign_is_short_by_what_failed_or_is_in_doubt() {
        let short = |sent, failed, in_doubt| Alert::short(1, "c", 0, &Ended { sent, failed, in_doubt }).is_some();
        assert!(!short(0, 0, 0) && !short(1_000, 9, 0) && !short(10_000, 0, 9));
        assert!(short(990, 10, 0) && short(999, 0, 1) && short(0, 1, 0));
    }

    #[test]
    fn a_trouble_is_told_when_it_lasts_and_then_once_a_day() {
        let mut told = ToldOn::default();
        assert!(!told.is_due(None, 0, 50) && !told.is_due(Some(10), 100, 109) && told.is_due(Some(10), 100, 110));
        told.told(110);
        assert!(!told.is_due(Some(10), 100, DAY_MS - 1) && told.is_due(Some(10), 100, DAY_MS));
    }

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
