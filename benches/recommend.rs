//! What recommending costs: scoring one member among 15,000 products, and counting order lines in three sizes.
//!
//! `INDICIA_BENCH_LINES=50000000` counts so many lines at the largest size (default two million). Each result is one
//! line of JSON; the control of scoring is walking the same catalogue's best sellers, that of counting is its smallest
//! size.

use std::time::Instant;

use indicia::domain::catalog::{Catalog, Offer, Product, Sold};
use indicia::domain::member::Member;
use indicia::domain::recommend::care::Cares;
use indicia::domain::recommend::count::Counter;
use indicia::domain::recommend::log::Deed;
use indicia::domain::recommend::tables::Tables;
use indicia::domain::recommend::{Act, History, Occasion, Request, Sitting, Strategy, pick};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

const PRODUCTS: u32 = 15_000;
const LINES_PER_MEMBER: usize = 50;
const MEMBERS: i64 = 4_000;
const DAY_MS: i64 = 86_400_000;
const MAIL: Occasion = Occasion { run: 1, message: 1, now_ms: NOW_MS };
const NOW_MS: i64 = 1_790_000_000_000;
const LINES: usize = 2_000_000;
/// Bars: a member's mean and the dearest hundredth, microseconds; resident tables, bytes. What blocks cost a whole
/// mail, `blocks` measures.
const MEAN_US_MAX: f64 = 30.0;
const P99_US_MAX: f64 = 200.0;
const BYTES_MAX: usize = 20_000_000;

fn main() {
    let lines = std::env::var("INDICIA_BENCH_LINES").map_or(LINES, |text| text.parse().expect("a number of lines"));
    let sizes = [lines / 4, lines / 2, lines];
    let mut per_line = Vec::new();
    let mut tables = Tables::default();
    for size in sizes {
        let begun = Instant::now();
        tables = count(size);
        per_line.push(begun.elapsed().as_secs_f64() / size as f64 * 1e9);
        let ratio = per_line[per_line.len() - 1] / per_line[0];
        say(json!({ "name": format!("recommend: count {size} order lines, ns per line"), "value": per_line.last(),
                    "control": per_line[0], "ratio": ratio, "bar": 1.1, "pass": ratio <= 1.1,
                    "peak_bytes": peak_bytes() }));
    }
    let bytes = tables.resident_bytes();
    say(
        json!({ "name": "recommend: resident tables, bytes", "value": bytes, "bar": BYTES_MAX, "pass": bytes < BYTES_MAX }),
    );
    score(&tables);
}

/// Counts generated lines: popular products oftener, each member in a corner of the catalogue of its own.
fn count(lines: usize) -> Tables {
    let mut rng = StdRng::seed_from_u64(9);
    let mut counter = Counter::new((0..PRODUCTS).map(|product| (product % 12) as u8).collect(), NOW_MS);
    for _ in 0..lines / LINES_PER_MEMBER {
        let corner = rng.random_range(0..60) * 250;
        let mut deeds: Vec<Deed> = (0..LINES_PER_MEMBER).map(|_| deed(corner, &mut rng)).collect();
        deeds.sort_unstable();
        counter.member(&deeds);
    }
    counter.finish((1..=i64::from(PRODUCTS)).collect())
}

fn deed(corner: u32, rng: &mut StdRng) -> Deed {
    let skewed = |most: u32, rng: &mut StdRng| (f64::from(most) * rng.random_range(0.0..1.0f64).powi(3)) as u32;
    let product = if rng.random_bool(0.6) { corner + skewed(250, rng) } else { skewed(PRODUCTS, rng) };
    Deed { at_ms: NOW_MS - rng.random_range(0..700) * DAY_MS, product, bought: true }
}

fn score(tables: &Tables) {
    let mut rng = StdRng::seed_from_u64(11);
    let products: Vec<Product> = (1..=i64::from(PRODUCTS))
        .map(|id| Product {
            id,
            sku: format!("S{id}"),
            category: format!("c{}/d{}", id % 12, id % 240),
            offers: vec![Offer { price_minor: rng.random_range(100..90_000), ..Offer::default() }],
            ..Product::default()
        })
        .collect();
    let sold: Vec<Sold> = (1..=i64::from(PRODUCTS))
        .map(|product| Sold { product, market: String::new(), weight: 1.0 / product as f64 })
        .collect();
    let catalog = Catalog::informed(products, &sold, &Cares::embedded(), Some(tables));
    let members: Vec<(Member, History)> = (1..=MEMBERS)
        .map(|id| {
            let corner = rng.random_range(0..60) * 250;
            let mut acts = |most: usize| -> Vec<Act> {
                let mut acts: Vec<Act> = Vec::new();
                while acts.len() < most {
                    let deed = deed(corner, &mut rng);
                    let product = i64::from(deed.product) + 1;
                    if !acts.iter().any(|act| act.product == product) {
                        acts.push(Act { product, at_ms: deed.at_ms, times: 1 });
                    }
                }
                acts.sort_by_key(|act| -act.at_ms);
                acts
            };
            let history = History { bought: acts(40), viewed: acts(20), ..History::default() };
            (Member { id, ..Member::default() }, history)
        })
        .collect();
    let time = |strategy: Strategy| {
        let request = Request { strategy, n: 6, ..Request::default() };
        let mut us: Vec<f64> = members
            .iter()
            .map(|(member, history)| {
                let begun = cpu_us();
                std::hint::black_box(pick(&catalog, member, history, &request, &mut Sitting::default(), MAIL));
                cpu_us() - begun
            })
            .collect();
        us.sort_by(f64::total_cmp);
        (us.iter().sum::<f64>() / us.len() as f64, us[us.len() * 99 / 100])
    };
    let (control, _) = time(Strategy::Popular);
    let (mean, p99) = time(Strategy::ForYou);
    say(json!({ "name": "recommend: six products for a member, mean us", "value": mean, "control": control,
                "ratio": mean / control, "bar": MEAN_US_MAX, "pass": mean <= MEAN_US_MAX }));
    say(
        json!({ "name": "recommend: six products for a member, p99 us", "value": p99, "bar": P99_US_MAX, "pass": p99 <= P99_US_MAX }),
    );
}

/// Microseconds of processor time this thread has had: what others do on the machine does not count.
fn cpu_us() -> f64 {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    at.tv_sec as f64 * 1e6 + at.tv_nsec as f64 / 1e3
}

/// The most memory this process has had, bytes.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kilobytes.parse::<u64>().ok()? * 1024)
}

fn say(line: serde_json::Value) {
    println!("{line}");
}
