//! Counts of pairs in bounded memory: each product keeps the partners it met most.
//!
//! A row that is full forgets the weaker half of its partners (as lossy counting does, Manku and Motwani 2002), so what
//! is frequent stays and is counted too low by at most what it was forgotten with. The same pairs in the same order
//! leave the same rows.

use std::ops::Range;

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

    /// Writes the rows of some products.
    pub fn write(&self, products: Range<usize>, w: &mut Writer) {
        for row in &self.rows[products] {
            w.i64(row.places.len() as i64);
            w.pairs(&row.partners().collect::<Vec<_>>());
        }
    }

    /// Reads them back. What a row does next depends on what is in it and how much room it has, not on where that lies.
    ///
    /// # Errors
    /// Bytes that are something else.
    pub fn read(&mut self, products: Range<usize>, r: &mut Reader<'_>) -> Result<(), Broken> {
        let all = self.rows.len();
        for row in &mut self.rows[products] {
            let (places, partners) = (usize::try_from(r.i64()?).map_err(|_| Broken)?, r.pairs()?);
            let fits = places == 0 || (places.is_power_of_two() && places <= self.row_places_max);
            let known = partners.iter().all(|(to, _)| (*to as usize) < all);
            if !fits || !known || partners.len() > places * 3 / 4 {
                return Err(Broken);
            }
            *row = Row::of(places, partners);
        }
        Ok(())
    }

    /// The partners of a product by number, with their weights.
    pub fn of(&self, from: u32) -> Vec<(u32, f32)> {
        let mut partners: Vec<(u32, f32)> = self.rows[from as usize].partners().collect();
        partners.sort_unstable_by_key(|(to, _)| *to);
        partners
    }
}

impl Row {
    fn of(places: usize, partners: Vec<(u32, f32)>) -> Row {
        let mut row = Row { places: vec![(EMPTY, 0.0); places], used: partners.len() };
        for (to, weight) in partners {
            let place = row.find(to);
            row.places[place] = (to, weight);
        }
        row
    }

    fn partners(&self) -> impl Iterator<Item = (u32, f32)> {
        self.places.iter().copied().filter(|(to, _)| *to != EMPTY)
    }

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
        let mut kept: Vec<(u32, f32)> = self.partners().collect();
        let places = (2 * self.places.len()).clamp(8, places_max);
        if places == self.places.len() {
            kept.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            kept.truncate(places / 3);
        }
        *self = Row::of(places, kept);
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

    #[test]
    fn rows_read_back_go_on_as_those_that_were_written() {
        let mut pairs = Pairs::new(1 << 20);
        let more = |pairs: &mut Pairs, from: u32| {
            (from..from + 3_000)
                .for_each(|nth| pairs.add(nth % 3, nth.wrapping_mul(7919) % 2_000, 1.0 + (nth % 7) as f32));
        };
        more(&mut pairs, 0);
        let mut w = Writer::default();
        pairs.write(0..3, &mut w);
        let mut again = Pairs::new(1 << 20);
        again.read(0..3, &mut Reader(&w.0)).unwrap();
        [&mut pairs, &mut again].into_iter().for_each(|pairs| more(pairs, 5_000));
        (0..3).for_each(|from| assert_eq!(pairs.of(from), again.of(from)));
        assert!((0..w.0.len()).all(|cut| again.read(0..3, &mut Reader(&w.0[..cut])).is_err()));
    }
}
