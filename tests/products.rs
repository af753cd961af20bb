//! The product block: over thousands of generated members no rule is broken, and what it rests on comes from the
//! tables.

use std::collections::HashMap;

use indicia::domain::catalog::{Catalog, Offer, Product, Sold};
use indicia::domain::member::{Member, Wishes};
use indicia::domain::recommend::care::Cares;
use indicia::domain::recommend::count::Counter;
use indicia::domain::recommend::follow::Follow;
use indicia::domain::recommend::log::Deed;
use indicia::domain::recommend::tables::Tables;
use indicia::domain::recommend::taste::kinds;
use indicia::domain::recommend::{
    Act, BOUGHT_LATELY_MS, History, Occasion, Pick, Reason, Request, Sitting, Strategy, TagScore, Why, pick,
};
use indicia::store::{catalog, history};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::both_dbs;
use crate::support::sql;

const DAY_MS: i64 = 86_400_000;
/// Generated members; `INDICIA_TEST_MEMBERS=100000` for the full count.
fn members() -> i64 {
    std::env::var("INDICIA_TEST_MEMBERS").map_or(5_000, |text| text.parse().expect("a number of members"))
}
/// Some categories of which the owner of one is not offered another for years, some that are bought again and again.
const CARES: &str = "[[category]]\nnames = ['c1', 'c2']\nservice_years = 10\n[[category]]\nnames = ['c3', 'c4', 'c9']\nrepeatable = true\n";
const MAIL: Occasion = Occasion { run: 1, message: 1, now_ms: NOW_MS };
const NOW_MS: i64 = 1_790_000_000_000;
const MARKETS: [&str; 3] = ["", "de", "ru"];
const BRANDS: [&str; 4] = ["Aurelia", "Nordlys", "Kibo", "Taiga"];

fn category(number: i64) -> String {
    format!("{}/c{number}", ["kitchen", "bath", "air"][(number % 3) as usize])
}

/// `n` products in 24 categories, a fifth sold out, some with an offer of their own in a market.
fn shop(n: i64, rng: &mut StdRng) -> Catalog {
    let offer = |rng: &mut StdRng, market: &str| Offer {
        market: market.into(),
        price_minor: rng.random_range(1_000..200_000),
        currency: "EUR".into(),
        stock: *[None, Some(0), Some(1), Some(7), Some(90)].choose(rng).unwrap(),
    };
    let products = (1..=n).map(|id| {
        let markets = MARKETS.iter().filter(|_| rng.random_bool(0.6)).copied().collect::<Vec<_>>();
        Product {
            id,
            sku: format!("S{id}"),
            name: format!("Model {id}"),
            category: category(id % 24),
            brand: (*BRANDS.choose(rng).unwrap()).into(),
            // Every third belongs to a suite, every fifth has a successor, a few are pinned.
            suite: if id % 3 == 0 { format!("suite {}", id % 20) } else { String::new() },
            successor: if id % 5 == 0 { format!("S{}", id + 7) } else { String::new() },
            pinned: if id % 90 == 0 { 1000 - id } else { 0 },
            created_at_ms: NOW_MS - rng.random_range(0..900) * DAY_MS,
            offers: markets.into_iter().map(|market| offer(rng, market)).collect(),
            ..Product::default()
        }
    });
    let products: Vec<Product> = products.collect();
    let sold: Vec<Sold> = (0..2 * n)
        .map(|_| Sold {
            product: rng.random_range(1..=n),
            market: (*MARKETS.choose(rng).unwrap()).into(),
            weight: rng.random_range(0.0..9.0),
        })
        .collect();
    let mut counter = Counter::new(kinds(products.iter().map(|product| &*product.category)), NOW_MS);
    for _ in 0..4 * n {
        let mut deeds: Vec<Deed> = (0..rng.random_range(1..12))
            .map(|_| Deed {
                at_ms: NOW_MS - rng.random_range(1..400) * DAY_MS,
                product: rng.random_range(0..n as u32),
                bought: rng.random_bool(0.4),
            })
            .collect();
        deeds.sort_unstable();
        counter.member(&deeds);
    }
    let follow = |n: i64| Follow { from: category(n), to: category((n + 5) % 24), lift: 3.0, lag_ms: 60 * DAY_MS };
    let tables = Tables { follows: (0..24).map(follow).collect(), ..counter.finish((1..=n).collect()) };
    Catalog::informed(products, &sold, &Cares::parse(CARES, "test").unwrap(), Some(&tables))
}

fn member(id: i64, n: i64, rng: &mut StdRng) -> (Member, History) {
    let mut acts = |most: usize, days: i64| -> Vec<Act> {
        let many = rng.random_range(0..=most);
        let mut acts: Vec<Act> = (0..many)
            .map(|_| Act {
                product: rng.random_range(1..=n),
                at_ms: NOW_MS - rng.random_range(0..days) * DAY_MS,
                times: 1,
            })
            .collect();
        acts.sort_by_key(|act| -act.at_ms);
        acts
    };
    let (viewed, bought) = (acts(20, 180), acts(8, 730));
    let mut tags: Vec<TagScore> = (0..rng.random_range(0..6))
        .map(|_| {
            let key = match rng.random_bool(0.7) {
                true => format!("interest:c{}", rng.random_range(0..26)),
                false => format!("brand:{}", BRANDS.choose(rng).unwrap()),
            };
            TagScore { key: key.into(), score: rng.random_range(0.05..20.0) }
        })
        .collect();
    tags.sort_by(|a, b| b.score.total_cmp(&a.score));
    let market = ["", "de", "ru", "kz"].choose(rng).unwrap();
    let ignored =
        (0..rng.random_range(0..12)).map(|n| (rng.random_range(0..50) * 12 + n, rng.random_range(1..4))).collect();
    let points = if rng.random_bool(0.5) { 0 } else { rng.random_range(0..80_000) };
    let wishes = Wishes { personalise: !rng.random_bool(0.1), ..Wishes::default() };
    let member = Member { id, market: (*market).into(), points, wishes, ..Member::default() };
    let suggested = (0..rng.random_range(0..4)).map(|_| rng.random_range(1..700)).collect();
    (member, History { viewed, bought, tags, ignored, suggested })
}

/// Whether a rule without exceptions lets this member see this product.
fn may_see(product: &Product, member: &Member, history: &History) -> bool {
    let lately = |act: &&Act| NOW_MS - act.at_ms < BOUGHT_LATELY_MS;
    let repeatable = ["c3", "c4", "c9"].contains(&product.category_leaf());
    product.is_sold(&member.market)
        && (repeatable || !history.bought.iter().filter(lately).any(|act| act.product == product.id))
}

fn check(catalog: &Catalog, member: &Member, history: &History, request: &Request, picks: &[Pick]) {
    let told = || format!("member {} {request:?} {picks:?}", member.id);
    assert!(!picks.is_empty() && picks.len() <= request.n, "{}", told());
    for pick in picks {
        let product = catalog.get(pick.product).unwrap();
        assert!(may_see(product, member, history), "{} shows {product:?}", told());
        let rests = match pick.reason.why {
            Why::Viewed => history.viewed.iter().any(|act| act.product == product.id),
            Why::Interest | Why::Brand => history.tag(&pick.reason.tag().unwrap()) > 0.0,
            Why::Bought | Why::Alike => {
                let acts = if pick.reason.why == Why::Bought { &history.bought } else { &history.viewed };
                let of = |act: &Act| catalog.get(act.product).map(Product::category_leaf) == pick.reason.on.as_deref();
                acts.iter().any(of)
            }
            Why::Next => {
                let of = |act: &Act| catalog.get(act.product).map(Product::category_leaf) == pick.reason.on.as_deref();
                history.bought.iter().any(of)
            }
            Why::Engine => history.suggested.contains(&product.id),
            Why::Again => history.bought.iter().any(|act| act.product == product.id),
            Why::Category => {
                pick.reason.on.as_deref().is_some_and(|on| product.category.split('/').any(|part| part == on))
            }
            Why::New => [Strategy::New, Strategy::Successor].contains(&request.strategy),
            Why::Suite => {
                let of = |act: &Act| catalog.get(act.product).is_some_and(|known| known.suite == product.suite);
                !product.suite.is_empty() && history.bought.iter().chain(&history.viewed).any(of)
            }
            Why::Successor => {
                let comes_after = |act: &Act| {
                    let next = |known: &&Product| catalog.by_sku(&known.successor);
                    std::iter::successors(catalog.get(act.product), next).skip(1).any(|next| next.id == product.id)
                };
                history.bought.iter().chain(&history.viewed).any(comes_after)
            }
            Why::Points => {
                product.offer(&member.market).unwrap().price_minor as f64 <= member.points as f64 * request.point_value
            }
            Why::Explore => request.strategy == Strategy::ForYou && Some(pick) == picks.last(),
            Why::Pinned => request.pinned.contains(&product.sku) || (request.pinned.is_empty() && product.pinned > 0),
            Why::Popular => true,
        };
        let blind = [Why::Popular, Why::Category, Why::New, Why::Pinned].contains(&pick.reason.why);
        assert!(blind || member.wishes.personalise, "{} wants nothing personal: {pick:?}", told());
        assert!(rests, "the reason of {pick:?} is not true: {}", told());
        assert_eq!(Reason::from_code(&pick.reason.code(product), product).as_ref(), Some(&pick.reason));
    }
}

#[test]
fn no_rule_is_broken_over_thousands_of_members() {
    let mut rng = StdRng::seed_from_u64(42);
    let catalog = shop(600, &mut rng);
    let mut whys: HashMap<Why, usize> = HashMap::new();
    for id in 1..=members() {
        let (member, history) = member(id, 600, &mut rng);
        let mut sitting = Sitting::default();
        for strategy in Strategy::ALL {
            let request = Request {
                strategy: *strategy,
                n: rng.random_range(1..=6),
                category: rng.random_bool(0.3).then(|| category(rng.random_range(0..25))),
                exclude: if rng.random_bool(0.2) { vec!["bath".into(), "S12".into()] } else { Vec::new() },
                pinned: (0..rng.random_range(0..2) * 3).map(|_| format!("S{}", rng.random_range(1..700))).collect(),
                point_value: 1.0,
            };
            for nth in 0..2 {
                let before = sitting.taken().to_vec();
                let picks = pick(&catalog, &member, &history, &request, &mut sitting, MAIL);
                let apart = pick(&catalog, &member, &history, &request, &mut Sitting::after(before.clone()), MAIL);
                assert!(nth > 0 || picks == apart, "what blocks share changes nothing: {picks:?} {apart:?}");
                check(&catalog, &member, &history, &request, &picks);
                for pick in &picks {
                    assert!(!before.contains(&pick.product), "shown twice in one mail");
                    let product = catalog.get(pick.product).unwrap();
                    let excluded = product.sku == "S12" || product.category.starts_with("bath/");
                    assert!(request.exclude.is_empty() || !excluded, "excluded {product:?}");
                    *whys.entry(pick.reason.why).or_default() += 1;
                }
                assert_eq!(sitting.taken().len(), before.len() + picks.len());
            }
        }
    }
    for why in Why::ALL {
        assert!(whys.get(why).is_some_and(|n| *n > 100), "{why} was hardly ever a reason: {whys:?}");
    }
}

#[test]
fn blocks_that_ask_alike_go_on_where_the_last_ended() {
    let mut rng = StdRng::seed_from_u64(8);
    let catalog = shop(600, &mut rng);
    let mut compared = 0;
    for id in 1..=2000 {
        let (member, history) = member(id, 600, &mut rng);
        let mut sitting = Sitting::default();
        let of = |n| Request { n, ..Request::default() };
        let mut both = pick(&catalog, &member, &history, &of(2), &mut sitting, MAIL);
        both.extend(pick(&catalog, &member, &history, &of(2), &mut sitting, MAIL));
        let one = pick(&catalog, &member, &history, &of(4), &mut Sitting::default(), MAIL);
        let category = |pick: &Pick| catalog.get(pick.product).unwrap().category.as_str();
        let many = |pick: &Pick| both.iter().filter(|other| category(other) == category(pick)).count();
        // One block alone explores, and shows a category but twice.
        if one.iter().all(|pick| pick.reason.why != Why::Explore) && both.iter().all(|pick| many(pick) <= 2) {
            assert_eq!(both, one);
            compared += 1;
        }
    }
    assert!(compared > 500, "{compared}");
}

#[test]
fn for_you_minds_categories_bought_from_lately_and_keeps_variety() {
    let mut rng = StdRng::seed_from_u64(7);
    let catalog = shop(600, &mut rng);
    let request = Request { n: 6, ..Request::default() };
    for id in 1..=3000 {
        let (member, history) = member(id, 600, &mut rng);
        let member = Member { wishes: Wishes::default(), ..member };
        let picks = pick(&catalog, &member, &history, &request, &mut Sitting::default(), MAIL);
        assert_eq!(picks.len(), 6, "24 categories have six products for anybody");
        let mut many: HashMap<&str, usize> = HashMap::new();
        for pick in &picks {
            let category = catalog.get(pick.product).unwrap().category.as_str();
            *many.entry(category).or_default() += 1;
            let owned = |act: &&Act| catalog.get(act.product).is_some_and(|product| product.category == category);
            let newest = history.bought.iter().filter(owned).map(|act| NOW_MS - act.at_ms).min();
            let serves_ms = match category.rsplit('/').next().unwrap() {
                "c1" | "c2" => 7 * 365 * DAY_MS,
                "c3" | "c4" | "c9" => 0,
                _ => BOUGHT_LATELY_MS,
            };
            assert!(
                newest.is_none_or(|age_ms| age_ms >= serves_ms),
                "member {id} owns of {category} what still serves"
            );
        }
        assert!(many.values().all(|n| *n <= 2), "{many:?}");
        assert_eq!(
            picks,
            pick(&catalog, &member, &history, &request, &mut Sitting::default(), MAIL),
            "always the same"
        );
    }
}

#[test]
fn a_small_shop_gives_way_before_it_shows_nothing() {
    let offer = Offer { price_minor: 100, currency: "EUR".into(), ..Offer::default() };
    let product = |id: i64, category: &str| Product {
        id,
        sku: format!("S{id}"),
        category: category.into(),
        offers: vec![offer.clone()],
        ..Product::default()
    };
    let catalog = Catalog::new((1..=4).map(|id| product(id, "kettle")).collect(), &[]);
    let member = Member { id: 1, ..Member::default() };
    let bought = History { bought: vec![Act { product: 1, at_ms: NOW_MS - DAY_MS, times: 1 }], ..History::default() };
    let request = Request { n: 3, category: Some("teapot".into()), ..Request::default() };
    let picks = pick(&catalog, &member, &bought, &request, &mut Sitting::after(vec![4]), MAIL);
    let ids: Vec<i64> = picks.iter().map(|pick| pick.product).collect();
    assert!(ids.iter().all(|id| [2, 3].contains(id)) && ids.len() == 2, "not the bought, not the taken: {ids:?}");
    let none = pick(&Catalog::default(), &member, &bought, &request, &mut Sitting::default(), MAIL);
    assert_eq!(none, []);
}

#[test]
fn what_a_member_does_comes_first() {
    let mut rng = StdRng::seed_from_u64(3);
    let catalog = shop(600, &mut rng);
    let sold = |category: &str| catalog.in_category("de", category).next().unwrap().id;
    let member = Member { id: 9, market: "de".into(), ..Member::default() };
    let history = History {
        viewed: vec![Act { product: sold("c5"), at_ms: NOW_MS - DAY_MS, times: 1 }],
        tags: vec![TagScore { key: "interest:c7".into(), score: 6.0 }],
        ..History::default()
    };
    let picks = pick(&catalog, &member, &history, &Request::default(), &mut Sitting::default(), MAIL);
    let why: Vec<Why> = picks.iter().map(|pick| pick.reason.why).collect();
    assert_eq!((picks[0].product, why[0]), (sold("c5"), Why::Viewed));
    assert_eq!(&why[1..], [Why::Interest, Why::Interest]);
    assert_eq!(picks[1].reason.tag().as_deref(), Some("interest:c7"));
}

#[test]
fn what_was_ignored_steps_back_and_one_block_in_ten_explores() {
    let mut rng = StdRng::seed_from_u64(5);
    let catalog = shop(600, &mut rng);
    let explored = |member: &Member, mail: Occasion| {
        let request = Request { n: 6, ..Request::default() };
        let picks = pick(&catalog, member, &History::default(), &request, &mut Sitting::default(), mail);
        assert_eq!(picks, pick(&catalog, member, &History::default(), &request, &mut Sitting::default(), mail));
        picks.into_iter().find(|pick| pick.reason.why == Why::Explore)
    };
    let member = Member { id: 7, ..Member::default() };
    let found: Vec<i64> = (1..=4000)
        .filter_map(|message| explored(&member, Occasion { message, ..MAIL }))
        .map(|pick| pick.product)
        .collect();
    assert!((320..480).contains(&found.len()), "{} of 4000 blocks explored", found.len());
    let many: std::collections::HashSet<i64> = found.iter().copied().collect();
    assert!(many.len() > 150, "only {} different products were tried", many.len());

    let request = Request { strategy: Strategy::Popular, n: 6, ..Request::default() };
    let of = |history: &History| {
        let picks = pick(&catalog, &member, history, &request, &mut Sitting::default(), MAIL);
        picks.iter().map(|pick| pick.product).collect::<Vec<i64>>()
    };
    let first = of(&History::default());
    let history = History { ignored: vec![(first[0], 1), (first[1], 3)], ..History::default() };
    let next = of(&history);
    assert_eq!(next[..4], first[2..], "{next:?}");
    assert!(
        next[4..].contains(&first[0]) && !next.contains(&first[1]),
        "once steps back by some places, thrice by more"
    );
}

both_dbs! {
    async fn what_was_shown_and_not_clicked_is_remembered_for_three_mails(test) {
        sql::run(&test.db, &["insert into provider (name) values ('other')"]).await;
        let run = |id: i64| {
            [
                format!("insert into run (campaign_id, scheduled_for_ms, state, seed, doc, created_at_ms)
                         values (1, {id}, 'sending', 0, '{{}}', 0)"),
                format!("insert into message (run_id, origin, member_id, provider_id, state, armed_at_ms, sent_at_ms)
                         values ({id}, 5, 5, 1, 'sent', {at}, {at})", at = NOW_MS - (10 - id) * DAY_MS),
                format!("insert into shown (run_id, message_id, body) values ({id}, {id},
                         '{{\"v\":1,\"l\":\"en\",\"b\":0,\"p\":[[1,\"p\"],[2,\"p\"],[{},\"p\"]]}}')", id + 10),
            ]
        };
        let rows: Vec<String> = (1..=5).flat_map(run).collect();
        sql::run(&test.db, &rows.iter().map(String::as_str).collect::<Vec<_>>()).await;
        sql::run(&test.db, &[
            // The last one is being tried again: what it showed is no reason to show something else.
            "update message set state = 'queued', due_at_ms = 0, sent_at_ms = null where run_id = 5",
            &format!("insert into touch (at_ms, run_id, message_id, member_id, kind, class, product_id, method, agent, ip)
                      values ({}, 3, 3, 5, 'click', 'human', 2, 'GET', '', '')", NOW_MS - 7 * DAY_MS + 1),
        ]).await;
        let known = history::load(&test.db, &[5, 6], NOW_MS).await.unwrap();
        let mut ignored = known[&5].ignored.clone();
        ignored.sort_unstable();
        assert_eq!(ignored, [(1, 3), (2, 1), (12, 1), (13, 1), (14, 1)], "the click forgives what was before it");
        assert!(!known.contains_key(&6));
    }
}

both_dbs! {
    async fn the_catalogue_comes_from_the_tables_and_knows_when_it_is_old(test) {
        sql::run(&test.db, &[
            "insert into provider (name) values ('other')",
            "insert into member (email, addr_key, provider_id, lot, market, created_at_ms, updated_at_ms)
             values ('a@example.com', 1, 1, 1, 'de', 0, 0), ('b@example.com', 2, 1, 1, 'ru', 0, 0)",
            "insert into product (sku, name, category, brand, url, created_at_ms, updated_at_ms) values
             ('F1', 'Frost 1', 'kitchen/refrigerator', 'Aurelia', 'https://shop.example/f1', 1, 5),
             ('F2', 'Frost 2', 'kitchen/refrigerator', 'Aurelia', 'https://shop.example/f2', 2, 5),
             ('F3', 'Frost 3', 'kitchen/refrigerator', 'Aurelia', 'https://shop.example/f3', 3, 5)",
            "insert into product_market (product_id, market, price_minor, currency, stock, updated_at_ms) values
             (1, '', 100, 'EUR', null, 5), (2, '', 200, 'EUR', 4, 5), (3, '', 300, 'EUR', 0, 5), (3, 'ru', 30000, 'RUB', 2, 5)",
        ]).await;
        let order = |id: i64, member: i64, product: i64, quantity: i64, weeks: i64, status: &str| {
            let at = NOW_MS - weeks * 7 * DAY_MS - 1;
            [
                format!("insert into orders (order_id, member_id, ordered_at_ms, status, currency, revenue_minor, updated_at_ms)
                         values ('o{id}', {member}, {at}, '{status}', 'EUR', 0, 0)"),
                format!("insert into order_line (orders_id, product_id, quantity, price_minor) values ({id}, {product}, {quantity}, 1)"),
            ]
        };
        let orders = [order(1, 1, 1, 3, 0, "completed"), order(2, 1, 2, 5, 4, "completed"), order(3, 2, 2, 9, 0, "cancelled"),
                      order(4, 2, 3, 1, 1, "pending")].concat();
        sql::run(&test.db, &orders.iter().map(String::as_str).collect::<Vec<_>>()).await;

        let mut reader = test.db.reader().await.unwrap();
        let version = catalog::version(reader.conn(), NOW_MS).await.unwrap();
        let loaded = catalog::load(reader.conn(), &Cares::embedded(), NOW_MS).await.unwrap();
        let skus = |market: &str| loaded.in_category(market, "refrigerator").map(|p| p.sku.clone()).collect::<Vec<_>>();
        assert_eq!(skus("de"), ["F1", "F2"], "three now weigh more than five a half-life ago; the sold-out one is not there");
        assert_eq!(skus("ru"), ["F3", "F1", "F2"]);
        assert_eq!(loaded.by_sku("F3").unwrap().offer("ru").unwrap().currency, "RUB");

        assert_eq!(catalog::version(reader.conn(), NOW_MS + 1).await.unwrap(), version);
        sql::run(&test.db, &["update product_market set stock = 3 where product_id = 2"]).await;
        assert_ne!(catalog::version(reader.conn(), NOW_MS).await.unwrap(), version, "even in the same millisecond");

        let known = history::load(&test.db, &[1, 2, 77], NOW_MS).await.unwrap();
        let bought = |id: i64| known[&id].bought.iter().map(|act| act.product).collect::<Vec<_>>();
        assert_eq!((bought(1), bought(2)), (vec![1, 2], vec![3]), "the latest first, the cancelled not at all");
        assert!(!known.contains_key(&77));
    }
}

both_dbs! {
    async fn what_was_looked_at_is_bounded_and_the_latest(test) {
        sql::run(&test.db, &["insert into event_name (name) values ('Product Viewed'), ('Product Searched')"]).await;
        let events: Vec<String> = (1..=200)
            .map(|n| format!(
                "insert into event (at_ms, dedup, member_id, name_id, product_id) values ({}, {n}, {}, {}, {})",
                NOW_MS - n * 60_000, 1 + n % 2, if n % 10 == 0 { 2 } else { 1 }, n % 50 + 1
            ))
            .collect();
        sql::run(&test.db, &events.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let known = history::load(&test.db, &[1, 2], NOW_MS).await.unwrap();
        let viewed = &known[&2].viewed;
        assert_eq!(viewed.len(), history::VIEWED_MAX);
        assert_eq!(viewed[0], Act { product: 2, at_ms: NOW_MS - 60_000, times: 1 });
        assert!(viewed.windows(2).all(|two| two[0].at_ms > two[1].at_ms));
        let searched = (1..=50).filter(|n| n % 10 == 0).map(|n| n + 1).collect::<Vec<i64>>();
        assert!(viewed.iter().chain(&known[&1].viewed).all(|act| !searched.contains(&act.product)));
    }
}
