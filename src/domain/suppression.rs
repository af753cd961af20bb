//! Addresses that must not be mailed, whatever their consent says.

use crate::text_enum;

/// The scope of a suppression that covers every mail, transactional ones too. Any other scope is a topic.
pub const SCOPE_ALL: &str = "all";

text_enum! {
    /// Why an address is on the list.
    pub enum SuppressionReason {
        /// The address is dead for good.
        HardBounce = "hard_bounce",
        /// It kept failing for passing reasons.
        SoftBounce = "soft_bounce",
        /// Its reader called our mail spam.
        Complaint = "complaint",
        /// Its reader wants no mail of the scope.
        Unsubscribe = "unsubscribe",
        /// A person of ours decided so.
        Manual = "manual",
        /// A law or a court.
        Legal = "legal",
        /// Nobody's own address: `postmaster@`, `abuse@`.
        Role = "role",
        /// Its owner was erased on request; only this keyed hash is left.
        Erased = "erased",
    }
}

impl SuppressionReason {
    /// Whether only the address's owner, or a court, may take the entry back: to lift it must be meant.
    pub fn binds(self) -> bool {
        matches!(self, SuppressionReason::Complaint | SuppressionReason::Legal | SuppressionReason::Erased)
    }

    /// Whether the entry says that mail did not arrive, and not that somebody does not want it.
    pub fn is_bounce(self) -> bool {
        matches!(self, SuppressionReason::HardBounce | SuppressionReason::SoftBounce)
    }
}

/// Whether `text` may be a scope: [`SCOPE_ALL`] or a topic.
pub fn is_scope(text: &str) -> bool {
    text == SCOPE_ALL || super::consent::is_topic(text)
}
