//! The connections to a provider that are in use.

use std::sync::Arc;

use super::Gate;

/// Where a courier sits: at the gate of its mail in hand, and at that of the mail before until it is answered. One
/// connection counts once at each.
#[derive(Default)]
pub struct Seats {
    now: Option<Arc<Gate>>,
    before: Option<Arc<Gate>>,
}

impl Seats {
    fn is_at(&self, gate: &Arc<Gate>) -> bool {
        gate.pace.connections.is_none() || self.now.as_ref().is_some_and(|now| Arc::ptr_eq(now, gate))
    }

    /// Whether there is a seat at a gate, or none is needed.
    pub fn may_sit(&self, gate: &Arc<Gate>) -> bool {
        self.is_at(gate) || gate.has_seat()
    }

    /// Takes a seat at a gate, or stays on the one taken.
    pub fn sit(&mut self, gate: &Arc<Gate>) {
        if !self.is_at(gate) {
            gate.local().seated += 1;
            leave(&mut self.before);
            self.before = self.now.replace(gate.clone());
        }
    }

    /// The mail before was answered.
    pub fn answered(&mut self) {
        leave(&mut self.before);
    }

    /// Nothing is in hand. Says whether that freed a seat.
    pub fn leave(&mut self) -> bool {
        leave(&mut self.before) | leave(&mut self.now)
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        self.leave();
    }
}

fn leave(seat: &mut Option<Arc<Gate>>) -> bool {
    let Some(gate) = seat.take() else { return false };
    gate.local().seated -= 1;
    true
}
