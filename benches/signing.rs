//! What signing adds to a mail: the starter mail rendered, composed and signed, against the same unsigned and against
//! what cannot be spared: one raw signature and one hash of the mail. One core; medians over rounds of which the first
//! is dropped. The controls run in turns with what they are compared with.

#[path = "common/sender.rs"]
mod sender;

use std::hint::black_box;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use indicia::base::token::Keyring;
use indicia::domain::campaign::MailClass;
use indicia::domain::catalog::{Catalog, Offer, Product};
use indicia::domain::member::Member;
use indicia::domain::recommend::History;
use indicia::render::{DkimKey, Recipient, Secret, Signers, Stationery, compile, from_files, render_mail};
use sender::sender;

const ROUNDS: usize = 7;
const MAILS: i64 = 400;
const NOW_MS: i64 = 1_795_687_200_000;
/// Bytes that the canonical form is measured at.
const BODY_BYTES: usize = 45_000;
/// CPU(RSA) − CPU(unsigned) against one raw signature and one hash; both signatures against RSA alone; microseconds of
/// a body's canonical form besides its hash.
const BARS: [f64; 3] = [1.35, 1.2, 15.0];

fn main() {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = rsa.as_der().expect("PKCS#8");
    let ed25519 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let key = |der: &[u8]| DkimKey {
        domain: "shop.example".into(),
        selector: "s1".into(),
        secret: Secret::pkcs8(der).expect("a key that signs"),
        not_before_ms: 0,
        retire_ms: i64::MAX,
    };
    let one = Signers::new(vec![key(der.as_ref())]);
    let both = Signers::new(vec![key(der.as_ref()), key(ed25519.as_ref())]);
    let only_ed25519 = Signers::new(vec![key(ed25519.as_ref())]);
    let mails = Mails::new();
    let sample = mails.render(1);
    let mut out = vec![0; rsa.public_modulus_len()];
    let mut costs: [Vec<f64>; 5] = Default::default();
    for _ in 0..=ROUNDS {
        costs[0].push(timed(|n| drop(black_box(mails.render(n)))));
        for (cost, signers) in costs[1..4].iter_mut().zip([&one, &both, &only_ed25519]) {
            cost.push(timed(|n| {
                let mut mail = mails.render(n);
                signers.sign(&mut mail, NOW_MS).expect("signs");
                black_box(mail);
            }));
        }
        costs[4].push(timed(|_| {
            rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &sample[..1_500], &mut out).expect("signs");
            black_box(digest(&SHA256, &sample));
        }));
    }
    let [unsigned, rsa, both, ed25519, raw] = costs.map(median);
    let folding = folding_us(&only_ed25519);
    let (ratio, pair) = ((rsa - unsigned) / raw, both / rsa);
    let pass = ratio <= BARS[0] && pair <= BARS[1] && folding <= BARS[2];
    println!(
        "{{\"name\":\"signing\",\"value\":{ratio:.3},\"unit\":\"x raw\",\"bar\":{},\"both_to_rsa\":{pair:.3},\"bar_both\":{},\
         \"fold_us\":{folding:.1},\"bar_fold_us\":{},\"unsigned_us\":{unsigned:.1},\"rsa_us\":{rsa:.1},\"both_us\":{both:.1},\
         \"ed25519_us\":{ed25519:.1},\"raw_us\":{raw:.1},\"bytes\":{},\"pass\":{pass}}}",
        BARS[0],
        BARS[1],
        BARS[2],
        sample.len(),
    );
}

/// Microseconds that signing a mail of [`BODY_BYTES`] in folded, indented HTML takes besides hashing it, with all that
/// a signature needs whatever the body: taken off by signing an empty one.
fn folding_us(signers: &Signers) -> f64 {
    let head = "From: a@shop.example\r\nTo: b@mail.example\r\nSubject: Hello\r\n\r\n";
    let line = "      <td align=3D\"left\" style=3D\"padding: 0 24px 16px 24px\">Something =\r\n";
    let body = line.repeat(BODY_BYTES / line.len());
    let (empty, whole) = (head.as_bytes().to_vec(), format!("{head}{body}").into_bytes());
    let sign = |mail: &Vec<u8>| {
        let mut mail = mail.clone();
        signers.sign(&mut mail, NOW_MS).expect("signs");
        black_box(mail);
    };
    let mut rounds = Vec::new();
    for _ in 0..=ROUNDS {
        let hash = timed(|_| {
            black_box(digest(&SHA256, body.as_bytes()));
        });
        rounds.push(timed(|_| sign(&whole)) - timed(|_| sign(&empty)) - hash);
    }
    median(rounds)
}

/// The starter mail for any number of members.
struct Mails {
    compiled: indicia::render::Compiled,
    stationery: Stationery,
    catalog: Catalog,
    keyring: Keyring,
    history: History,
}

impl Mails {
    fn new() -> Mails {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/email/member-day");
        let files = std::fs::read_dir(&folder).expect("the starter mail's folder").flatten();
        let files = files.map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(entry.path()).expect("a text"))
        });
        let source = from_files("member-day", &files.collect()).expect("a good folder");
        let product = |id: i64| Product {
            id,
            sku: format!("SKU-{id}"),
            name: format!("A quiet appliance, model {id}"),
            category: format!("home/kind-{}", id % 20),
            url: format!("https://shop.example/p/{id}"),
            image_url: format!("https://shop.example/i/{id}.png"),
            offers: vec![Offer { currency: "EUR".into(), price_minor: 9_900 * id, ..Offer::default() }],
            ..Product::default()
        };
        Mails {
            compiled: compile(&source).unwrap_or_else(|faults| panic!("{faults:?}")),
            stationery: Stationery::new(1, "bench", "offers", MailClass::Marketing, sender(), "https://t.shop.example"),
            catalog: Catalog::new((1..=500).map(product).collect(), &[]),
            keyring: Keyring::new(&[(1, [7; 32])]),
            history: History::default(),
        }
    }

    fn render(&self, n: i64) -> Vec<u8> {
        let email = format!("member{n}@example.com");
        let member =
            Member { id: n, email, locale: "ru".into(), first_name: Some("Анна".into()), ..Member::default() };
        let to = Recipient { message_id: n, member: &member, history: &self.history };
        let Mails { compiled, stationery, catalog, keyring, .. } = self;
        render_mail(compiled, stationery, &to, catalog, keyring, NOW_MS, NOW_MS).expect("renders").bytes
    }
}

/// Processor microseconds of this thread that each of [`MAILS`] calls takes on the mean.
fn timed(mut each: impl FnMut(i64)) -> f64 {
    let start = cpu_us();
    (0..MAILS).for_each(&mut each);
    (cpu_us() - start) / MAILS as f64
}

fn cpu_us() -> f64 {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    at.tv_sec as f64 * 1e6 + at.tv_nsec as f64 / 1e3
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.remove(0);
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}
