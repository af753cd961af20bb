//! Two years of looking around and buying, member by member.

use super::dice::Dice;
use super::goods::{Product, SORTS};
use super::people::{Person, Zeal};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// How far back anything happened.
const HISTORY_DAYS: i64 = 730;

/// One line of an order.
pub struct Purchase {
    pub at_ms: i64,
    pub person: usize,
    pub product: usize,
    pub quantity: i64,
    pub status: &'static str,
    pub coupon: &'static str,
    /// Lines of one visit are one order.
    pub visit: usize,
}

/// One look at a product, or one put into the cart.
pub struct Look {
    pub at_ms: i64,
    pub person: usize,
    pub product: usize,
    pub added: bool,
}

/// Everything somebody did.
#[derive(Default)]
pub struct Deeds {
    pub purchases: Vec<Purchase>,
    pub looks: Vec<Look>,
    visits: usize,
}

impl Deeds {
    /// Adds the life of member `n`; `products` are those of the member's market.
    pub fn live(&mut self, seed: u64, n: usize, person: &Person, products: &[Product], now_ms: i64) {
        let mut dice = Dice::new(seed, 5_000_000 + n as u64);
        let visits = match person.zeal {
            Zeal::Quiet => dice.between(0, 2),
            Zeal::Casual => dice.between(2, 7),
            Zeal::Keen => dice.between(6, 15),
        };
        let mut owned = Vec::new();
        let mut times: Vec<i64> = (0..visits).map(|_| when(&mut dice, person, now_ms)).collect();
        times.sort_unstable();
        for at_ms in times {
            self.visit(&mut dice, n, person, products, at_ms.max(person.joined_at_ms), now_ms, &mut owned);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a visit is where everything meets")]
    fn visit(
        &mut self,
        dice: &mut Dice,
        n: usize,
        person: &Person,
        products: &[Product],
        at_ms: i64,
        now_ms: i64,
        owned: &mut Vec<usize>,
    ) {
        let sort = sort(dice, person, at_ms);
        let shelf: Vec<usize> = (0..products.len()).filter(|at| products[*at].sort == sort).collect();
        let appeals: Vec<f64> = shelf.iter().map(|at| products[*at].appeal).collect();
        self.visits += 1;
        let mut clock_ms = at_ms;
        let mut last = shelf[0];
        for _ in 0..dice.between(1, 4) {
            last = shelf[dice.weighted(&appeals)];
            clock_ms = (clock_ms + dice.between(20_000, 240_000)).min(now_ms);
            self.looks.push(Look { at_ms: clock_ms, person: n, product: last, added: false });
        }
        if !dice.chance(if person.zeal == Zeal::Keen { 0.42 } else { 0.3 }) {
            return;
        }
        clock_ms = (clock_ms + dice.between(20_000, 120_000)).min(now_ms);
        self.looks.push(Look { at_ms: clock_ms, person: n, product: last, added: true });
        if (SORTS[sort].lasting && owned.contains(&sort)) || !dice.chance(0.6) {
            return;
        }
        owned.push(sort);
        clock_ms = (clock_ms + dice.between(60_000, 900_000)).min(now_ms);
        let recent = now_ms - clock_ms < 3 * DAY_MS;
        let status = if recent && dice.chance(0.4) {
            "pending"
        } else {
            ["completed", "cancelled", "refunded"][dice.weighted(&[0.94, 0.04, 0.02])]
        };
        let coupon = ["", "MEMBER26", "WELCOME10"][dice.weighted(&[0.8, 0.14, 0.06])];
        let mut buy = |product, quantity| {
            self.purchases.push(Purchase {
                at_ms: clock_ms,
                person: n,
                product,
                quantity,
                status,
                coupon,
                visit: self.visits,
            });
        };
        buy(last, 1);
        if dice.chance(0.18) {
            let small: Vec<usize> = (0..products.len())
                .filter(|at| !SORTS[products[*at].sort].lasting && products[*at].sort != sort)
                .collect();
            buy(*dice.pick(&small), dice.between(1, 2));
        }
    }
}

/// A moment by day in the member's zone, the nearer to now the likelier, and likelier still on the 26th, the members'
/// day.
fn when(dice: &mut Dice, person: &Person, now_ms: i64) -> i64 {
    let since_days = ((now_ms - person.joined_at_ms) / DAY_MS).clamp(1, HISTORY_DAYS);
    let recency = match person.zeal {
        Zeal::Quiet => 0.8,
        Zeal::Casual => 1.7,
        Zeal::Keen => 2.4,
    };
    let ago = dice.fraction().powf(recency) * since_days as f64;
    let mut day = now_ms / DAY_MS - ago as i64;
    if dice.chance(0.12) {
        day += 26 - day_of_month(day);
    }
    let hour = [8, 9, 12, 13, 18, 19, 20, 21, 22][dice.weighted(&[1.0, 1.0, 2.0, 1.5, 1.5, 2.5, 3.5, 3.5, 2.0])];
    let at_ms = day * DAY_MS + (hour - person.utc_hours) * HOUR_MS + dice.between(0, HOUR_MS - 1);
    at_ms.min(now_ms - dice.between(1, 48) * HOUR_MS / 2)
}

/// What a visit is about: mostly what the member cares for, and what the season is for.
fn sort(dice: &mut Dice, person: &Person, at_ms: i64) -> usize {
    let month = month(at_ms / DAY_MS);
    let season = |sort: usize| SORTS[sort].season[month];
    if dice.chance(0.8) {
        let weights: Vec<f64> =
            person.interests.iter().enumerate().map(|(at, sort)| season(*sort) / (1 + at) as f64).collect();
        return person.interests[dice.weighted(&weights)];
    }
    let weights: Vec<f64> = (0..SORTS.len()).map(|sort| SORTS[sort].appeal * season(sort)).collect();
    dice.weighted(&weights)
}

fn date(day: i64) -> jiff::civil::Date {
    jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day))
}

fn day_of_month(day: i64) -> i64 {
    i64::from(date(day).day())
}

/// January is 0.
fn month(day: i64) -> usize {
    date(day).month() as usize - 1
}
