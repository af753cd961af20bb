//! The differential test: the SQL of random segments selects on both databases exactly those random members whom the
//! evaluator accepts. Then the fifteen segments of the business cases, by name.

use std::collections::BTreeMap;

use indicia::domain::engagement::Decay;
use indicia::domain::segment::{
    AttributeOf, EventOf, ProductOf, ReceivedOf, Segment, Subject, SuppressionOf, TagOf, TouchOf, parse,
};
use indicia::on;
use indicia::store::segment::{compile, resolve, save};
use indicia::store::{Conn, Db, Lane};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::both_dbs;
use crate::support::segments::{ATTRIBUTES, CAMPAIGNS, DAY_MS, EVENTS, NOW_MS, Source, TAGS, TEXTS, TOPICS, segment};

const MEMBERS: usize = 60;
const SEGMENTS: u64 = 1200;
const RICH: &str = "points >= 500 or revenue > 999.99";
const RICH_AND_OPEN: &str = "in_segment(\"rich\") and (opened(last: 30d) or not reachable())";

/// Real products: the last names of every list stay unknown to the database.
const PRODUCTS: [(&str, &str, &str); 3] = [
    ("R-1", "kitchen/refrigerator", "Casarte"),
    ("R-2", "kitchen/refrigerator/side-by-side", "Aurora"),
    ("W-1", "laundry", ""),
];

fn product(at: usize) -> ProductOf {
    let (sku, category, brand) = PRODUCTS[at];
    ProductOf { sku: sku.to_owned(), category: category.to_owned(), brand: brand.to_owned() }
}

fn decays() -> BTreeMap<String, Decay> {
    let decay = |half_life_ms, ceiling| Decay { half_life_ms, ceiling };
    BTreeMap::from([
        (TAGS[0].to_owned(), decay(Some(30 * DAY_MS), None)),
        (TAGS[1].to_owned(), decay(Some(7 * DAY_MS), Some(1.0))),
        (TAGS[2].to_owned(), decay(None, Some(0.5))),
    ])
}

/// An instant up to two years back, often on the very edge of a window.
fn instant(source: &mut Source) -> i64 {
    let edge = source.of(&[0, 0, 1, -1, 3_600_000]);
    NOW_MS - source.of(&[0, 1, 7, 14, 30, 365, 400]) * DAY_MS + edge
}

fn maybe(source: &mut Source, all: &[&str]) -> Option<String> {
    match source.below(4) {
        0 => None,
        1 => Some(String::new()),
        _ => Some(source.word(all)),
    }
}

/// A random member, and whether its row is live.
fn subject(source: &mut Source) -> (Subject, bool) {
    let mut subject = Subject {
        lot: source.below(2_147_483_647) as i64,
        email: Some(source.word(TEXTS)),
        external_id: None,
        first_name: maybe(source, TEXTS),
        last_name: maybe(source, TEXTS),
        locale: source.word(TEXTS),
        zone: source.word(TEXTS),
        market: maybe(source, TEXTS).unwrap_or_default(),
        points: source.of(&[0, 1, 2, 5, 500, 999, 1_000_000]),
        orders: source.of(&[0, 1, 2, 3, 5]),
        revenue_minor: source.of(&[0, 100, 350, 99_999, 100_000]),
        last_order_at_ms: (!source.one_in(3)).then(|| instant(source)),
        created_at_ms: instant(source),
        ..Subject::default()
    };
    for name in &ATTRIBUTES[..ATTRIBUTES.len() - 1] {
        if source.one_in(2) {
            let number = source.of(&[None, Some(5.0), Some(0.0), Some(-2.5), Some(999.99), Some(1e300)]);
            let text = source.of(&["", "Perm", "5", "Пермь", "pear"]).to_owned();
            subject.attributes.insert((*name).to_owned(), AttributeOf { text, number });
        }
    }
    subject.granted = TOPICS.iter().filter(|_| source.one_in(2)).map(|topic| (*topic).to_owned()).collect();
    for scope in ["all", "offers"] {
        if source.one_in(3) {
            let expires_at_ms = source.of(&[None, Some(NOW_MS), Some(NOW_MS + 1), Some(NOW_MS - DAY_MS)]);
            subject.suppressions.push(SuppressionOf { scope: scope.to_owned(), expires_at_ms });
        }
    }
    for (key, decay) in decays() {
        if source.one_in(2) {
            let score = source.of(&[0.01, 0.05, 0.5, 0.75, 1.0, 2.0, 40.0]);
            subject.tags.insert(key, TagOf { lscore: decay.log_of(score, NOW_MS), decay });
        }
    }
    let live = !source.one_in(10);
    subject.events = (0..source.below(12)).map(|_| event(source)).collect();
    subject.touches = (0..source.below(6)).map(|_| touch(source)).collect();
    for campaign in &CAMPAIGNS[..2] {
        if source.one_in(2) {
            subject.received.push(ReceivedOf { at_ms: instant(source), campaign: (*campaign).to_owned() });
        }
    }
    (subject, live)
}

fn event(source: &mut Source) -> EventOf {
    let product = (!source.one_in(4)).then(|| product(source.below(PRODUCTS.len())));
    let value_minor = source.of(&[None, Some(100), Some(99_999), Some(-50)]);
    EventOf { name: source.word(&EVENTS[..EVENTS.len() - 1]), at_ms: instant(source), product, value_minor }
}

fn touch(source: &mut Source) -> TouchOf {
    let (click, human) = (source.one_in(2), !source.one_in(3));
    TouchOf { at_ms: instant(source), click, human, campaign: source.word(&CAMPAIGNS[..2]) }
}

/// Writes rows into a table, each column bound; `$row` binds one row to a query.
macro_rules! insert {
    ($conn:expr, $sql:literal, $($value:expr),+ $(,)?) => {
        on!($conn.again(), "fill a test's table", c => sqlx::query($sql)$(.bind($value))+.execute(&mut *c).await.map(|_| ())).unwrap()
    };
}

async fn fill_names(mut conn: Conn<'_>) {
    for (sku, category, brand) in PRODUCTS {
        insert!(
            conn,
            "insert into product (sku, name, category, brand, url, created_at_ms, updated_at_ms)
            values ($1, $1, $2, $3, '', 0, 0)",
            sku,
            category,
            brand
        );
    }
    for name in &EVENTS[..EVENTS.len() - 1] {
        insert!(conn, "insert into event_name (name) values ($1)", *name);
    }
    for name in &ATTRIBUTES[..ATTRIBUTES.len() - 1] {
        insert!(conn, "insert into attribute (name) values ($1)", *name);
    }
    for (key, decay) in decays() {
        insert!(
            conn,
            "insert into tag (key, half_life_ms, ceiling) values ($1, $2, $3)",
            key,
            decay.half_life_ms,
            decay.ceiling
        );
    }
    for name in &CAMPAIGNS[..2] {
        insert!(conn, "insert into campaign (name, created_at_ms) values ($1, 0)", *name);
        insert!(
            conn,
            "insert into run (campaign_id, scheduled_for_ms, state, seed, doc, created_at_ms, finished_at_ms)
            select id, 0, 'finished', 1, '{}', 0, $2 from campaign where name = $1",
            *name,
            NOW_MS + DAY_MS
        );
    }
    let rich = parse(RICH).unwrap();
    save(conn.again(), "rich", &rich, 1).await.unwrap();
    save(conn.again(), "rich and open", &parse(RICH_AND_OPEN).unwrap(), 2).await.unwrap();
}

async fn fill_member(mut conn: Conn<'_>, nth: usize, subject: &Subject, live: bool) {
    let id = nth as i64 + 1;
    let (status, addr_key) = if live { ("live", Some(id)) } else { ("erased", None) };
    insert!(
        conn,
        "insert into member (status, email, addr_key, external_id, first_name, last_name, locale, zone, market,
        provider_id, lot, points, orders, revenue_minor, last_order_at_ms, created_at_ms, updated_at_ms)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11, $12, $13, $14, $15, 0)",
        status,
        &subject.email,
        addr_key,
        &subject.external_id,
        &subject.first_name,
        &subject.last_name,
        &subject.locale,
        &subject.zone,
        &subject.market,
        subject.lot,
        subject.points,
        subject.orders,
        subject.revenue_minor,
        subject.last_order_at_ms,
        subject.created_at_ms
    );
    for (name, attribute) in &subject.attributes {
        insert!(
            conn,
            "insert into member_attribute (member_id, attribute_id, text, number)
            select $1, id, $3, $4 from attribute where name = $2",
            id,
            name,
            &attribute.text,
            attribute.number
        );
    }
    for topic in TOPICS {
        let state = if subject.granted.iter().any(|granted| granted == topic) { "granted" } else { "revoked" };
        insert!(conn, "insert into consent (member_id, topic, state, at_ms) values ($1, $2, $3, 0)", id, *topic, state);
    }
    for s in &subject.suppressions {
        insert!(
            conn,
            "insert into suppression (addr_key, scope, reason, source, at_ms, expires_at_ms)
            values ($1, $2, 'manual', 'test', 0, $3)",
            id,
            &s.scope,
            s.expires_at_ms
        );
    }
    for (key, tag) in &subject.tags {
        insert!(
            conn,
            "insert into member_tag (tag_id, member_id, lscore, updated_at_ms)
            select id, $2, $3, 0 from tag where key = $1",
            key,
            id,
            tag.lscore
        );
    }
    fill_deeds(conn, id, subject).await;
}

async fn fill_deeds(mut conn: Conn<'_>, id: i64, subject: &Subject) {
    for (nth, event) in subject.events.iter().enumerate() {
        let sku = event.product.as_ref().map(|product| product.sku.as_str());
        insert!(conn, "insert into event (at_ms, dedup, member_id, name_id, product_id, value_minor)
            select $1, $2, $3, n.id, (select p.id from product p where p.sku = $5), $6 from event_name n where n.name = $4",
            event.at_ms, id * 1000 + nth as i64, id, &event.name, sku, event.value_minor);
    }
    for touch in &subject.touches {
        let (kind, class) = (if touch.click { "click" } else { "open" }, if touch.human { "human" } else { "proxy" });
        insert!(conn, "insert into touch (at_ms, run_id, message_id, member_id, kind, class, method, agent, ip)
            select $1, r.id, 1, $2, $3, $4, 'GET', '', '' from run r join campaign c on c.id = r.campaign_id where c.name = $5",
            touch.at_ms, id, kind, class, &touch.campaign);
    }
    for campaign in &CAMPAIGNS[..2] {
        let received = subject.received.iter().find(|received| received.campaign == *campaign);
        let (state, sent_at_ms) = received.map_or(("bounced", NOW_MS), |received| ("sent", received.at_ms));
        insert!(
            conn,
            "insert into message (run_id, origin, member_id, provider_id, state, sent_at_ms)
            select r.id, $1, $1, 1, $2, $3 from run r join campaign c on c.id = r.campaign_id where c.name = $4",
            id,
            state,
            sent_at_ms,
            *campaign
        );
    }
}

/// Members of one seed in the database, the same ones in memory.
async fn world(db: &Db, seed: u64) -> Vec<(Subject, bool)> {
    let mut source = Source(StdRng::seed_from_u64(seed));
    let subjects: Vec<(Subject, bool)> = (0..MEMBERS).map(|_| subject(&mut source)).collect();
    let mut tx = db.begin(Lane::Bulk).await.unwrap();
    fill_names(tx.conn()).await;
    for (nth, (subject, live)) in subjects.iter().enumerate() {
        fill_member(tx.conn(), nth, subject, *live).await;
    }
    tx.commit().await.unwrap();
    subjects
}

fn saved(name: &str) -> Option<Segment> {
    match name {
        "rich" => parse(RICH).ok(),
        "rich and open" => parse(RICH_AND_OPEN).ok(),
        _ => None,
    }
}

/// Whom the SQL selects of a range of ids.
async fn selected(mut conn: Conn<'_>, segment: &Segment) -> Vec<i64> {
    let resolved = resolve(conn.again(), segment).await.unwrap();
    let rows: Result<Vec<(i64,)>, _> = compile(&conn, &resolved, NOW_MS, 3)
        .fill(
            "select m.id from member m where m.id > $1 and m.id <= $2 and ({where}) order by m.id",
            &[indicia::store::segment::Bind::Int(0), indicia::store::segment::Bind::Int(MEMBERS as i64)],
        )
        .rows(conn)
        .await;
    rows.unwrap_or_else(|error| panic!("{segment}\n{error}")).into_iter().map(|(id,)| id).collect()
}

fn accepted(subjects: &[(Subject, bool)], segment: &Segment) -> Vec<i64> {
    let accepts = |(_, (subject, live)): &(usize, &(Subject, bool))| *live && segment.accepts(subject, NOW_MS, &saved);
    subjects.iter().enumerate().filter(accepts).map(|(nth, _)| nth as i64 + 1).collect()
}

both_dbs! {
    async fn the_sql_selects_whom_the_evaluator_accepts(test) {
        let start: u64 = std::env::var("INDICIA_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        let subjects = world(&test.db, start).await;
        let mut reader = test.db.reader().await.unwrap();
        let (mut some, mut all) = (0, 0);
        for seed in start..start + SEGMENTS {
            let segment = segment(seed);
            let (sql, wanted) = (selected(reader.conn(), &segment).await, accepted(&subjects, &segment));
            assert_eq!(sql, wanted, "INDICIA_TEST_SEED={seed} on {}: the SQL (left) and the evaluator differ on\n{segment}", test.url);
            some += usize::from(!wanted.is_empty());
            all += usize::from(wanted.len() == subjects.iter().filter(|(_, live)| *live).count());
        }
        let drawn = SEGMENTS as usize;
        assert!(some > drawn / 4 && all < drawn / 2, "the segments say too little: {some} with members, {all} with all, of {drawn}");
    }
}

/// The fifteen segments that the business cases imply, those whose functions exist.
const CASES: [&str; 8] = [
    "orders = 0 and opened(last: 180d)",
    "last_order_at < now() - 365d and points >= 1000",
    "last_order_at < now() - 365d and points between 500 and 999",
    "orders >= 3",
    "did(\"Product Added\", last: 365d) or did(\"Order Completed\", last: 365d)",
    "tag(\"interest:refrigerator\") >= 0.5 or (viewed(category: \"refrigerator\", last: 14d, not_bought: true) \
     and count(\"Product Viewed\", category: \"refrigerator\", last: 14d) >= 3)",
    "viewed(last: 7d, not_bought: true) and not did(\"Order Completed\", last: 7d)",
    "tag(\"interest:refrigerator\") >= 0.5 and points >= 500 and viewed(category: \"kitchen\", last: 30d)",
];

both_dbs! {
    async fn the_segments_of_the_business_cases_select_whom_they_should(test) {
        let subjects = world(&test.db, 77).await;
        let mut reader = test.db.reader().await.unwrap();
        for text in CASES {
            let segment = parse(text).unwrap();
            let wanted = accepted(&subjects, &segment);
            assert_eq!(selected(reader.conn(), &segment).await, wanted, "{text}");
            assert!(!wanted.is_empty() && wanted.len() < MEMBERS, "{text} says nothing of these members");
        }
    }
}
