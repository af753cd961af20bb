//! Segments in the database: saved under names, counted and guessed, explained, put into a statement, and looked up by
//! the right index.

use std::time::Duration;

use indicia::domain::segment::parse;
use indicia::on;
use indicia::store::segment::{
    Bind, Leaf, LeafValue, SegmentFault, compile, count, count_sample, explain, has, latest, list, resolve, sample,
    save,
};
use indicia::store::{Conn, Db, Lane, StoreError};

use crate::both_dbs;

const NOW_MS: i64 = 1_780_000_000_000;

async fn run(conn: Conn<'_>, sql: &'static str) {
    on!(conn, "fill a test's table", c => sqlx::raw_sql(sql).execute(&mut *c).await.map(|_| ())).unwrap();
}

/// `n` members with points 0 … n − 1, their lots spread evenly.
async fn members(db: &Db, n: i64) {
    let mut tx = db.begin(Lane::Bulk).await.unwrap();
    let conn = tx.conn();
    let sql = "with recursive up(id) as (select 1 union all select id + 1 from up where id < $1)
        insert into member (email, addr_key, provider_id, lot, points, created_at_ms, updated_at_ms)
        select 'm@x.example', id, 1, (id - 1) * (2147483647 / $1), id - 1, 0, 0 from up";
    on!(conn, "fill a test's table", c => sqlx::query(sql).bind(n).execute(&mut *c).await.map(|_| ())).unwrap();
    tx.commit().await.unwrap();
}

both_dbs! {
    async fn a_saved_segment_keeps_its_versions_and_never_stands_in_itself(test) {
        members(&test.db, 10).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        let first = save(tx.conn(), "rich", &parse("points >= 5").unwrap(), 1).await.unwrap();
        assert_eq!(save(tx.conn(), "rich", &parse("points>=5").unwrap(), 2).await.unwrap(), first);
        let second = save(tx.conn(), "rich", &parse("points >= 8").unwrap(), 3).await.unwrap();
        assert_eq!((first.version, second.version), (1, 2));
        let outer = parse("not in_segment(\"rich\")").unwrap();
        save(tx.conn(), "poor", &outer, 4).await.unwrap();
        assert_eq!(list(tx.conn()).await.unwrap().iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["poor", "rich"]);
        assert_eq!(latest(tx.conn(), "rich").await.unwrap().unwrap().expr, "points >= 8");

        let resolved = resolve(tx.conn(), &outer).await.unwrap();
        assert_eq!(resolved.segment.to_string(), "not points >= 8");
        assert_eq!(count(tx.conn(), &resolved, NOW_MS).await.unwrap(), 8);

        let circle = parse("points = 1 or in_segment(\"poor\")").unwrap();
        let error = save(tx.conn(), "rich", &circle, 5).await.unwrap_err();
        assert_eq!(error.to_string(), "segments that stand in each other: rich in poor in rich");
        let error = resolve(tx.conn(), &parse("in_segment(\"rihc\")").unwrap()).await.unwrap_err();
        assert!(error.to_string().ends_with("did you mean \"rich\"?"), "{error}");
        let error = save(tx.conn(), "", &outer, 5).await.unwrap_err();
        assert!(matches!(error, SegmentFault::Name { .. }));
    }
}

both_dbs! {
    async fn a_hundredth_part_guesses_the_size_and_tells_how_sure(test) {
        members(&test.db, 20_000).await;
        let mut reader = test.db.reader().await.unwrap();
        for (text, exact) in [("points < 5000", 5_000), ("true", 20_000), ("points < 0", 0)] {
            let resolved = resolve(reader.conn(), &parse(text).unwrap()).await.unwrap();
            assert_eq!(count(reader.conn(), &resolved, NOW_MS).await.unwrap(), exact);
            let guess = count_sample(reader.conn(), &resolved, NOW_MS).await.unwrap();
            assert!(guess.sample >= 190 && guess.low <= guess.n && guess.n <= guess.high, "{text}: {guess:?}");
            assert!(guess.high - guess.low < 3_000, "{text}: {guess:?}");
        }
        // Points rise with lots here: the sample holds the lowest points and is wrong by intent, but the same each
        // time.
        let resolved = resolve(reader.conn(), &parse("points >= 100").unwrap()).await.unwrap();
        let ids = sample(reader.conn(), &resolved, NOW_MS, 3).await.unwrap();
        assert_eq!(ids, [101, 102, 103]);
        // A bucket is a permutation of lots, so it cuts across them.
        let resolved = resolve(reader.conn(), &parse("bucket(salt: \"spring\") < 10%").unwrap()).await.unwrap();
        let n = count(reader.conn(), &resolved, NOW_MS).await.unwrap();
        assert!((1_800..2_200).contains(&n), "{n} of 20000 fell into 10 %");
    }
}

both_dbs! {
    async fn every_condition_is_explained_with_the_members_value(test) {
        members(&test.db, 2).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        run(tx.conn(), "insert into tag (key, half_life_ms) values ('vip', null);
            insert into member_tag (tag_id, member_id, lscore, updated_at_ms) select id, 2, 0.0, 0 from tag;
            insert into attribute (name) values ('city');
            insert into event_name (name) values ('Product Viewed');
            insert into event (at_ms, dedup, member_id, name_id) select 1779999999000, 1, 2, id from event_name").await;
        let text = "points >= 5 or not (tag(\"vip\") < 0.5 and attr.city = \"Perm\") or did(\"Product Viewed\", last: 1d) \
            or last(\"Product Viewed\") < now() or last_order_at is set or tag(\"vpi\") > 1";
        let resolved = resolve(tx.conn(), &parse(text).unwrap()).await.unwrap();
        assert_eq!(resolved.notes, ["nobody has the tag \"vpi\"; did you mean \"vip\"?"]);
        assert!(has(tx.conn(), &resolved, NOW_MS, 2).await.unwrap());
        let leaves = explain(tx.conn(), &resolved, NOW_MS, 2).await.unwrap();
        let leaf = |expr: &str, holds, value| Leaf { expr: expr.to_owned(), holds, value };
        assert_eq!(leaves, [
            leaf("points >= 5", false, Some(LeafValue::Number(1.0))),
            leaf("tag(\"vip\") < 0.5", false, Some(LeafValue::Number(1.0))),
            leaf("attr.city = \"Perm\"", false, Some(LeafValue::Unset)),
            leaf("did(\"Product Viewed\", last: 1d)", true, Some(LeafValue::Number(1.0))),
            leaf("last(\"Product Viewed\") < now()", true, Some(LeafValue::Instant(1_779_999_999_000))),
            leaf("last_order_at is set", false, Some(LeafValue::Unset)),
            leaf("tag(\"vpi\") > 1", false, Some(LeafValue::Number(0.0))),
        ]);
    }
}

both_dbs! {
    async fn a_predicate_stands_in_a_callers_statement_behind_its_own_binds(test) {
        members(&test.db, 100).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        let resolved = resolve(tx.conn(), &parse("points in [3, 50, 51, 99.5] and not market = \"x\"").unwrap()).await.unwrap();
        let insert = compile(&tx.conn(), &resolved, NOW_MS, 4).fill(
            "insert into consent (member_id, topic, state, at_ms)
             select m.id, $3, 'granted', 0 from member m where m.id > $1 and m.id <= $2 and {where} returning 1",
            &[Bind::Int(10), Bind::Int(100), Bind::Text("offers".to_owned())],
        );
        assert_eq!(insert.rows::<(i32,)>(tx.conn()).await.unwrap().len(), 2);
        let granted = resolve(tx.conn(), &parse("consent(\"offers\")").unwrap()).await.unwrap();
        assert_eq!(sample(tx.conn(), &granted, NOW_MS, 9).await.unwrap(), [51, 52]);
    }
}

both_dbs! {
    async fn what_is_typed_is_bound_and_never_becomes_sql(test) {
        members(&test.db, 3).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        let text = "market = \"'; drop table member; --\" or attr.\"') or 1=1 --\" is set or tag(\"' or ''='\") >= 0.5 \
            or did(\"$1\", category: \"{where}\")";
        let resolved = resolve(tx.conn(), &parse(text).unwrap()).await.unwrap();
        let predicate = compile(&tx.conn(), &resolved, NOW_MS, 1);
        assert!(!predicate.sql.contains("drop") && !predicate.sql.contains("''=") && !predicate.sql.contains("{where}"));
        assert_eq!(count(tx.conn(), &resolved, NOW_MS).await.unwrap(), 0);
    }
}

/// On SQLite no leaf may scan a table, or take an index that does not start with the member: a freeze asks it once per
/// member of a range.
#[tokio::test]
async fn sqlite_answers_every_leaf_by_an_index_of_the_member() {
    let test = crate::support::db::sqlite().await;
    let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
    run(
        tx.conn(),
        "insert into tag (key) values ('t'); insert into attribute (name) values ('a');
        insert into event_name (name) values ('Product Viewed'), ('Order Completed');
        insert into campaign (name, created_at_ms) values ('c', 0)",
    )
    .await;
    for (text, index) in [
        ("tag(\"t\") >= 0.5", "SEARCH t USING PRIMARY KEY (tag_id=? AND member_id=?)"),
        ("attr.a >= 5", "SEARCH a USING PRIMARY KEY (member_id=? AND attribute_id=?)"),
        ("did(\"Product Viewed\", last: 7d)", "SEARCH e USING INDEX event_member (member_id=? AND at_ms>?)"),
        (
            "count(\"Product Viewed\", category: \"x\") >= 2",
            "SEARCH e USING COVERING INDEX event_product (member_id=?)",
        ),
        (
            "viewed(product: \"x\", last: 7d, not_bought: true)",
            "SEARCH b USING COVERING INDEX event_product (member_id=? AND at_ms>?)",
        ),
        ("viewed(brand: \"x\", last: 7d)", "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)"),
        ("opened(last: 7d)", "SEARCH u USING INDEX touch_member (member_id=? AND at_ms>?)"),
        ("clicked(campaign: \"c\")", "SEARCH u USING INDEX touch_member (member_id=?)"),
        ("received(last: 7d)", "SEARCH x USING INDEX message_once (run_id=? AND origin=? AND seq=?)"),
        ("consent(\"x\")", "SEARCH c USING PRIMARY KEY (member_id=? AND topic=?)"),
        ("reachable()", "SEARCH s USING PRIMARY KEY (addr_key=? AND scope=?)"),
        ("suppressed()", "SEARCH s USING PRIMARY KEY (addr_key=? AND scope=?)"),
    ] {
        let resolved = resolve(tx.conn(), &parse(text).unwrap()).await.unwrap();
        let plan: Vec<(i64, i64, i64, String)> = compile(&tx.conn(), &resolved, NOW_MS, 3)
            .fill(
                "explain query plan select m.id from member m where m.id > $1 and m.id <= $2 and {where}",
                &[Bind::Int(0), Bind::Int(1000)],
            )
            .rows(tx.conn())
            .await
            .unwrap();
        let plan: Vec<String> = plan.into_iter().map(|(.., step)| step.replace(" EXISTS", "")).collect();
        assert_eq!(plan[0], "SEARCH m USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "{text}");
        let scans = plan.iter().filter(|step| step.starts_with("SCAN") && *step != "SCAN r").count();
        assert!(scans == 0 && plan.iter().any(|step| step == index), "{text} is answered by\n{plan:#?}");
    }
}

both_dbs! {
    async fn the_largest_segments_still_run(test) {
        members(&test.db, 3).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        run(tx.conn(), "insert into event_name (name) values ('Product Viewed'), ('Order Completed')").await;
        let many = |leaf: &str, n: usize, by: &str| vec![leaf; n].join(by);
        let deep = format!("{} points = 1", "not ".repeat(38));
        let half = many("viewed(last: 7d, not_bought: true)", 155, " or ");
        save(tx.conn(), "half", &parse(&half).unwrap(), 1).await.unwrap();
        for (text, wanted) in [
            (many("not viewed(last: 7d, brand: \"b\")", 120, " and "), 3),
            (many("viewed(last: 7d)", 245, " and "), 0),
            (many("points = 1", 160, " or "), 1),
            (format!("points in [{}]", many("1", 490, ", ")), 1),
            (many("in_segment(\"half\")", 5, " or "), 0),
            (format!("points{} > 0", many(" * points", 8, "")), 2),
            (deep, 1),
        ] {
            let resolved = resolve(tx.conn(), &parse(&text).unwrap()).await.unwrap();
            assert_eq!(count(tx.conn(), &resolved, NOW_MS).await.unwrap(), wanted, "{}", &text[..60.min(text.len())]);
        }
        let error = resolve(tx.conn(), &parse(&many("in_segment(\"half\")", 6, " and ")).unwrap()).await;
        assert_eq!(error.unwrap_err().to_string(), "with the segments it names it has more than 800 parts");
    }
}

both_dbs! {
    async fn a_segment_that_takes_for_ever_is_ended_and_its_connection_goes_on(test) {
        members(&test.db, 2_000).await;
        let mut reader = test.db.reader().await.unwrap();
        let resolved = resolve(reader.conn(), &parse("points >= 0").unwrap()).await.unwrap();
        let endless = compile(&reader.conn(), &resolved, NOW_MS, 1)
            .fill("select count(*) from member m, member b, member c, member d where {where} and b.lot < c.lot + d.lot", &[])
            .within(Duration::from_millis(50));
        for _ in 0..2 {
            let error = endless.row::<(i64,)>(reader.conn()).await.unwrap_err();
            assert!(matches!(error, StoreError::TooLong { seconds: 0.05, .. }), "{error}");
            assert!(error.to_string().contains("took more than 0.05 s and was ended; give its conditions a `within`"), "{error}");
            assert_eq!(count(reader.conn(), &resolved, NOW_MS).await.unwrap(), 2_000);
        }
        // Within a transaction what came before it is still there.
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        save(tx.conn(), "rich", &parse("points >= 5").unwrap(), 1).await.unwrap();
        endless.row::<(i64,)>(tx.conn()).await.unwrap_err();
        tx.commit().await.unwrap();
        assert!(latest(reader.conn(), "rich").await.unwrap().is_some());
    }
}

both_dbs! {
    async fn what_a_member_did_is_counted_no_further_than_asked(test) {
        members(&test.db, 3).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        run(tx.conn(), "insert into event_name (name) values ('Product Viewed');
            insert into event (at_ms, dedup, member_id, name_id) values (1, 1, 2, 1), (2, 2, 2, 1), (3, 3, 3, 1)").await;
        tx.commit().await.unwrap();
        let mut reader = test.db.reader().await.unwrap();
        for (text, n) in [("2", 1), ("1", 2), ("3", 0)] {
            let parsed = parse(&format!("did(\"Product Viewed\", at_least: {text})")).unwrap();
            let resolved = resolve(reader.conn(), &parsed).await.unwrap();
            assert_eq!(count(reader.conn(), &resolved, NOW_MS).await.unwrap(), n, "{text}");
        }
    }
}
