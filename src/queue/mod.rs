//! The send queue: every message of a run is in exactly one state, whatever dies.
//!
//! Two sentences carry the safety. *An arm is the only permission to write a final dot, and it is checked in the
//! database against everything that may forbid it.* *Taking a row away is always allowed (it only says "we do not
//! know"); sending it again is not, until the other hand is provably still.*
//!
//! | word | meaning |
//! |---|---|
//! | epoch | one start of `serve`: a `daemon` row whose id is never used again |
//! | attempt | the fencing token of a row: +1 at every claim, never reset; names exactly one claim |
//! | tries | definite temporary refusals; alone drive back-off and the give-up |
//! | slot | one courier with at most one connection; it owns at most one armed row |
//! | turn | one item of a slot for the writer: the settle it owes and the arm of its next message, in one commit |
//! | lane | (run, provider): what a claim names |
//! | line | a writer of turns, with a connection and an account of its own; on PostgreSQL others help the first |
//! | generation | of a run; +1 at pause, resume, new template, cancel: an arm under an older one is refused |
//!
//! [`claim`] leases rows to an epoch and keeps which ([`store::lease`](crate::store::lease)), [`turn`] settles and arms
//! them in group commits, [`recover`] takes back what the dead leased, [`sweep`] ends what will not be sent.
//! `run_count` changes in the commit that changes the rows ([`count`]), and [`audit`] compares the two.

mod at_once;
pub mod audit;
pub mod claim;
pub mod count;
pub mod enqueue;
pub mod recover;
pub mod returned;
pub mod standing;
pub mod sweep;
mod swift;
pub mod turn;
pub mod writer;

pub use turn::{Arm, Outcome, Settle, Trouble, Turn};
pub use writer::{TurnError, Turns};
