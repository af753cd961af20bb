//! Addresses that must not be mailed, whatever their consent says.

use crate::text_enum;

/// The scope of a suppression that covers every mail, transactional ones too. Any other scope is a topic.
pub const SCOPE_ALL: &str = "all";
/// The scope of a mail that asks its reader whether a sign-up was meant: no topic, and not stopped by an entry that
/// such a reader [may be asked](SuppressionReason::may_be_asked) about.
pub const SCOPE_ASKING: &str = "?";

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

    /// Whether the answer to a sign-up form may go to the address all the same. Who unsubscribed or was erased may come
    /// back of his or her own will, and a full mailbox may have been emptied. Who complained would complain again about
    /// a form that somebody else filled in, and a dead address is not mailed twice.
    pub fn may_be_asked(self) -> bool {
        matches!(self, SuppressionReason::Unsubscribe | SuppressionReason::Erased | SuppressionReason::SoftBounce)
    }

    /// Whether a sign-up that its reader confirmed ends the entry: it is a newer word of the same person, and whoever
    /// answers a mail has a living address. What others decided stays, and so does a complaint.
    pub fn ends_by_confirmation(self) -> bool {
        self.may_be_asked() || self.is_bounce()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_persons_own_word_and_bounces_end_by_a_confirmation() {
        for reason in SuppressionReason::ALL {
            use SuppressionReason as R;
            let is_others = matches!(reason, R::Manual | R::Legal | R::Role | R::Complaint);
            assert_eq!(reason.ends_by_confirmation(), !is_others, "{reason}");
            assert!(reason.ends_by_confirmation() || !reason.may_be_asked(), "{reason}");
        }
    }
}
