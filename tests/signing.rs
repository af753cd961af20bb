//! DKIM: what we sign, a verifier that is not ours finds good, and what was changed on the way it does not.

use std::path::Path;

use aws_lc_rs::rsa::KeySize;
use indicia::base::token::Keyring;
use indicia::domain::campaign::MailClass;
use indicia::domain::catalog::{Catalog, Offer, Product};
use indicia::domain::member::Member;
use indicia::domain::recommend::History;
use indicia::render::{DkimKey, Recipient, Sender, Signers, Stationery, compile, from_files, render_mail};

use crate::support::campaign::{Campaign, people, sections};
use crate::support::daemon::Home;
use crate::support::dkim::{Key, verify};
use crate::support::sink::{Setup, Sink};

const NOW_MS: i64 = 1_795_687_200_000;
/// When mails are signed: a verifier refuses a time to come.
const SIGNED_MS: i64 = 1_700_000_000_000;
const RSA: &str = "r1._domainkey.shop.example";
const ED25519: &str = "e1._domainkey.shop.example";

/// Two keys of `shop.example`, and their records.
struct Keys {
    signers: Signers,
    records: Vec<(&'static str, String)>,
}

impl Keys {
    fn new() -> Keys {
        let (rsa, ed25519) = (Key::rsa(KeySize::Rsa2048), Key::ed25519());
        let records = vec![(RSA, rsa.secret().record()), (ED25519, ed25519.secret().record())];
        let key = |selector: &str, key: &Key| DkimKey {
            domain: "shop.example".into(),
            selector: selector.into(),
            secret: key.secret(),
            not_before_ms: 0,
            retire_ms: i64::MAX,
        };
        Keys { signers: Signers::new(vec![key("r1", &rsa), key("e1", &ed25519)]), records }
    }

    fn signed(&self, mail: &[u8]) -> Vec<u8> {
        let mut mail = mail.to_vec();
        self.signers.sign(&mut mail, SIGNED_MS).expect("signs");
        mail
    }

    /// Whether both signatures of each mail hold; every mail must bear two.
    fn hold(&self, mails: &[Vec<u8>]) -> Option<Vec<[bool; 2]>> {
        let told = verify(mails, &self.records)?;
        Some(told.into_iter().map(|held| held.try_into().expect("two signatures")).collect())
    }
}

/// The starter mail as the daemon renders it, for members of three languages and of both classes.
fn rendered() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/email/member-day");
    let files = std::fs::read_dir(&folder).unwrap().flatten();
    let files = files.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(entry.path()).unwrap())
    });
    let compiled = compile(&from_files("member-day", &files.collect()).unwrap()).unwrap();
    let product = |id: i64| Product {
        id,
        sku: format!("sku-{id}"),
        name: format!("Чайник  «Заря» {id}"),
        category: "kitchen/kettle".into(),
        url: format!("https://shop.example/p/{id}"),
        image_url: format!("https://shop.example/i/{id}.png"),
        offers: vec![Offer { currency: "EUR".into(), price_minor: 2_499_000, ..Offer::default() }],
        ..Product::default()
    };
    let catalog = Catalog::new((1..=12).map(product).collect(), &[]);
    let (keyring, history) = (Keyring::new(&[(1, [7; 32])]), History::default());
    let mut mails = Vec::new();
    for (n, locale) in ["en", "ru", "zh", "en", "ru", "zh"].into_iter().enumerate() {
        let class = if n < 3 { MailClass::Marketing } else { MailClass::Transactional };
        let sender = Sender {
            key: "offers".into(),
            name: "Дом Aurelle, товары для дома и кухни, подарки и всё остальное".into(),
            from: "offers@news.shop.example".into(),
            reply_to: if n % 2 == 0 { "care@shop.example".into() } else { String::new() },
            bounce_domain: "bounce.news.shop.example".into(),
            postal_address: "1 Street".into(),
        };
        let stationery = Stationery::new(7, "november", "offers", class, sender, "https://t.shop.example");
        let name = Some("Анна-Мария   Ковалёва-Преображенская-Оболенская".to_owned());
        let member = Member {
            id: 7,
            email: "anna@mail.example".into(),
            locale: locale.into(),
            first_name: name,
            ..Member::default()
        };
        let to = Recipient { message_id: 9 + n as i64, member: &member, history: &history };
        let mail = render_mail(&compiled, &stationery, &to, &catalog, &keyring, NOW_MS, NOW_MS);
        mails.push(mail.expect("renders").bytes);
    }
    mails
}

/// Heads and bodies that ours never are, within what RFC 5322 allows.
fn odd() -> Vec<Vec<u8>> {
    let heads = [
        "From: a@shop.example\r\nTo:\r\n b@mail.example\r\nSubject: \t folded\r\n \t twice \r\n\tand again\r\n",
        "SUBJECT:No blank after the colon\r\nfrom:   a@shop.example   \r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n",
        "To: b@mail.example\r\nX-Empty:\r\nFrom: a@shop.example\r\nList-Unsubscribe: <https://a.example/u>,\r\n\t<mailto:u@a.example>\r\n",
    ];
    let bodies = [
        "",
        "\r\n",
        "\r\n\r\n\r\n",
        "one line",
        " leading\r\n",
        "trailing  \t\r\n\r\n \r\n\t\r\n",
        "a\tb  c\r\n\r\n\r\nd \r\n",
        "\t\r\n \r\nx\r\n",
        "<td>\r\n      <b>deep</b>   \r\n</td>\r\n",
    ];
    let mut mails: Vec<Vec<u8>> =
        heads.iter().flat_map(|head| bodies.iter().map(move |body| format!("{head}\r\n{body}").into_bytes())).collect();
    // Around the sizes at which pieces are gathered.
    mails.extend(
        (4_060..4_140).step_by(7).map(|n| format!("{}\r\n{}  end \r\n", heads[0], "x ".repeat(n / 2)).into_bytes()),
    );
    mails
}

#[test]
fn every_mail_verifies_with_both_keys() {
    let keys = Keys::new();
    let mails: Vec<Vec<u8>> = rendered().iter().chain(&odd()).map(|mail| keys.signed(mail)).collect();
    for mail in &mails {
        let head = mail.split(|c| *c == b'\n').take(20);
        assert!(head.clone().all(|line| line.len() <= 79 || !line.starts_with(b" b=")), "lines stay short");
        let text = String::from_utf8_lossy(mail);
        assert!(
            text.starts_with("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=shop.example;\r\n s=r1;"),
            "{text}"
        );
        assert!(!text.contains("; l=") && !text.contains("; x="));
    }
    let Some(held) = keys.hold(&mails) else { return };
    for (mail, held) in mails.iter().zip(held) {
        assert_eq!(held, [true, true], "{}", String::from_utf8_lossy(&mail[..mail.len().min(4_000)]));
    }
}

#[test]
fn what_is_changed_or_added_on_the_way_no_longer_verifies() {
    let keys = Keys::new();
    let good = keys.signed(&rendered()[1]);
    let text = String::from_utf8(good.clone()).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let added = |line: &str| with("From: ", &format!("{line}\r\nFrom: "));
    let mut bad = vec![
        with("\r\nSubject: ", "\r\nSubject: Re: "),
        with("<https://t.shop.example/u/", "<https://t.evil.example/u/"),
        with("List-Unsubscribe=One-Click", "List-Unsubscribe=Two-Clicks"),
        with("\r\nMessage-ID: <", "\r\nMessage-ID: <x"),
        with("\r\nList-Id: ", "\r\nX-List-Id: "),
        with("--\r\n", "--\r\nOne more line\r\n"),
    ];
    // Oversigned: not one more of these, above or below.
    for line in [
        "From: other@evil.example",
        "To: x@evil.example",
        "Subject: Other",
        "Date: Mon, 23 Nov 2026 10:00:00 +0000",
        "Reply-To: <x@evil.example>",
        "List-Unsubscribe: <https://evil.example>",
        "List-Unsubscribe-Post: x",
        "Content-Type: text/html",
    ] {
        bad.push(added(line));
    }
    let mut last = good.clone();
    let end = last.len() - 5;
    last[end] ^= 1;
    bad.push(last);
    // Blanks that relaxed forms fold away change nothing.
    let harmless = with("\r\nSubject: ", "\r\nSUBJECT:  \t");
    let Some(held) = keys.hold(&[vec![good, harmless], bad.clone()].concat()) else { return };
    assert_eq!(held[..2], [[true; 2]; 2]);
    for (mail, held) in bad.iter().zip(&held[2..]) {
        assert_eq!(*held, [false, false], "{}", String::from_utf8_lossy(&mail[..3_000]));
    }
}

#[test]
fn another_key_under_the_selector_does_not_verify() {
    let (keys, other) = (Keys::new(), Keys::new());
    let mail = keys.signed(&rendered()[0]);
    let Some(told) = verify(&[mail], &other.records) else { return };
    assert_eq!(told, [[false, false]]);
}

/// A home whose mails are signed with an old RSA key that was replaced, and an Ed25519 key.
fn home(sink: &Sink, more: &str) -> (Home, Vec<(&'static str, String)>) {
    let (old, rsa, ed25519) = (Key::rsa(KeySize::Rsa2048), Key::rsa(KeySize::Rsa2048), Key::ed25519());
    let entry = |selector: &str, more: &str| {
        format!("[[dkim]]\ndomain = \"shop.example\"\nselector = \"{selector}\"\nkey_file = \"{selector}.pem\"\n{more}")
    };
    let text = format!(
        "{}{}{}{}{more}",
        sections(sink),
        entry("r0", "not_before = \"2020-01-01T00:00:00Z\"\n"),
        entry("r1", "not_before = \"2021-01-01T00:00:00Z\"\n"),
        entry("e1", "")
    );
    let home = Home::new(&text);
    home.write("r0.pem", &old.pem());
    home.write("r1.pem", &rsa.pem());
    home.write("e1.pem", &ed25519.pem());
    (home, vec![(RSA, rsa.secret().record()), (ED25519, ed25519.secret().record())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_signs_what_it_sends_with_the_keys_of_the_day() {
    let sink = Sink::with(Setup { keep_bodies: true, ..Setup::default() }).await;
    let (home, records) = home(&sink, "");
    let campaign = Campaign::at(home, &people(40));
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(40);
    let mails: Vec<Vec<u8>> = sink.accepted().into_iter().filter_map(|accepted| accepted.mail).collect();
    assert_eq!(mails.len(), 40);
    let Some(told) = verify(&mails, &records) else { return };
    assert!(told.iter().all(|held| *held == [true, true]), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_signs_by_itself_gets_mails_unsigned() {
    let sink = Sink::with(Setup { keep_bodies: true, ..Setup::default() }).await;
    let (mut home, _) = home(&sink, "");
    home.env("INDICIA__ROUTE__0__DKIM", "smarthost");
    let campaign = Campaign::at(home, &people(5));
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(5);
    assert!(sink.accepted().iter().all(|accepted| !accepted.head.contains("DKIM-Signature")));
}

#[test]
fn check_finds_keys_that_cannot_sign() {
    let entry = |domain: &str, selector: &str| {
        format!("[[dkim]]\ndomain = \"{domain}\"\nselector = \"{selector}\"\nkey_file = \"{selector}.pem\"\n")
    };
    let home = Home::new(&format!(
        "[[sender]]\nname = \"offers\"\nfrom = \"offers@shop.example\"\npostal_address = \"1 Street\"\n\
         [[route]]\nname = \"r\"\nhost = \"127.0.0.1\"\ntls = \"none\"\n{}{}{}{}retire = \"2020-01-01T00:00:00Z\"\n",
        entry("shop.example", "gone"),
        entry("shop.example", "words"),
        entry("other.example", "far"),
        entry("shop.example", "late"),
    ));
    home.write("words.pem", "no key\n");
    home.write("far.pem", &Key::ed25519().pem());
    home.write("late.pem", &Key::ed25519().pem());
    let ran = home.run(&["check", "--offline", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    let some = |list: &str, words: &[&str]| {
        let items = found[list].as_array().expect("a list");
        let says = |item: &serde_json::Value| words.iter().all(|word| item.to_string().contains(word));
        assert!(items.iter().any(says), "no {words:?} in {found:#}");
    };
    some("faults", &["gone._domainkey.shop.example", "could not read", "openssl genpkey"]);
    some("faults", &["words._domainkey.shop.example"]);
    some("faults", &["no key of [[dkim]] signs for shop.example now"]);
    some("warnings", &["far._domainkey.other.example", "no [[sender]] sends from other.example"]);
    some("warnings", &["far._domainkey.other.example", "chmod 600"]);
    assert!(!ran.stdout.contains("no key\\n"), "a key file is never quoted");
}
