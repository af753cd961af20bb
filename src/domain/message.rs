//! The states of a message and of a run, and the only functions that move them.

use crate::text_enum;

text_enum! {
    /// Where a message stands, and whose move is next.
    pub enum MessageState {
        /// Held out of its campaign for comparison: nobody's move, ever.
        Held = "held",
        /// Waiting until it is due: a claim's move, or the sweeper's (expired, cancelled).
        Queued = "queued",
        /// Taken by a living daemon: its slot's move. If the daemon dies, `recover` queues it again.
        Leased = "leased",
        /// Its final dot may be written: its slot's move. If the daemon dies, `recover` puts it in doubt.
        Armed = "armed",
        /// The dot may have been written and no reply was recorded: a late answer, a proof, policy or a person moves
        /// it.
        InDoubt = "in_doubt",
        /// Accepted by the next hop: only a bounce report moves it.
        Sent = "sent",
        /// Refused for good by the recipient's side: final.
        Bounced = "bounced",
        /// Given up by us (expired, refused content, would not render): a person's `retry` moves it.
        Failed = "failed",
        /// Not sent for a reason found at claim (suppressed, consent withdrawn, erased): final.
        Skipped = "skipped",
        /// Its campaign was cancelled: final.
        Cancelled = "cancelled",
    }
}

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageEvent {
    Claimed,
    /// Given back unsent, no try counted: a pause, a closed gate, a lost connection before the dot.
    Released,
    /// Refused for now, a try counted.
    Deferred,
    Armed,
    /// The dot was armed for but never handed to the socket.
    NotSent,
    Accepted,
    Refused,
    GivenUp,
    Skipped,
    Cancelled,
    /// The reply after the dot never came.
    Lost,
    /// The owner is no living daemon.
    OwnerDied,
    BounceReported,
    /// A person asked to try again what had failed or is in doubt.
    Retried,
}

impl MessageState {
    /// The state after `event`, or `None` where the event does not apply. A 250 always wins, whenever it comes:
    /// `Accepted` leads to `Sent` from every state but `Sent`, `Bounced` and `Held`.
    pub fn next(self, event: MessageEvent) -> Option<MessageState> {
        use MessageEvent as E;
        use MessageState as S;
        Some(match (self, event) {
            (S::Queued, E::Claimed) => S::Leased,
            (S::Leased, E::Armed) => S::Armed,
            (S::Leased, E::Released | E::Deferred | E::OwnerDied) => S::Queued,
            (S::Armed | S::InDoubt, E::Deferred | E::NotSent) => S::Queued,
            (S::Armed, E::Lost | E::OwnerDied) => S::InDoubt,
            (S::Sent | S::Bounced | S::Held, E::Accepted) => return None,
            (_, E::Accepted) => S::Sent,
            (S::Leased | S::Armed | S::InDoubt, E::Refused) => S::Bounced,
            (S::Leased | S::Armed | S::InDoubt | S::Queued, E::GivenUp) => S::Failed,
            (S::Leased, E::Skipped) => S::Skipped,
            (S::Queued | S::Leased, E::Cancelled) => S::Cancelled,
            (S::Armed | S::InDoubt | S::Sent, E::BounceReported) => S::Bounced,
            (S::Failed | S::InDoubt, E::Retried) => S::Queued,
            _ => return None,
        })
    }

    /// Whether nothing but a bounce report, a late reply or a person will move it.
    pub fn is_settled(self) -> bool {
        !matches!(self, MessageState::Queued | MessageState::Leased | MessageState::Armed)
    }
}

text_enum! {
    /// Where one launch of a campaign stands.
    pub enum RunState {
        /// Written, not approved: a person's move.
        Draft = "draft",
        /// Waiting for its time: the planner's move.
        Approved = "approved",
        /// Its audience is being written down: the planner's move. Nothing is claimable.
        Freezing = "freezing",
        /// Its messages may be claimed.
        Sending = "sending",
        /// Nothing more is claimed; what is armed finishes.
        Pausing = "pausing",
        /// Nothing of it is on its way: a person's move.
        Paused = "paused",
        /// Every message is settled.
        Finished = "finished",
        /// Queued messages are being cancelled; what is armed finishes.
        Cancelling = "cancelling",
        Cancelled = "cancelled",
    }
}

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEvent {
    Approve,
    FreezeStarted,
    FrozenWhole,
    Pause,
    /// No row is armed any more.
    Stilled,
    Resume,
    Retry,
    Cancel,
    /// No row is queued, leased or armed any more.
    Drained,
    /// What the database says of it may be old: a person decides.
    Doubted,
}

impl RunState {
    /// The state after `event`, or `None` where the event does not apply.
    pub fn next(self, event: RunEvent) -> Option<RunState> {
        use RunEvent as E;
        use RunState as S;
        Some(match (self, event) {
            (S::Draft, E::Approve | E::Resume) => S::Approved,
            (S::Approved, E::FreezeStarted) => S::Freezing,
            (S::Freezing, E::FrozenWhole) => S::Sending,
            (S::Sending, E::Pause | E::Doubted) => S::Pausing,
            (S::Approved | S::Freezing, E::Doubted) => S::Draft,
            (S::Pausing, E::Stilled) => S::Paused,
            (S::Pausing | S::Paused, E::Resume) => S::Sending,
            (S::Finished, E::Retry) => S::Sending,
            (S::Draft | S::Approved | S::Freezing | S::Sending | S::Pausing | S::Paused, E::Cancel) => S::Cancelling,
            (S::Sending, E::Drained) => S::Finished,
            (S::Cancelling, E::Drained) => S::Cancelled,
            _ => return None,
        })
    }

    /// Whether the run will not move again unless a person asks.
    pub fn is_over(self) -> bool {
        matches!(self, RunState::Finished | RunState::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [MessageEvent; 14] = [
        MessageEvent::Claimed,
        MessageEvent::Released,
        MessageEvent::Deferred,
        MessageEvent::Armed,
        MessageEvent::NotSent,
        MessageEvent::Accepted,
        MessageEvent::Refused,
        MessageEvent::GivenUp,
        MessageEvent::Skipped,
        MessageEvent::Cancelled,
        MessageEvent::Lost,
        MessageEvent::OwnerDied,
        MessageEvent::BounceReported,
        MessageEvent::Retried,
    ];

    #[test]
    fn only_an_armed_or_doubtful_message_goes_back_to_the_queue_after_the_dot() {
        for state in MessageState::ALL {
            for event in EVENTS {
                let next = state.next(event);
                if next == Some(MessageState::Armed) {
                    assert_eq!((*state, event), (MessageState::Leased, MessageEvent::Armed));
                }
                if *state == MessageState::Sent {
                    assert!(next.is_none() || event == MessageEvent::BounceReported, "{event:?} moved a sent message");
                }
                if *state == MessageState::Held || *state == MessageState::Bounced {
                    assert_eq!(next, None, "{event:?} moved {state}");
                }
            }
        }
    }

    #[test]
    fn a_250_always_wins() {
        for state in MessageState::ALL {
            let fixed = matches!(state, MessageState::Sent | MessageState::Bounced | MessageState::Held);
            assert_eq!(state.next(MessageEvent::Accepted).is_none(), fixed, "{state}");
        }
    }

    #[test]
    fn a_run_ends_only_when_drained() {
        for state in RunState::ALL {
            for event in [
                RunEvent::Doubted,
                RunEvent::Pause,
                RunEvent::Resume,
                RunEvent::Retry,
                RunEvent::Cancel,
                RunEvent::Stilled,
            ] {
                assert!(!state.next(event).is_some_and(RunState::is_over), "{event:?} ended a run in {state}");
            }
        }
        assert_eq!(RunState::Sending.next(RunEvent::Drained), Some(RunState::Finished));
    }
}
