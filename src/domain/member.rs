//! A member as the rest of the house sees it: who to write to, in which language, what the profile says.

use std::collections::BTreeMap;

/// One live member with its profile. Loaded for a claim's whole batch at once, seconds before rendering.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Member {
    pub id: i64,
    /// As it is mailed: the domain an A-label, the local part as given.
    pub email: String,
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
    pub mail_epoch: i64,
    pub attributes: BTreeMap<String, String>,
}
