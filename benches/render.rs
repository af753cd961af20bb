//! What a personal mail costs: the starter mail rendered and composed, against a bare Tera rendering of the same
//! amount of text without links, functions or MIME. One core; the first round is dropped, the median counts.

#[path = "common/sender.rs"]
mod sender;

use std::path::Path;

use indicia::base::token::Keyring;
use indicia::domain::campaign::MailClass;
use indicia::domain::catalog::{Catalog, Offer, Product};
use indicia::domain::member::Member;
use indicia::domain::recommend::History;
use indicia::render::{Recipient, Stationery, compile, from_files, render_mail};
use sender::sender;

const ROUNDS: usize = 7;
const MAILS: i64 = 3_000;
/// Microseconds a mail may cost.
const BAR_US: f64 = 120.0;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/email/member-day");
    let files = std::fs::read_dir(&folder).expect("the starter mail's folder").flatten();
    let files = files.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(entry.path()).expect("a text"))
    });
    let source = from_files("member-day", &files.collect()).expect("a good folder");
    let compiled = compile(&source).unwrap_or_else(|faults| panic!("{faults:?}"));
    let (catalog, keyring, history) = (catalog(), Keyring::new(&[(1, [7; 32])]), History::default());
    let stationery = Stationery::new(1, "bench", "offers", MailClass::Marketing, sender(), "https://t.shop.example");
    let mut control = tera::Tera::default();
    let page: String =
        source.parts[0].html.chars().map(|c| if matches!(c, '{' | '}' | '%') { ' ' } else { c }).collect();
    let page = format!("{page}{}", "<p>{{ name }}: {{ points }}</p>".repeat(70));
    control.add_raw_template("page.html", &page).expect("no tags but ours");
    for locale in ["en", "ru", "zh"] {
        let (mut ours, mut theirs, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..=ROUNDS {
            theirs.push(timed(|_| {
                let mut context = tera::Context::new();
                context.insert("name", "Anna");
                context.insert("points", &12_345);
                let mut out = Vec::with_capacity(40_000);
                control.render_to("page.html", &context, &mut out).expect("renders");
            }));
            ours.push(timed(|n| {
                let member = member(n, locale);
                let to = Recipient { message_id: n, member: &member, history: &history };
                let now_ms = 1_795_687_200_000;
                let mail = render_mail(&compiled, &stationery, &to, &catalog, &keyring, now_ms, now_ms);
                bytes = mail.expect("renders").bytes.len();
            }));
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "{{\"name\":\"render_{locale}\",\"value\":{ours:.1},\"unit\":\"us/mail\",\"control\":{theirs:.1},\"ratio\":{:.2},\
             \"bar\":{BAR_US},\"pass\":{},\"bytes\":{bytes}}}",
            ours / theirs,
            ours <= BAR_US,
        );
    }
}

/// Processor microseconds each of [`MAILS`] calls takes on the mean.
fn timed(mut each: impl FnMut(i64)) -> f64 {
    let start = cpu_us();
    (0..MAILS).for_each(&mut each);
    (cpu_us() - start) / MAILS as f64
}

/// Microseconds of processor time this thread has had: what others do on the machine does not count.
fn cpu_us() -> f64 {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    at.tv_sec as f64 * 1e6 + at.tv_nsec as f64 / 1e3
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.remove(0);
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn member(n: i64, locale: &str) -> Member {
    Member {
        id: n,
        email: format!("member{n}@example.com"),
        first_name: Some("Анна".into()),
        last_name: Some("Ковалёва".into()),
        locale: locale.into(),
        zone: "Europe/Moscow".into(),
        points: 1_000 + n,
        attributes: [("city".to_owned(), "Москва".to_owned())].into(),
        ..Member::default()
    }
}

fn catalog() -> Catalog {
    let product = |id: i64| Product {
        id,
        sku: format!("SKU-{id}"),
        name: format!("A quiet appliance, model {id}"),
        category: format!("home/kind-{}", id % 20),
        brand: format!("Brand {}", id % 9),
        url: format!("https://shop.example/p/{id}"),
        image_url: format!("https://shop.example/i/{id}.png"),
        offers: vec![Offer { currency: "EUR".into(), price_minor: 9_900 * id, ..Offer::default() }],
        ..Product::default()
    };
    Catalog::new((1..=500).map(product).collect(), &[])
}
