//! The starter mail: published from its folder, rendered in three languages for members of whom all or nothing is
//! known.

use std::path::Path;

use indicia::base::token::{Keyring, Use};
use indicia::domain::campaign::MailClass;
use indicia::domain::catalog::{Catalog, Offer, Product};
use indicia::domain::member::Member;
use indicia::domain::recommend::History;
use indicia::flow::publish::check_folder;
use indicia::render::{Compiled, Page, Recipient, Sender, Stationery, render_page};

const NOW_MS: i64 = 1_795_687_200_000;

fn starter() -> Compiled {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/email/member-day");
    let checked = check_folder(&folder, Path::new(env!("CARGO_BIN_EXE_indicia")));
    let mut checked = checked.unwrap_or_else(|error| panic!("{error}"));
    assert!(checked[0].warnings.is_empty(), "{:?}", checked[0].warnings);
    checked.remove(0).compiled
}

/// Six things for a home, with pictures that need no network.
fn catalog(lang: &str) -> Catalog {
    let things = [
        (
            "Norrvik",
            "refrigerator",
            "#5b8a72",
            ["Cold Garden 420 refrigerator", "Холодильник «Зимний сад» 420", "冷鲜花园 420 升对开门冰箱"],
        ),
        ("Halm & Berg", "oven", "#b5653a", ["Hearth built-in oven", "Встраиваемая духовка «Очаг»", "炉边嵌入式蒸烤箱"]),
        ("Lumenne", "kettle", "#c9a24a", ["Dawn glass kettle", "Стеклянный чайник «Заря»", "晨光玻璃电水壶"]),
        (
            "Norrvik",
            "dishwasher",
            "#57799c",
            [
                "Quiet Evening dishwasher, 14 settings",
                "Посудомоечная машина «Тихий вечер», 14 комплектов",
                "静夜 14 套洗碗机",
            ],
        ),
        ("Tessel", "vacuum", "#7d6aa0", ["Robin robot vacuum", "Робот-пылесос «Робин»", "知更鸟扫拖机器人"]),
        (
            "Halm & Berg",
            "washer",
            "#6c8d9e",
            ["Linen 9 kg washing machine", "Стиральная машина «Лён», 9 кг", "亚麻 9 公斤滚筒洗衣机"],
        ),
    ];
    let (at, currency) = match lang {
        "ru" => (1, "RUB"),
        "zh" => (2, "CNY"),
        _ => (0, "EUR"),
    };
    let product = |(i, (brand, kind, colour, names)): (usize, &(&str, &str, &str, [&str; 3]))| Product {
        id: i as i64 + 1,
        sku: format!("S-{i}"),
        name: names[at].into(),
        category: format!("home/{kind}"),
        brand: (*brand).into(),
        url: format!("https://shop.example/{i}"),
        image_url: format!(
            "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 10 10'><rect width='10' height='10' fill='%23efe7d7'/><rect x='3' y='2' width='4' height='6' rx='.6' fill='%23{}'/></svg>",
            &colour[1..]
        ),
        offers: vec![Offer {
            currency: currency.into(),
            price_minor: 499_000 + 1_234_500 * i as i64,
            ..Offer::default()
        }],
        ..Product::default()
    };
    Catalog::new(things.iter().enumerate().map(product).collect(), &[])
}

fn stationery() -> Stationery {
    let sender = Sender {
        key: "offers".into(),
        name: "Aurelle".into(),
        from: "club@news.aurelle.example".into(),
        reply_to: "care@aurelle.example".into(),
        bounce_domain: "bounce.news.aurelle.example".into(),
        postal_address: "Aurelle Home Ltd, 12 Orchard Lane, 10115 Sampletown".into(),
    };
    Stationery::new(3, "member-day-2026-11", "offers", MailClass::Marketing, sender, "https://t.aurelle.example")
}

fn page(compiled: &Compiled, lang: &str, known: bool) -> Page {
    let names = match lang {
        "ru" => ("Анна", "Europe/Moscow"),
        "zh" => ("婉清", "Asia/Shanghai"),
        _ => ("Anna", "Europe/Berlin"),
    };
    let member = Member {
        id: 5,
        email: "anna@example.com".into(),
        first_name: known.then(|| names.0.to_owned()),
        locale: format!("{lang}-XX"),
        zone: names.1.into(),
        points: if known { 12_342 } else { 0 },
        ..Member::default()
    };
    let history = History::default();
    let to = Recipient { message_id: 9, member: &member, history: &history };
    let keyring = Keyring::new(&[(1, [7; 32])]);
    let page = render_page(compiled, &stationery(), &to, &catalog(lang), &keyring, NOW_MS, None);
    page.unwrap_or_else(|error| panic!("{lang}: {error}"))
}

#[test]
fn the_starter_mail_is_whole_in_three_languages() {
    let compiled = starter();
    let keep = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (lang, hello, money, points) in [
        ("en", "Hello Anna,", "€4,990", "12,342"),
        ("ru", "Здравствуйте, Анна!", "4990\u{a0}₽", "12\u{a0}342"),
        ("zh", "婉清，您好：", "¥4,990", "12,342"),
    ] {
        let page = page(&compiled, lang, true);
        std::fs::write(keep.join(format!("member-day.{lang}.html")), &page.html).unwrap();
        std::fs::write(keep.join(format!("member-day.{lang}.txt")), &page.text).unwrap();
        assert_eq!(page.locale, lang);
        for part in [&page.html, &page.text] {
            assert!(part.contains(hello) && part.contains(money) && part.contains(points), "{lang}: {part}");
            assert!(part.contains("https://t.aurelle.example/u/") && part.contains("12 Orchard Lane"));
            assert!(!part.contains("/demo/"), "a link is not tracked: {part}");
            assert!(!part.contains(['\u{2}', '\u{3}']) && !part.contains("{{") && !part.contains("{%"));
        }
        assert_eq!(page.shown.products.len(), 6);
        assert!((25_000..60_000).contains(&page.html.len()), "{} bytes", page.html.len());
        // The pictures and buttons of a product carry the same token, which names it.
        let keyring = Keyring::new(&[(1, [7; 32])]);
        let clicks: Vec<_> = page
            .html
            .split("https://t.aurelle.example/c/")
            .skip(1)
            .filter_map(|rest| keyring.open(Use::Click, rest.split('"').next()?).ok())
            .collect();
        assert_eq!(clicks.iter().filter(|token| token.product > 0).count(), 12);
    }
    for lang in ["en", "ru", "zh"] {
        let page = page(&compiled, lang, false);
        assert!(!page.html.contains("Anna") && !page.subject.contains(','), "{}", page.subject);
    }
}
