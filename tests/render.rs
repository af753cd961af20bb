//! Correct mail: what a reader's mail program, a provider and a bounce will find in what we write.

use indicia::base::token::Keyring;
use indicia::domain::campaign::MailClass;
use indicia::domain::catalog::{Catalog, Offer, Product};
use indicia::domain::member::Member;
use indicia::domain::recommend::History;
use indicia::domain::template::{Part, Source};
use indicia::render::{Mail, Recipient, Sender, Stationery, compile, render_mail};
use mail_parser::{MessageParser, MimeHeaders};

const NOW_MS: i64 = 1_795_687_200_000;

fn part(locale: &str, subject: &str, html: &str, text: &str) -> Part {
    Part {
        locale: locale.into(),
        subject: subject.into(),
        preheader: "Hello".into(),
        html: html.into(),
        text: text.into(),
        ..Part::default()
    }
}

fn source(parts: Vec<Part>) -> Source {
    Source {
        name: "offer".into(),
        class: MailClass::Marketing,
        topic: "offers".into(),
        default_locale: "en".into(),
        link_hosts: vec!["shop.example".into()],
        parts,
    }
}

fn keyring() -> Keyring {
    Keyring::new(&[(1, [7; 32])])
}

fn stationery(class: MailClass) -> Stationery {
    let sender = Sender {
        key: "offers".into(),
        name: "Дом Aurelle".into(),
        from: "offers@news.shop.example".into(),
        reply_to: "care@shop.example".into(),
        bounce_domain: "bounce.news.shop.example".into(),
        postal_address: "1 Street".into(),
    };
    Stationery::new(42, "november", "offers", class, sender, "https://t.shop.example/")
}

fn member(locale: &str) -> Member {
    Member {
        id: 7,
        email: "anna.k@example.com".into(),
        first_name: Some("Анна".into()),
        last_name: Some("Ковалёва".into()),
        locale: locale.into(),
        zone: "Europe/Moscow".into(),
        points: 12_345,
        ..Member::default()
    }
}

fn catalog() -> Catalog {
    let product = |id: i64| Product {
        id,
        sku: format!("sku-{id}"),
        name: format!("Fridge <{id}>"),
        category: "kitchen/refrigerator".into(),
        brand: "Norr".into(),
        url: format!("https://shop.example/p/{id}"),
        image_url: format!("https://shop.example/i/{id}.png"),
        offers: vec![Offer { currency: "RUB".into(), price_minor: 2_499_000, ..Offer::default() }],
        ..Product::default()
    };
    Catalog::new((1..=12).map(product).collect(), &[])
}

fn mail(source: &Source, member: &Member, class: MailClass) -> Mail {
    let compiled = compile(source).unwrap();
    let history = History::default();
    let to = Recipient { message_id: 99, member, history: &history };
    render_mail(&compiled, &stationery(class), &to, &catalog(), &keyring(), NOW_MS, NOW_MS).unwrap()
}

const PAGE: &str = "<html><body><p>Привет, {{ member.first_name }}! {{ points | number }}</p>\
    <a href=\"https://shop.example/a?x=1&amp;y=2\">Акция</a>\
    {% for p in products(strategy=\"popular\", n=3) %}<a href=\"{{ p.url }}\">{{ p.name }} {{ p.price | money }} {{ p.reason }}</a>{% endfor %}\
    <a href=\"https://shop.example/m?id={{ member.id or 1 }}&amp;p={{ points }}\">Мой счёт</a>\
    <a href=\"{{ unsubscribe_url() }}\">Отписаться</a></body></html>";

#[test]
fn a_mail_has_every_header_once_and_two_parts() {
    let source = source(vec![part(
        "en",
        "Привет, {{ member.first_name }}: скидки до 40 % на всё для кухни",
        PAGE,
        "Hello https://shop.example/a?x=1&y=2",
    )]);
    let mail = mail(&source, &member("ru"), MailClass::Marketing);
    assert!(mail.bytes.is_ascii());
    let text = String::from_utf8(mail.bytes.clone()).unwrap();
    // A header's word cannot be folded; everything else stays within what RFC 5322 asks for.
    let one_word = |line: &str| line.trim_start().split(' ').count() <= 2 && line.len() < 200;
    assert!(text.split("\r\n").all(|line| (line.len() <= 78 || one_word(line)) && !line.contains('\n')), "{text}");
    let parsed = MessageParser::default().parse(&mail.bytes).unwrap();
    assert_eq!(parsed.subject().unwrap(), "Привет, Анна: скидки до 40 % на всё для кухни");
    assert_eq!(parsed.html_body_count(), 1);
    assert_eq!(parsed.content_type().unwrap().subtype(), Some("alternative"));
}
