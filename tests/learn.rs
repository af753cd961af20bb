//! What people do becomes tags on their profile: once, whatever dies, in whatever order it arrives.

use indicia::domain::engagement::Decay;
use indicia::domain::tagging::Rules;
use indicia::flow::learn;
use indicia::store::deed::Source;
use indicia::store::{Db, Lane, history, outbox, tag};

use crate::both_dbs;
use crate::support::sql::{count, run};

const DAY_MS: i64 = 86_400_000;
const NOW_MS: i64 = 1_790_000_000_000;

/// A shop of two products and members 1 to 9.
async fn shop(db: &Db) {
    run(
        db,
        &[
            "insert into provider (name) values ('other')",
            "insert into event_name (name) values ('Product Viewed'), ('Cart Viewed')",
            "insert into product (sku, name, category, brand, url, created_at_ms, updated_at_ms) values
             ('F1', 'Frost 1', 'kitchen/refrigerator', 'Aurelia', 'https://shop.example/f1', 0, 0),
             ('W1', 'Wave 1', 'bath/washer', 'Nordlys', 'https://shop.example/w1', 0, 0)",
            "insert into campaign (name, created_at_ms) values ('autumn', 0)",
            "insert into run (campaign_id, scheduled_for_ms, state, seed, doc, created_at_ms) values (1, 0, 'sending', 1, '{}', 0)",
            "insert into template (name) values ('letter')",
            "insert into template_version (template_id, version, class, topic, default_locale, sha, created_at_ms)
             values (1, 1, 'marketing', 'offers', 'en', '', 0)",
            "insert into link (template_version_id, slot, url, label) values (1, 3, 'https://shop.example/care', 'care')",
            "insert into message (run_id, origin, provider_id, member_id, template_version_id, state) values (1, 1, 1, 1, 1, 'sent')",
        ],
    )
    .await;
    for member in 1..10 {
        let sql = format!(
            "insert into member (email, addr_key, provider_id, lot, created_at_ms, updated_at_ms)
             values ('m{member}@example.com', {member}, 1, {member}, 0, 0)"
        );
        run(db, &[&sql]).await;
    }
}

/// A view of `product` by `member`; `once` tells one event from another at the same instant.
async fn view(db: &Db, member: i64, product: i64, at_ms: i64, once: i64) {
    let sql = format!(
        "insert into event (id, at_ms, dedup, member_id, name_id, product_id) {} values ({once}, {at_ms}, {once}, {member}, 1, {product})",
        if db.sqlite_path().is_some() { "" } else { "overriding system value" }
    );
    run(db, &[&sql]).await;
    let mut tx = db.begin(Lane::Event).await.unwrap();
    outbox::put(tx.conn(), Source::Event, &[once], at_ms).await.unwrap();
    tx.commit().await.unwrap();
}

async fn learn_all(db: &Db, now_ms: i64) -> usize {
    let rules = Rules::embedded();
    let mut all = 0;
    loop {
        match learn::run_once(db, &rules, now_ms, 7).await.unwrap() {
            0 => return all,
            taken => all += taken,
        }
    }
}

/// The score of a member's tag at an instant.
async fn score(db: &Db, member: i64, key: &str, now_ms: i64) -> f64 {
    let tags = tag::of_member(db.reader().await.unwrap().conn(), member).await.unwrap();
    tags.iter().find(|tag| tag.key == key).map_or(0.0, |tag| tag.decay().score(tag.lscore, now_ms))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

both_dbs! {
    async fn an_event_becomes_a_score_that_fades(test) {
        shop(&test.db).await;
        view(&test.db, 1, 1, NOW_MS - 30 * DAY_MS, 1).await;
        view(&test.db, 1, 1, NOW_MS, 2).await;
        view(&test.db, 2, 2, NOW_MS, 3).await;
        assert_eq!(learn_all(&test.db, NOW_MS).await, 3);
        assert_eq!(count(&test.db, "outbox").await, 0);
        let fridge = "interest:refrigerator";
        assert!(near(score(&test.db, 1, fridge, NOW_MS).await, 1.5));
        assert!(near(score(&test.db, 1, fridge, NOW_MS + 60 * DAY_MS).await, 0.375));
        assert!(near(score(&test.db, 2, "brand:Nordlys", NOW_MS).await, 0.5));
        assert_eq!(score(&test.db, 2, fridge, NOW_MS).await, 0.0);
    }
}

both_dbs! {
    async fn late_events_count_as_if_they_had_come_in_time(test) {
        shop(&test.db).await;
        let ages = [90, 3, 41, 0, 17];
        for (once, age) in (1..).zip(ages) {
            view(&test.db, 1, 1, NOW_MS - age * DAY_MS, once).await;
            learn_all(&test.db, NOW_MS).await;
        }
        for (once, age) in (11..).zip([0, 3, 17, 41, 90]) {
            view(&test.db, 2, 1, NOW_MS - age * DAY_MS, once).await;
        }
        learn_all(&test.db, NOW_MS).await;
        let plain: f64 = ages.iter().map(|age| (-(*age as f64) / 30.0).exp2()).sum();
        for member in [1, 2] {
            assert!(near(score(&test.db, member, "interest:refrigerator", NOW_MS).await, plain), "member {member}");
        }
    }
}

both_dbs! {
    async fn only_peoples_clicks_teach_and_a_link_without_a_product_does_too(test) {
        shop(&test.db).await;
        let touch = |id: i64, class: &str, kind: &str, slot: i64, product: &str| {
            let forced = if test.db.sqlite_path().is_some() { "" } else { "overriding system value" };
            format!(
                "insert into touch (id, at_ms, run_id, message_id, member_id, kind, class, slot, product_id, method, agent, ip)
                 {forced} values ({id}, {NOW_MS}, 1, 1, 1, '{kind}', '{class}', {slot}, {product}, 'GET', '', '')"
            )
        };
        run(&test.db, &[
            &touch(1, "human", "click", 0, "2"),
            &touch(2, "scanner", "click", 0, "1"),
            &touch(3, "human", "open", 0, "null"),
            &touch(4, "human", "click", 3, "null"),
        ]).await;
        let mut tx = test.db.begin(Lane::Event).await.unwrap();
        outbox::put(tx.conn(), Source::Touch, &[1, 2, 3, 4], NOW_MS).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(learn_all(&test.db, NOW_MS).await, 4, "what teaches nothing leaves the outbox too");
        assert!(near(score(&test.db, 1, "interest:washer", NOW_MS).await, 2.0));
        assert!(near(score(&test.db, 1, "reads:offers", NOW_MS).await, 2.0));
        assert_eq!(count(&test.db, "tag where key like '%refrigerator'").await, 0);

        let rules = Rules::parse("[[tag]]\nkey = \"link:{link}@{campaign}\"\n[tag.on]\n\"Email Link Clicked\" = 1", "t").unwrap();
        let mut tx = test.db.begin(Lane::Event).await.unwrap();
        outbox::put(tx.conn(), Source::Touch, &[4], NOW_MS).await.unwrap();
        tx.commit().await.unwrap();
        learn::run_once(&test.db, &rules, NOW_MS, 10).await.unwrap();
        assert!(near(score(&test.db, 1, "link:care@autumn", NOW_MS + 900 * DAY_MS).await, 1.0), "never fades");

        let known = history::load(&test.db, &[1, 2], NOW_MS + DAY_MS).await.unwrap();
        assert_eq!(known[&1].viewed.iter().map(|act| act.product).collect::<Vec<_>>(), [2]);
        assert!(known[&1].tag("interest:washer") > 1.9);
        assert!(!known.contains_key(&2));
        let faded = history::load(&test.db, &[1], NOW_MS + 500 * DAY_MS).await.unwrap();
        let keys: Vec<&str> = faded[&1].tags.iter().map(|tag| &*tag.key).collect();
        assert_eq!(keys, ["link:care@autumn"], "what has faded is not there, what never fades is");
    }
}

both_dbs! {
    async fn a_death_before_the_commit_leaves_everything_waiting(test) {
        shop(&test.db).await;
        view(&test.db, 1, 1, NOW_MS, 1).await;
        // A table that refuses the effect stands for whatever kills the transaction half-way.
        run(&test.db, &["alter table member_tag rename to member_tag_away"]).await;
        assert!(learn::run_once(&test.db, &Rules::embedded(), NOW_MS, 10).await.is_err());
        assert_eq!(count(&test.db, "outbox").await, 1);
        assert_eq!(count(&test.db, "tag").await, 0);
        run(&test.db, &["alter table member_tag_away rename to member_tag"]).await;
        // A dropped transaction of PostgreSQL lets go of its rows a moment later: until then they are passed over.
        let mut learned = 0;
        for _ in 0..10_000 {
            learned += learn_all(&test.db, NOW_MS).await;
            if learned > 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(learned, 1);
        assert_eq!(learn_all(&test.db, NOW_MS).await, 0, "taken once, never again");
        assert!(near(score(&test.db, 1, "interest:refrigerator", NOW_MS).await, 1.0));
    }
}

both_dbs! {
    async fn many_learners_at_once_lose_and_double_nothing(test) {
        shop(&test.db).await;
        let all = 300;
        for once in 1..=all {
            view(&test.db, 1 + once % 3, 1 + once % 2, NOW_MS, once).await;
        }
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let db = test.db.clone();
                tokio::spawn(async move { learn_all(&db, NOW_MS).await })
            })
            .collect();
        let mut taken = 0;
        for worker in workers {
            taken += worker.await.unwrap();
        }
        taken += learn_all(&test.db, NOW_MS).await;
        assert_eq!(taken as i64, all);
        for member in 1..=3 {
            let tags = tag::of_member(test.db.reader().await.unwrap().conn(), member).await.unwrap();
            let kept = |key: &str| {
                let tag = tags.iter().find(|tag| tag.key == key).unwrap();
                Decay { ceiling: None, ..tag.decay() }.score(tag.lscore, NOW_MS)
            };
            assert!(near(kept("interest:refrigerator") + kept("interest:washer"), 100.0), "every one of 100 views, once");
            assert_eq!(score(&test.db, member, "interest:washer", NOW_MS).await, 20.0, "its ceiling");
        }
    }
}
