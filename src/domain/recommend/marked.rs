//! Sets of products or categories by their numbers, asked far oftener than added to.

/// A bit for each number below a bound.
#[derive(Debug, Default)]
pub(super) struct Marked(Vec<u64>);

impl Marked {
    /// A set of numbers below `bound`, none of which is in it.
    pub fn none_of(bound: usize) -> Marked {
        Marked(vec![0; bound.div_ceil(64)])
    }

    pub fn add(&mut self, number: u32) {
        self.0[number as usize / 64] |= 1 << (number % 64);
    }

    pub fn has(&self, number: u32) -> bool {
        self.0[number as usize / 64] >> (number % 64) & 1 == 1
    }
}
