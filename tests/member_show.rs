//! `indicia member show`: what the daemon knows of a member, and why.

use indicia::base::World;
use indicia::domain::address::Email;
use indicia::domain::shown::Shown;
use indicia::domain::tagging::Rules;
use indicia::flow::learn;
use indicia::store::deed::Source;
use indicia::store::{Lane, outbox, setting};

use crate::both_dbs;
use crate::support::daemon::Home;
use crate::support::db::TestDb;
use crate::support::sql::run;

const MINUTE_MS: i64 = 60_000;

fn home(test: &TestDb) -> Home {
    match test.db.sqlite_path() {
        Some(_) => Home::new(&format!("[database]\nurl = \"{}\"\n", test.url)),
        None => Home::on_postgres(&test.url, ""),
    }
}

/// Anna, who looked at a refrigerator a minute ago, bought a washer, and clicked in one mail.
async fn anna(test: &TestDb, world: &World) {
    let now = world.now_ms();
    let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
    let secret = setting::addr_secret(tx.conn(), world).await.unwrap();
    tx.commit().await.unwrap();
    let key = secret.key(&Email::parse("anna@example.com").unwrap());
    let shown = Shown {
        template_version: 1,
        locale: "en".into(),
        balance: 1200,
        products: vec![(1, "i".into())],
        ..Shown::default()
    };
    run(&test.db, &[
        "insert into provider (name) values ('other')",
        &format!("insert into member (email, addr_key, first_name, provider_id, lot, market, points, orders, created_at_ms, updated_at_ms)
                  values ('Anna@example.com', {key}, 'Anna', 1, 5, 'de', 1200, 1, 0, 0)"),
        &format!("insert into consent (member_id, topic, state, at_ms) values (1, 'offers', 'granted', {now})"),
        &format!("insert into suppression (addr_key, scope, reason, source, at_ms) values ({key}, 'news', 'manual', 'desk', {now})"),
        "insert into event_name (name) values ('Product Viewed')",
        "insert into product (sku, name, category, brand, url, created_at_ms, updated_at_ms) values
         ('F1', 'Frost 1', 'kitchen/refrigerator', 'Aurelia', 'https://shop.example/f1', 0, 0),
         ('W1', 'Wave 1', 'bath/washer', 'Nordlys', 'https://shop.example/w1', 0, 0)",
        "insert into campaign (name, created_at_ms) values ('autumn', 0)",
        "insert into run (campaign_id, scheduled_for_ms, state, seed, doc, created_at_ms) values (1, 0, 'finished', 1, '{}', 0)",
        "insert into message (run_id, origin, provider_id, member_id, state, sent_at_ms) values (1, 1, 1, 1, 'sent', 5)",
        &format!("insert into shown (run_id, message_id, body) values (1, 1, '{}')", shown.to_json()),
        &format!("insert into orders (order_id, member_id, ordered_at_ms, status, currency, revenue_minor, updated_at_ms)
                  values ('A-7', 1, {now}, 'completed', 'EUR', 45990, 0)"),
        "insert into order_line (orders_id, product_id, quantity, price_minor) values (1, 2, 1, 45990)",
        &format!("insert into event (at_ms, dedup, member_id, name_id, product_id) values ({}, 1, 1, 1, 1)", now - MINUTE_MS),
        &format!("insert into touch (at_ms, run_id, message_id, member_id, kind, class, product_id, method, agent, ip)
                  values ({now}, 1, 1, 1, 'click', 'human', 1, 'GET', '', ''), ({now}, 1, 1, 1, 'open', 'scanner', null, 'GET', '', '')"),
    ]).await;
    let mut tx = test.db.begin(Lane::Event).await.unwrap();
    outbox::put(tx.conn(), Source::Event, &[1], now).await.unwrap();
    outbox::put(tx.conn(), Source::Touch, &[1], now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(learn::run_once(&test.db, &Rules::embedded(), now, 100).await.unwrap(), 2);
}

both_dbs! {
    async fn a_member_is_shown_with_tags_and_the_events_behind_them(test) {
        let world = World::system();
        anna(&test, &world).await;
        let home = home(&test);
        let shown = home.json(&["member", "show", "ANNA@example.com"]);
        assert_eq!((&shown["email"], &shown["points"]), (&"Anna@example.com".into(), &1200.into()));
        assert_eq!(shown["topics"][0]["state"], "granted");
        assert_eq!(shown["suppressions"][0]["scope"], "news");

        let fridge = &shown["tags"][0];
        assert_eq!(fridge["key"], "interest:refrigerator");
        let score = fridge["score"].as_f64().unwrap();
        assert!((2.99..3.01).contains(&score), "a click weighs 2, a look 1: {fridge}");
        let events: Vec<_> = fridge["events"].as_array().unwrap().iter().map(|event| event["name"].clone()).collect();
        assert_eq!(events, ["Email Link Clicked", "Product Viewed"], "the latest first");
        assert_eq!((&fridge["events"][0]["campaign"], &fridge["events"][1]["sku"]), (&"autumn".into(), &"F1".into()));
        let worth: f64 = fridge["events"].as_array().unwrap().iter().map(|event| event["worth"].as_f64().unwrap()).sum();
        assert!((worth - score).abs() < 1e-3, "the events add up to the score");

        let mail = &shown["mails"][0];
        assert_eq!((&mail["campaign"], &mail["state"], &mail["balance"]), (&"autumn".into(), &"sent".into(), &1200.into()));
        assert_eq!((&mail["clicks"]["human"], &mail["opens"]["scanner"]), (&1.into(), &1.into()));
        assert_eq!((&mail["products"][0]["why"], &mail["products"][0]["on"]), (&"interest".into(), &"refrigerator".into()));
        assert_eq!(shown["latest_orders"][0]["revenue"]["minor"], 45990);

        let words = home.done(&["member", "show", "anna@example.com"]).stdout;
        for said in ["interest:refrigerator", "Email Link Clicked of Frost 1 in autumn", "clicks: 1 human",
                     "F1 Frost 1 because interest refrigerator", "459.90 EUR  1 × Wave 1", "offers"] {
            assert!(words.contains(said), "{said:?} is missing:\n{words}");
        }

        let nobody = home.run(&["member", "show", "nobody@example.com"]);
        assert_eq!(nobody.code, 1);
        assert!(nobody.stderr.contains("no member has the address") && nobody.stderr.contains("fix:"), "{}", nobody.stderr);
        let wrong = home.run(&["member", "show", "nobody"]);
        assert!(wrong.code == 1 && wrong.stderr.contains("has no @"), "{}", wrong.stderr);
    }
}
