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
