//! What personal product blocks cost a mail: the same mail with two blocks of six picked for its member, and with two
//! of six that the marketer pinned.
//!
//! The shop lies in a SQLite file: 15,000 products, members with orders, events, touches, tags and earlier mails.
//! Members come in batches as couriers claim them. Counted is the processor time of the whole process, so that of the
//! database's threads too: loading the histories of a batch (only for the personal mail) and rendering its mails, the
//! tables of products in memory as in a daemon. The control is the pinned mail; rounds alternate, the median difference
//! counts.

#[expect(dead_code, reason = "shared with benchmarks that measure other things")]
mod common;
#[path = "common/sender.rs"]
mod sender;

use std::collections::HashMap;
use std::fmt::Write as _;

use indicia::base::token::Keyring;
use indicia::domain::campaign::MailClass;
use indicia::domain::catalog::{Catalog, Offer, Product, Sold};
use indicia::domain::member::Member;
use indicia::domain::recommend::History;
use indicia::domain::recommend::care::Cares;
use indicia::domain::recommend::count::Counter;
use indicia::domain::recommend::log::Deed;
use indicia::domain::shown::Shown;
use indicia::domain::template::{Part, Source};
use indicia::render::{Compiled, Mail, Recipient, Stationery, compile, render_mail};
use indicia::store::{Conn, Db, Lane, OpenOptions, history};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sender::sender;
use serde_json::json;
use sqlx::AssertSqlSafe;

const PRODUCTS: i64 = 15_000;
const MEMBERS: i64 = 5_000;
/// Members of one claim.
const BATCH: usize = 200;
/// Earlier mails of each member.
const RUNS: i64 = 3;
/// Order lines that the tables are counted from, by members with this many each.
const COUNTED: usize = 1_000_000;
const COUNTED_EACH: usize = 50;
const ROUNDS: usize = 5;
const NOW_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;
/// Microseconds that two personal blocks may cost a mail, and by what share its bytes may differ.
const BAR_US: f64 = 100.0;
const BYTES_DIFFER: f64 = 0.02;
/// Filler, so that a mail comes to some 30 KB.
const PARAGRAPHS: usize = 60;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(measure());
}

async fn measure() {
    let home = common::folder();
    let url = format!("sqlite://{}", home.path().join("indicia.db").display());
    let db = Db::open(&url, &OpenOptions::default()).await.expect("a database");
    db.migrate().await.expect("tables");
    fill(&db).await;
    let catalog = catalog();
    let (personal, pinned) = (template("for_you"), template("pinned"));
    let members: Vec<Member> = (1..=MEMBERS).map(member).collect();
    let (mut loading, mut rendering, mut control, mut sizes) = (vec![], vec![], vec![], [0, 0]);
    for round in 0..=ROUNDS {
        let (mut load_us, mut personal_us, mut pinned_us) = (0.0, 0.0, 0.0);
        for batch in members.chunks(BATCH) {
            let ids: Vec<i64> = batch.iter().map(|member| member.id).collect();
            let begun = cpu_us();
            let histories = history::load(&db, &ids, NOW_MS).await.expect("histories");
            let loaded = cpu_us();
            sizes[0] += render(&personal, batch, &histories, &catalog);
            let rendered = cpu_us();
            sizes[1] += render(&pinned, batch, &HashMap::new(), &catalog);
            load_us += loaded - begun;
            personal_us += rendered - loaded;
            pinned_us += cpu_us() - rendered;
        }
        if round > 0 {
            loading.push(load_us / MEMBERS as f64);
            rendering.push(personal_us / MEMBERS as f64);
            control.push(pinned_us / MEMBERS as f64);
        }
    }
    let more: Vec<f64> = (0..ROUNDS).map(|round| loading[round] + rendering[round] - control[round]).collect();
    let (value, load, personal, control) = (median(more), median(loading), median(rendering), median(control));
    let differ = (sizes[0] as f64 / sizes[1] as f64 - 1.0).abs();
    println!(
        "{}",
        json!({ "name": "blocks: two of six for a member beyond two pinned ones, us per mail", "value": value,
                "load_us": load, "pick_and_render_us": personal - control, "control": control,
                "ratio": (load + personal) / control, "bytes_ratio": sizes[0] as f64 / sizes[1] as f64,
                "bar": BAR_US, "pass": value <= BAR_US && differ <= BYTES_DIFFER })
    );
    db.close().await;
}

/// Renders a mail for each of a batch, and says how many bytes they came to.
fn render(compiled: &Compiled, batch: &[Member], histories: &HashMap<i64, History>, catalog: &Catalog) -> usize {
    let nothing = History::default();
    let (keyring, stationery) = (Keyring::new(&[(1, [7; 32])]), stationery());
    let mail = |member: &Member| {
        let history = histories.get(&member.id).unwrap_or(&nothing);
        let to = Recipient { message_id: member.id, member, history };
        let mail: Mail = render_mail(compiled, &stationery, &to, catalog, &keyring, NOW_MS, NOW_MS).expect("renders");
        assert_eq!(mail.shown.products.len(), 12, "two blocks of six: {:?}", mail.shown);
        mail.bytes.len()
    };
    batch.iter().map(mail).sum()
}

/// Microseconds of processor time this process has had, all its threads together.
fn cpu_us() -> f64 {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    at.tv_sec as f64 * 1e6 + at.tv_nsec as f64 / 1e3
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// What a member of a corner of the catalogue deals with: popular products oftener.
fn product(corner: i64, rng: &mut StdRng) -> i64 {
    let skewed = |most: i64, rng: &mut StdRng| (most as f64 * rng.random_range(0.0..1.0f64).powi(3)) as i64;
    if rng.random_bool(0.6) { corner + skewed(250, rng) } else { skewed(PRODUCTS, rng) }
}

fn corner(rng: &mut StdRng) -> i64 {
    rng.random_range(0..60) * 250
}

/// 10 to 40 order lines, 20 to 60 events with a product, some touches and tags, and the record of three earlier mails,
/// for each member.
async fn fill(db: &Db) {
    let mut rng = StdRng::seed_from_u64(5);
    let mut order = 0;
    let names =
        "insert into event_name (id, name) values (1, 'Product Viewed'), (2, 'Product Added'), (3, 'Cart Viewed')";
    let runs =
        (1..=RUNS).map(|run| format!("({run}, 1, {run}, 'finished', 1, '{{}}', 1)")).collect::<Vec<_>>().join(",");
    let tags = (1..=40).map(|tag| format!("({tag}, 'interest:d{}', {}, 20)", tag * 6, 30 * DAY_MS)).collect::<Vec<_>>();
    let heads = [
        names.to_owned(),
        format!("insert into run (id, campaign_id, scheduled_for_ms, state, seed, doc, created_at_ms) values {runs}"),
        format!("insert into tag (id, key, half_life_ms, ceiling) values {}", tags.join(",")),
    ];
    run(db, &heads).await;
    for from in (1..=MEMBERS).step_by(500) {
        let mut table: [Table; 7] = [
            Table::new(
                "orders (id, order_id, member_id, ordered_at_ms, status, currency, revenue_minor, updated_at_ms)",
            ),
            Table::new("order_line (orders_id, product_id, quantity, price_minor)"),
            Table::new("event (at_ms, dedup, member_id, name_id, product_id)"),
            Table::new("touch (at_ms, run_id, message_id, member_id, kind, class, product_id, method, agent, ip)"),
            Table::new("member_tag (tag_id, member_id, lscore, updated_at_ms)"),
            Table::new("message (id, run_id, origin, member_id, provider_id, state, armed_at_ms, sent_at_ms)"),
            Table::new("shown (run_id, message_id, body)"),
        ];
        for member in from..from + 500 {
            lay(member, &mut order, &mut rng, &mut table);
        }
        run(db, &table.map(|table| table.0)).await;
    }
}

/// An insert of many rows.
struct Table(String);

impl Table {
    fn new(columns: &str) -> Table {
        Table(format!("insert into {columns} values"))
    }

    fn row(&mut self, row: std::fmt::Arguments<'_>) {
        let comma = if self.0.ends_with("values") { ' ' } else { ',' };
        let _ = write!(self.0, "{comma}({row})");
    }
}

/// One member's rows.
fn lay(member: i64, order: &mut i64, rng: &mut StdRng, table: &mut [Table; 7]) {
    let corner = corner(rng);
    let [orders, lines, events, touches, tags, messages, shown] = table;
    let mut left = rng.random_range(10..=40);
    while left > 0 {
        *order += 1;
        let at_ms = NOW_MS - rng.random_range(1..1400) * DAY_MS - member;
        orders.row(format_args!("{order},'o{order}',{member},{at_ms},'completed','EUR',100,1"));
        let mut bought: Vec<i64> = (0..left.min(3)).map(|_| product(corner, rng) + 1).collect();
        bought.sort_unstable();
        bought.dedup();
        bought.iter().for_each(|product| lines.row(format_args!("{order},{product},1,100")));
        left -= left.min(3);
    }
    for nth in 0..rng.random_range(20..=60) {
        let at_ms = NOW_MS - rng.random_range(1..150) * DAY_MS - nth;
        let (name, product) = (1 + nth / 50, product(corner, rng) + 1);
        events.row(format_args!("{at_ms},{},{member},{name},{product}", member * 100 + nth));
    }
    for nth in 0..8 {
        let (at_ms, kind) = (NOW_MS - (nth + 1) * 9 * DAY_MS, if nth % 4 == 3 { "click" } else { "open" });
        let product = if nth % 4 == 3 { (product(corner, rng) + 1).to_string() } else { "null".to_owned() };
        touches.row(format_args!(
            "{at_ms},{},{member},{member},'{kind}','human',{product},'GET','a','::1'",
            1 + nth % RUNS
        ));
    }
    for tag in 0..6 {
        // Scores of about one to twenty now.
        let age = std::f64::consts::LN_2 * (NOW_MS - 1_577_836_800_000) as f64 / (30 * DAY_MS) as f64;
        tags.row(format_args!("{},{member},{},1", 1 + (member + 7 * tag) % 40, age + rng.random_range(0.0..3.0)));
    }
    for run in 1..=RUNS {
        let (id, at_ms) = (run * MEMBERS + member, NOW_MS - (RUNS + 1 - run) * 7 * DAY_MS);
        messages.row(format_args!("{id},{run},{member},{member},1,'sent',{at_ms},{at_ms}"));
        let products = (0..12).map(|_| (product(corner, rng) + 1, "t=d7".to_owned())).collect();
        let record = Shown { template_version: 1, locale: "en".into(), products, ..Shown::default() };
        shown.row(format_args!("{run},{id},'{}'", record.to_json()));
    }
}

/// Runs statements in one transaction.
async fn run(db: &Db, statements: &[String]) {
    let mut tx = db.begin(Lane::Bulk).await.expect("a transaction");
    for text in statements {
        let Conn::Sqlite(c) = tx.conn() else { unreachable!("the file is SQLite's") };
        sqlx::query(AssertSqlSafe(text.clone())).execute(c).await.expect("rows");
    }
    tx.commit().await.expect("a commit");
}

/// The catalogue as a daemon has it, with tables of what other members did.
fn catalog() -> Catalog {
    let mut rng = StdRng::seed_from_u64(9);
    let mut counter = Counter::new((0..PRODUCTS).map(|product| (product % 12) as u8).collect(), NOW_MS);
    for _ in 0..COUNTED / COUNTED_EACH {
        let corner = corner(&mut rng);
        let mut deed = |_| Deed {
            at_ms: NOW_MS - rng.random_range(1..700) * DAY_MS,
            product: product(corner, &mut rng) as u32,
            bought: true,
        };
        let mut deeds: Vec<Deed> = (0..COUNTED_EACH).map(&mut deed).collect();
        deeds.sort_unstable();
        counter.member(&deeds);
    }
    let tables = counter.finish((1..=PRODUCTS).collect());
    let products = (1..=PRODUCTS).map(|id| Product {
        id,
        sku: format!("SKU-{id:05}"),
        name: format!("A quiet appliance, model {id:05}"),
        category: format!("c{:02}/d{:03}", id % 12, id % 240),
        brand: format!("Brand {}", id % 9),
        url: format!("https://shop.example/p/{id:05}"),
        image_url: format!("https://shop.example/i/{id:05}.png"),
        pinned: if id % 1_000 == 1 { id } else { 0 },
        offers: vec![Offer { currency: "EUR".into(), price_minor: 10_000 + id, ..Offer::default() }],
        ..Product::default()
    });
    let sold = |product: i64| Sold { product, market: String::new(), weight: 1.0 / product as f64 };
    let sold: Vec<Sold> = (1..=PRODUCTS).map(sold).collect();
    Catalog::informed(products.collect(), &sold, &Cares::embedded(), Some(&tables))
}

fn template(strategy: &str) -> Compiled {
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Offers</title></head><body>\n\
         <h1>Hello {{ member.first_name }}</h1>\n<p>You have {{ points | number }} points.</p>\n",
    );
    for n in 0..PARAGRAPHS {
        let _ = writeln!(
            html,
            "<p style=\"margin:0 0 12px;font-family:Arial,sans-serif;font-size:15px;line-height:24px\">Paragraph {n}: what \
             is new this week in the shop near you, what it is good for, how long it lasts, and how it is looked after so \
             that it serves for many years. The people in the shop know more and are glad to be asked.</p>"
        );
        if n == PARAGRAPHS / 3 || n == 2 * PARAGRAPHS / 3 {
            let _ = writeln!(
                html,
                "{{% for p in products(strategy=\"{strategy}\", n=6) -%}}\n<p><a href=\"{{{{ p.url }}}}\"><img \
                 src=\"{{{{ p.image_url }}}}\" alt=\"\" width=\"120\">{{{{ p.name }}}}</a> {{{{ p.price | money }}}}</p>\n\
                 {{% endfor %}}"
            );
        }
    }
    html.push_str("<p><a href=\"{{ unsubscribe_url() }}\">No more mails</a></p>\n</body></html>\n");
    let part = Part {
        locale: "en".into(),
        subject: "{{ member.first_name }}, for you".into(),
        preheader: "Offers".into(),
        html,
        text: "Hello {{ member.first_name }}\n{{ unsubscribe_url() }}\n".into(),
        ..Part::default()
    };
    let source = Source {
        name: "blocks".into(),
        class: MailClass::Marketing,
        topic: "offers".into(),
        default_locale: "en".into(),
        link_hosts: vec!["shop.example".into()],
        parts: vec![part],
    };
    compile(&source).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn stationery() -> Stationery {
    Stationery::new(1, "bench", "offers", MailClass::Marketing, sender(), "https://t.shop.example")
}

fn member(id: i64) -> Member {
    Member {
        id,
        email: format!("member{id}@example.com"),
        first_name: Some("Anna".into()),
        locale: "en".into(),
        zone: "Europe/Moscow".into(),
        points: 1_000 + id,
        ..Member::default()
    }
}
