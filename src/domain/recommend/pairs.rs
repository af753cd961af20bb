//! Counts of pairs in bounded memory: each product keeps the partners it met most.
//!
//! A row that is full forgets the weaker half of its partners (as lossy counting does, Manku and Motwani 2002), so what
//! is frequent stays and is counted too low by at most what it was forgotten with. The same pairs in the same order
//! leave the same rows.

use super::bytes::{Broken, Reader, Writer};

/// Places of all rows of one table together, 8 bytes each.
const PLACES_MAX: usize = 16 << 20;
/// Most and fewest places of one row.
const ROW_PLACES: (usize, usize) = (64, 1024);
const EMPTY: u32 = u32::MAX;

/// Weights of directed pairs of products.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    rows: Vec<Row>,
    row_places_max: usize,
}

/// A hash table with open addresses.
#[derive(Debug, Clone, Default)]
struct Row {
    places: Vec<(u32, f32)>,
    used: usize,
}

impl Pairs {
    pub fn new(products: usize) -> Pairs {
        let share = (PLACES_MAX / products.max(1)).max(1);
        let row_places_max = (1usize << share.ilog2()).clamp(ROW_PLACES.0, ROW_PLACES.1);
        Pairs { rows: vec![Row::default(); products], row_places_max }
    }

    /// How many products there are.
    pub fn products(&self) -> usize {
        self.rows.len()
    }

    pub fn add(&mut self, from: u32, to: u32, weight: f32) {
        self.rows[from as usize].add(to, weight, self.row_places_max);
    }

    pub fn write(&self, w: &mut Writer) {
        w.i64(self.rows.len() as i64);
        // As they lie: a row read back goes on exactly as the one that was written.
        self.rows.iter().for_each(|row| w.pairs(&row.places));
    }

    /// # Errors
    /// Bytes that are something else.
    pub fn read(r: &mut Reader<'_>, products: usize) -> Result<Pairs, Broken> {
        let mut pairs = Pairs::new(products);
        if r.i64()? != products as i64 {
            return Err(Broken);
        }
        for row in &mut pairs.rows {
            row.places = r.pairs()?;
            row.used = row.places.iter().filter(|(to, _)| *to != EMPTY).count();
            if !(row.places.is_empty() || row.places.len().is_power_of_two()) || row.used > row.places.len() * 3 / 4 {
                return Err(Broken);
            }
        }
        Ok(pairs)
    }

    /// The partners of a product by number, with their weights.
    pub fn of(&self, from: u32) -> Vec<(u32, f32)> {
        let mut partners: Vec<(u32, f32)> =
            self.rows[from as usize].places.iter().copied().filter(|(to, _)| *to != EMPTY).collect();
        partners.sort_unstable_by_key(|(to, _)| *to);
        partners
    }
}

impl Row {
    fn add(&mut self, to: u32, weight: f32, places_max: usize) {
        if 4 * (self.used + 1) > 3 * self.places.len() {
            self.make_room(places_max);
        }
        let place = self.find(to);
        let (known, sum) = &mut self.places[place];
        if *known == EMPTY {
            *known = to;
            self.used += 1;
        }
        *sum += weight;
    }

    fn find(&self, to: u32) -> usize {
        let mask = self.places.len() - 1;
        // Fibonacci hashing: neighbouring numbers fall far apart.
        let mut place = (to.wrapping_mul(0x9e37_79b9) >> 7) as usize & mask;
        while self.places[place].0 != to && self.places[place].0 != EMPTY {
            place = (place + 1) & mask;
        }
        place
    }

    fn make_room(&mut self, places_max: usize) {
        let mut kept: Vec<(u32, f32)> = self.places.iter().copied().filter(|(to, _)| *to != EMPTY).collect();
        let places = (2 * self.places.len()).clamp(8, places_max);
        if places == self.places.len() {
            kept.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            kept.truncate(places / 3);
        }
        self.places = vec![(EMPTY, 0.0); places];
        self.used = kept.len();
        for (to, weight) in kept {
            let place = self.find(to);
            self.places[place] = (to, weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_frequent_is_not_forgotten_whatever_else_passes() {
        let mut pairs = Pairs::new(1 << 20);
        for nth in 0..10_000u32 {
            pairs.add(0, 1 + nth % 5, 1.0);
            pairs.add(0, 1000 + nth, 1.0);
        }
        let partners = pairs.of(0);
        assert!(partners.len() <= 64);
        assert!((1..=5).all(|often| partners.contains(&(often, 2000.0))), "{partners:?}");
    }
}
