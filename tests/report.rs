//! A campaign's report adds up: who got it, who did not and why, what people did and what machines did.

use indicia::domain::message::MessageState as S;
use indicia::flow::report;
use indicia::queue::count::Deltas;
use indicia::store::Lane;
use indicia::store::run;

use crate::both_dbs;
use crate::support::db::TestDb;
use crate::support::site::{campaign, execute};

/// Nine messages of run 1: the counts as the queue would keep them, of two daemons.
async fn count(test: &TestDb) {
    let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
    let mut first = Deltas::default();
    first.add(1, 0, S::Queued, None, 9);
    first.moved(1, 0, (S::Queued, None), (S::Sent, None));
    first.moved(1, 0, (S::Queued, None), (S::Sent, None));
    first.moved(1, 0, (S::Queued, None), (S::Skipped, Some("suppressed")));
    first.write(tx.conn(), 1).await.unwrap();
    let mut second = Deltas::default();
    for _ in 0..2 {
        second.moved(1, 0, (S::Queued, None), (S::Sent, None));
    }
    second.moved(1, 0, (S::Queued, None), (S::Failed, Some("expired")));
    second.moved(1, 0, (S::Queued, None), (S::Bounced, Some("no_such_user")));
    second.moved(1, 0, (S::Queued, None), (S::InDoubt, None));
    second.add(1, 0, S::Queued, None, -1);
    second.add(1, 0, S::Held, None, 1);
    second.write(tx.conn(), 2).await.unwrap();
    tx.commit().await.unwrap();
}

both_dbs! {
    async fn every_number_is_told_once(test) {
        campaign(&test.db).await;
        count(&test).await;
        let touch = |message: i64, kind: &str, class: &str, slot: i64, product: &str| format!(
            "insert into touch (at_ms, run_id, message_id, member_id, kind, class, slot, product_id, method, agent, ip)
             values (9, 1, {message}, {message}, '{kind}', '{class}', {slot}, {product}, 'GET', 'x', '::1')");
        execute(&test.db, [
            "insert into run_excluded (run_id, reason, n) values (1, 'no_consent', 5), (1, 'suppressed', 0)".to_owned(),
            "insert into message (run_id, origin, member_id, provider_id, addr_key, state, armed_at_ms, attempt)
               values (1, 9, 2, 1, 999, 'in_doubt', 77, 1)".to_owned(),
            "insert into delivery (run_id, message_id, attempt, at_ms, route, stage, outcome, class, code, enhanced, text)
               values (1, 1, 1, 1, 'r', 'rcpt', 'refused', 'user', 550, '5.1.1', 'no such user')".to_owned(),
            touch(1, "open", "human", 0, "null"), touch(1, "open", "human", 0, "null"), touch(2, "open", "proxy", 0, "null"),
            touch(3, "open", "prefetch", 0, "null"), touch(1, "click", "human", 1, "null"), touch(1, "click", "human", 1, "null"),
            touch(2, "click", "human", 2, "1"), touch(3, "click", "scanner", 1, "null"), touch(2, "unsubscribe", "scanner", 0, "null"),
        ]).await;
        execute(&test.db, [
            "insert into shown (run_id, message_id, body) select run_id, id,
               '{\"v\":1,\"l\":\"en\",\"b\":0,\"p\":[[1,\"p\"],[1,\"x\"]],\"k\":[[\"for_you\",1],[\"pinned\",1]]}' from message where run_id = 1 and state = 'sent'".to_owned(),
            touch(1, "click", "human", 0x8001, "1"), touch(1, "click", "human", 0x8001, "1"), touch(2, "click", "scanner", 0x8000, "1"),
            "insert into complaint (run_id, message_id, at_ms) values (1, 3, 9)".to_owned(),
            "insert into orders (order_id, member_id, ordered_at_ms, status, currency, revenue_minor, updated_at_ms)
               values ('o1', 1, 20, 'completed', 'EUR', 1, 0)".to_owned(),
            "insert into order_line (orders_id, product_id, quantity, price_minor) values (1, 1, 1, 1)".to_owned(),
        ]).await;
        let mut reader = test.db.reader().await.unwrap();
        let run = run::by_campaign(reader.conn(), "sale-2026").await.unwrap().expect("the run");
        let report = report::report(reader.conn(), &run, 0).await.unwrap();
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["state"], "finished");
        assert_eq!(json["frozen"], 4, "what the freeze wrote down, not what was counted");
        let by_state = json["by_state"].as_object().unwrap();
        assert_eq!(by_state.len(), S::ALL.len());
        assert_eq!(by_state.values().map(|n| n.as_i64().unwrap()).sum::<i64>(), 9);
        assert_eq!((&by_state["sent"], &by_state["queued"], &by_state["held"]), (&4.into(), &0.into(), &1.into()));
        assert_eq!(json["excluded"], serde_json::json!({ "no_consent": 5 }));
        assert_eq!(json["reasons"], serde_json::json!({ "expired": 1, "no_such_user": 1, "suppressed": 1 }));
        assert_eq!(json["in_doubt"][0]["email"], "two@example.com");
        assert_eq!(json["in_doubt"].as_array().unwrap().len(), 1);
        assert_eq!(json["opens"], serde_json::json!({ "human": 1, "proxy": 1, "prefetch": 1, "scanner": 0 }));
        assert_eq!(json["clicks"], serde_json::json!({ "human": 2, "proxy": 0, "prefetch": 0, "scanner": 2 }));
        assert_eq!((&json["opens_total"], &json["clicks_total"], &json["unsubscribed"]), (&4.into(), &7.into(), &1.into()));
        assert_eq!((report.rates.delivered, report.rates.clicked, report.rates.bounced), (4, Some(0.5), Some(0.2)));
        assert_eq!(json["variants"][0]["name"], "a");
        assert_eq!(json["variants"][0]["clicked"], 2);
        assert_eq!((report.complaints, report.rates.complained), (1, Some(0.25)));
        assert_eq!((report.variants[0].complaints, report.variants[0].rates.complained), (1, Some(0.25)));
        assert_eq!(json["templates"], serde_json::json!([{ "template": "sale", "version": 1, "n": 4 }]));
        assert_eq!((report.links[0].label.as_str(), report.links[0].people), ("sale", 1));
        assert_eq!((report.products[0].sku.as_str(), report.products[0].people), ("A", 2));
        let told: Vec<_> = report.blocks.iter().map(|b| (b.strategy.as_str(), b.slot, b.shown, b.clicked, b.bought)).collect();
        assert_eq!(told, [("for_you", 1, 4, 0, 0), ("pinned", 1, 4, 1, 1)]);
        assert_eq!((report.refusals[0].code, report.refusals[0].n), (Some(550), 1));
    }
}

both_dbs! {
    async fn before_anything_happened_nothing_is_claimed(test) {
        campaign(&test.db).await;
        execute(&test.db, ["update run set state = 'freezing', frozen_n = null".to_owned()]).await;
        let mut reader = test.db.reader().await.unwrap();
        assert_eq!(run::by_campaign(reader.conn(), "other").await.unwrap(), None);
        let run = run::by_campaign(reader.conn(), "sale-2026").await.unwrap().unwrap();
        let report = report::report(reader.conn(), &run, 0).await.unwrap();
        assert_eq!((report.progress.frozen, report.rates.clicked, report.in_doubt.len()), (0, None, 0));
    }
}
