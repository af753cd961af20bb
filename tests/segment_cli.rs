//! `indicia segment`: counts, explanations, saved segments, and what a typing error is told.

use indicia::base::World;
use indicia::domain::address::Email;
use indicia::domain::member::Member;
use indicia::store::{Db, Lane, OpenOptions, member, setting};

use crate::support::daemon::Home;

/// A home whose database holds three members with 0, 500 and 1000 points.
async fn home() -> Home {
    let home = Home::new("[database]\nurl = \"sqlite://shop.db\"\n");
    let url = format!("sqlite://{}", home.path().join("shop.db").display());
    let db = Db::open(&url, &OpenOptions::default()).await.unwrap();
    db.migrate().await.unwrap();
    let mut tx = db.begin(Lane::Bulk).await.unwrap();
    let secret = setting::addr_secret(tx.conn(), &World::system()).await.unwrap();
    let emails = ["anna@x.example", "boris@x.example", "chen@x.example"].map(|email| Email::parse(email).unwrap());
    let new: Vec<member::NewMember> = emails
        .iter()
        .zip([0, 500, 1000])
        .map(|(email, points)| {
            let (email, addr_key) = (email.as_str().to_owned(), secret.key(email));
            member::NewMember {
                profile: Member { email, addr_key, points, ..Member::default() },
                provider_id: 1,
                lot: points,
            }
        })
        .collect();
    member::insert(tx.conn(), &new, 0).await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;
    home
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_is_counted() {
    let home = home().await;
    assert_eq!(home.done(&["segment", "count", "points >= 500"]).stdout, "2 members\n");
    let counted = home.json(&["segment", "count", "points>=500 AND NOT has_tag(\"vip\")"]);
    assert_eq!(counted["count"], 2);
    assert_eq!(counted["exact"], true);
    assert_eq!(counted["segment"], "points >= 500 and not has_tag(\"vip\")");
    assert_eq!(counted["notes"][0], "nobody has the tag \"vip\"");
    let guessed = home.json(&["segment", "count", "--sample", "points >= 500"]);
    assert_eq!(guessed["exact"], false);
    assert!(guessed["low"].as_i64() <= guessed["high"].as_i64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_explained() {
    let home = home().await;
    let why = home.json(&["segment", "explain", "points >= 600 or market is set", "--member", "BORIS@x.example"]);
    assert_eq!(why["in_segment"], false);
    assert_eq!(why["conditions"][0], serde_json::json!({"condition": "points >= 600", "holds": false, "value": 500.0}));
    assert_eq!(why["conditions"][1], serde_json::json!({"condition": "market is set", "holds": false, "value": null}));
    let words = home.done(&["segment", "explain", "points >= 600", "--member", "chen@x.example"]).stdout;
    assert_eq!(words, "chen@x.example is in points >= 600\n  yes  points >= 600   (1000)\n");
    let stranger = home.run(&["segment", "explain", "points >= 600", "--member", "dora@x.example"]);
    assert_eq!(stranger.code, 1);
    assert!(stranger.stderr.contains("no live member with the address dora@x.example"), "{}", stranger.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_segment_stands_in_others() {
    let home = home().await;
    assert_eq!(home.json(&["segment", "save", "rich", "points > 400"])["version"], 1);
    assert_eq!(home.json(&["segment", "save", "rich", "points > 600"])["version"], 2);
    assert_eq!(home.done(&["segment", "count", "in_segment(\"rich\")"]).stdout, "1 member\n");
    assert_eq!(home.done(&["segment", "list"]).stdout, "rich (version 2): points > 600\n");
    let refused = home.run(&["segment", "save", "rich", "not in_segment(\"rich\")"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("rich in rich"), "{}", refused.stderr);
    let refused = home.run(&["segment", "save", "poor", "not in_segment(\"rihc\")"]);
    assert!(refused.code == 1 && refused.stderr.contains("did you mean \"rich\"?"), "{}", refused.stderr);
    assert_eq!(home.done(&["segment", "list", "--json"]).stdout.lines().count(), 1, "what was refused is not kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typing_error_fails_with_its_place_and_counts_nothing() {
    let home = home().await;
    for arguments in [
        &["segment", "count", "orders = 0 and pionts >= 500"][..],
        &["segment", "count", "orders = 0 and pionts >= 500", "--json"],
        &["segment", "explain", "orders = 0 and pionts >= 500", "--member", "anna@x.example"],
        &["segment", "save", "x", "orders = 0 and pionts >= 500"],
    ] {
        let ran = home.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        let told = "error: 1:16: `pionts` is not a field; did you mean `points`?\n  \
                    orders = 0 and pionts >= 500\n                 ^^^^^^\n";
        assert_eq!(ran.stderr, told);
    }
}
