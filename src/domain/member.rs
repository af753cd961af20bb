//! A member as the rest of the house sees it: who to write to, in which language, what the profile says.

use std::collections::BTreeMap;

use serde::Serialize;

/// One live member with its profile. Loaded for a claim's whole batch at once, seconds before rendering. As JSON, what
/// may be told of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Member {
    pub id: i64,
    /// As it is mailed: the domain an A-label, the local part as given.
    pub email: String,
    #[serde(skip)]
    pub addr_key: i64,
    pub external_id: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// BCP 47, as given: `zh-Hans-CN`, `ru`, `en`.
    pub locale: String,
    /// IANA zone name.
    pub zone: String,
    /// Which market's prices and stock count; empty where there is only one.
    pub market: String,
    pub points: i64,
    pub orders: i64,
    pub revenue_minor: i64,
    pub last_order_at_ms: Option<i64>,
    /// Rises whenever consent, address or status change: an arm made under an older one is refused.
    #[serde(skip)]
    pub mail_epoch: i64,
    pub attributes: BTreeMap<String, String>,
    #[serde(skip)]
    pub wishes: Wishes,
}

/// How a member wants to be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// Products by what the member did; else what sells best (PIPL Art. 24).
    pub personalise: bool,
    /// Mails carry a pixel, and its openings are written down.
    pub track_opens: bool,
    /// Links lead over us and are counted; else straight to where they lead.
    pub track_clicks: bool,
    /// No marketing mail before this.
    pub paused_until_ms: Option<i64>,
}

impl Default for Wishes {
    fn default() -> Wishes {
        Wishes { personalise: true, track_opens: true, track_clicks: true, paused_until_ms: None }
    }
}

impl Wishes {
    pub fn is_paused(&self, now_ms: i64) -> bool {
        self.paused_until_ms.is_some_and(|until| until > now_ms)
    }
}
