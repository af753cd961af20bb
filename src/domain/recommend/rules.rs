//! The rules after scoring that look at what was shown before: what was ignored steps back, and now and then one place
//! is given to something else.

use super::{Candidates, Desk, Slack, Strategy, Why};
use crate::base::draw;
use crate::domain::catalog::Index;

/// What each showing that was ignored leaves of a product's score.
pub const IGNORED_WEIGHS: f64 = 0.6;
/// The same in a list without scores: so many places down, as each place weighs ×0.9.
const PLACES_DOWN: usize = 5;
/// The share of blocks whose last place explores.
pub const EXPLORED_SHARE: f64 = 0.1;
/// The shortest block that explores.
const EXPLORES_FROM: usize = 3;
/// Products that are looked at for one that may be shown.
const STEPS_MAX: usize = 64;
/// What a draw is for, as a word of its hash.
const WHETHER: i64 = 1;
const WHICH: i64 = 2;

impl Desk<'_> {
    /// How often the last mails showed a product in vain.
    fn ignored(&self, index: Index) -> u32 {
        let found = self.known.ignored.binary_search_by_key(&index, |(ignored, _)| *ignored);
        found.map_or(0, |at| self.known.ignored[at].1)
    }

    /// What was shown and ignored weighs less. What the marketer chose stays.
    pub(super) fn tire(&self, candidates: &mut Candidates) {
        for candidate in candidates.all.iter_mut().filter(|candidate| candidate.ground.why != Why::Pinned) {
            candidate.score *= IGNORED_WEIGHS.powi(self.ignored(candidate.index).min(9) as i32);
        }
    }

    /// A list in its order, what was shown and ignored further down.
    pub(super) fn rested<'l>(&'l self, list: &'l [Index]) -> impl Iterator<Item = Index> + 'l {
        let (mut place, mut late) = (0, Vec::<(usize, Index)>::new());
        std::iter::from_fn(move || {
            loop {
                let first = late.iter().enumerate().min_by_key(|(_, (due, _))| *due).map(|(at, (due, _))| (at, *due));
                let next = list.get(place).copied();
                if let Some((at, _)) = first.filter(|(_, due)| *due <= place || next.is_none()) {
                    return Some(late.remove(at).1);
                }
                let index = next?;
                place += 1;
                match self.ignored(index) {
                    0 => return Some(index),
                    times => late.push((place + PLACES_DOWN * times as usize, index)),
                }
            }
        })
    }

    /// A product that nothing speaks for, in one of ten blocks: what is never shown is never learned of. Drawn by the
    /// run, the message and the place of the block in it.
    pub(super) fn explored(&self) -> Option<Index> {
        if self.request.strategy != Strategy::ForYou || self.request.n < EXPLORES_FROM {
            return None;
        }
        let words = |what: i64| [what, self.mail.run, self.mail.message, self.member.id, self.shown_before as i64];
        if draw::fraction(&words(WHETHER)) >= EXPLORED_SHARE {
            return None;
        }
        let list = match self.wanted {
            [node] => self.shelf.rack(*node).map_or(&[][..], |rack| &rack.popular),
            _ => &self.shelf.popular,
        };
        let from = (draw::fraction(&words(WHICH)) * list.len() as f64) as usize;
        let around = list.iter().cycle().skip(from).take(list.len().min(STEPS_MAX)).copied();
        let mut allowed = around.filter(|index| self.is_allowed(*index, Slack::None) && self.ignored(*index) == 0);
        allowed.next()
    }
}
