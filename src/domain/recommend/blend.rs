//! One score from several signs, by weights that were learned from what members did next.

use super::tables::Tables;

const DAY_MS: f32 = 86_400_000.0;

/// What is known of a product for a member.
pub const SIGNS: usize = 9;
/// The signs of one product: see [`Mind::signs`].
pub type Signs = [f32; SIGNS];

/// How much each sign counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights(pub Signs);

impl Default for Weights {
    /// What is popular, a little nearer to what the member did: right enough where nothing was learned yet.
    fn default() -> Weights {
        Weights([1.0, 0.0, 0.3, 0.3, 0.0, 0.5, 0.5, 0.5, 1.0])
    }
}

impl Weights {
    pub fn score(&self, signs: &Signs) -> f32 {
        self.0.iter().zip(signs).map(|(weight, sign)| weight * sign).sum()
    }
}

/// What a member did with one product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Own {
    pub product: u32,
    /// How often it was bought; 0: only looked at.
    pub times: u32,
    /// Since the last time, milliseconds.
    pub age_ms: f32,
}

/// A member's signs for every product, on paper that is used again for the next member.
#[derive(Debug, Default)]
pub struct Mind {
    bought: Vec<f32>,
    viewed: Vec<f32>,
    touched: Vec<u32>,
    is_touched: Vec<bool>,
    did: Vec<Own>,
}

impl Mind {
    /// Forgets the member before and takes in this one; `did` names each product once as bought and once as seen.
    pub fn read(&mut self, tables: &Tables, did: impl Iterator<Item = Own>) {
        self.bought.resize(tables.ids.len(), 0.0);
        self.viewed.resize(tables.ids.len(), 0.0);
        self.is_touched.resize(tables.ids.len(), false);
        for product in self.touched.drain(..) {
            (self.bought[product as usize], self.viewed[product as usize]) = (0.0, 0.0);
            self.is_touched[product as usize] = false;
        }
        self.did.clear();
        self.did.extend(did);
        for own in &self.did {
            let (near, sums, half_life) = match own.times {
                0 => (&tables.viewed, &mut self.viewed, 14.0 * DAY_MS),
                _ => (&tables.bought, &mut self.bought, 90.0 * DAY_MS),
            };
            let decay = (-own.age_ms / half_life).exp2();
            for product in std::iter::once(&own.product).chain(near.of_product(own.product).iter().map(|(to, _)| to)) {
                if !self.is_touched[*product as usize] {
                    self.is_touched[*product as usize] = true;
                    self.touched.push(*product);
                }
            }
            for (to, lift) in near.of_product(own.product) {
                sums[*to as usize] += decay * lift;
            }
        }
    }

    /// Products the member's own deeds speak of.
    pub fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// What the member did with a product.
    fn own(&self, product: u32, bought: bool) -> Option<&Own> {
        self.did.iter().find(|own| own.product == product && (own.times > 0) == bought)
    }

    /// How popular it is, always and lately; how near to what was bought and to what was looked at; whether, how often
    /// and how lately the member bought it; how lately the member looked at it.
    pub fn signs(&self, tables: &Tables, product: u32) -> Signs {
        let at = product as usize;
        let mut signs = [0.0; SIGNS];
        signs[0] = (tables.sold[at] + 0.5).ln();
        signs[1] = (tables.sold_lately[at] + 0.5).ln() - signs[0];
        if !self.is_touched[at] {
            return signs;
        }
        (signs[2], signs[3]) = (self.bought[at], self.viewed[at]);
        if let Some(own) = self.own(product, true) {
            signs[4] = 1.0;
            signs[5] = (own.times as f32).ln();
            signs[6] = (-own.age_ms / (30.0 * DAY_MS)).exp2();
            signs[7] = (-own.age_ms / (180.0 * DAY_MS)).exp2();
        }
        if let Some(own) = self.own(product, false) {
            signs[8] = (-own.age_ms / (14.0 * DAY_MS)).exp2();
        }
        signs
    }
}
