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

/// Most products that are taken in of a member's deeds.
const TOUCHED_MAX: usize = 4096;
const EMPTY: u32 = u32::MAX;

/// A member's signs for every product, on paper that can be used again for the next member.
#[derive(Debug)]
pub struct Mind {
    /// A power of two of them, at least half of them empty.
    places: Vec<Place>,
    touched: Vec<u32>,
}

/// What a member's deeds say of one product.
#[derive(Debug, Clone, Copy)]
struct Place {
    product: u32,
    near_bought: f32,
    near_viewed: f32,
    bought: Option<(u32, f32)>,
    /// Since it was looked at, milliseconds; negative: it was not.
    viewed_ms: f32,
}

const BLANK: Place = Place { product: EMPTY, near_bought: 0.0, near_viewed: 0.0, bought: None, viewed_ms: -1.0 };

impl Default for Mind {
    fn default() -> Mind {
        Mind::of(TOUCHED_MAX)
    }
}

impl Mind {
    /// Paper for up to so many products; clearing a large sheet would cost more than a few deeds are worth.
    pub fn of(products: usize) -> Mind {
        let places = 2 * products.clamp(16, TOUCHED_MAX).next_power_of_two();
        Mind { places: vec![BLANK; places], touched: Vec::new() }
    }

    /// Forgets the member before and takes in this one; `did` names each product once as bought and once as seen.
    pub fn read(&mut self, tables: &Tables, did: impl Iterator<Item = Own>) {
        while let Some(product) = self.touched.pop() {
            // Places are cleared from the last one taken, so that each is still found.
            let place = self.find(product);
            self.places[place] = BLANK;
        }
        for own in did {
            let (near, half_life) = match own.times {
                0 => (&tables.viewed, 14.0 * DAY_MS),
                _ => (&tables.bought, 90.0 * DAY_MS),
            };
            let decay = (-own.age_ms / half_life).exp2();
            if let Some(place) = self.place(own.product) {
                match own.times {
                    0 => place.viewed_ms = own.age_ms,
                    times => place.bought = Some((times, own.age_ms)),
                }
            }
            for (to, lift) in near.of_product(own.product) {
                let Some(place) = self.place(*to) else { break };
                match own.times {
                    0 => place.near_viewed += decay * lift,
                    _ => place.near_bought += decay * lift,
                }
            }
        }
    }

    /// Products the member's own deeds speak of.
    pub fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// Whether the member's own deeds speak of a product.
    pub fn knows(&self, product: u32) -> bool {
        self.places[self.find(product)].product == product
    }

    fn find(&self, product: u32) -> usize {
        let last = self.places.len() - 1;
        let mut place = (product.wrapping_mul(0x9e37_79b9) >> 7) as usize & last;
        while self.places[place].product != product && self.places[place].product != EMPTY {
            place = (place + 1) & last;
        }
        place
    }

    /// The place of a product, taken if it is new; `None` where too many were taken.
    fn place(&mut self, product: u32) -> Option<&mut Place> {
        let at = self.find(product);
        if self.places[at].product == EMPTY {
            if self.touched.len() == self.places.len() / 2 {
                return None;
            }
            self.places[at].product = product;
            self.touched.push(product);
        }
        Some(&mut self.places[at])
    }

    /// How popular it is, always and lately; how near to what was bought and to what was looked at; whether, how often
    /// and how lately the member bought it; how lately the member looked at it.
    pub fn signs(&self, tables: &Tables, product: u32) -> Signs {
        let mut signs = [0.0; SIGNS];
        (signs[0], signs[1]) = tables.popular[product as usize];
        let place = &self.places[self.find(product)];
        if place.product == EMPTY {
            return signs;
        }
        (signs[2], signs[3]) = (place.near_bought, place.near_viewed);
        if let Some((times, age_ms)) = place.bought {
            signs[4] = 1.0;
            signs[5] = (times as f32).ln();
            signs[6] = (-age_ms / (30.0 * DAY_MS)).exp2();
            signs[7] = (-age_ms / (180.0 * DAY_MS)).exp2();
        }
        if place.viewed_ms >= 0.0 {
            signs[8] = (-place.viewed_ms / (14.0 * DAY_MS)).exp2();
        }
        signs
    }
}
