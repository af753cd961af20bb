//! The recommender's tables: built from orders and looks, swapped in whole, a build cut short goes on where it was.

use std::sync::atomic::{AtomicI64, Ordering};

use indicia::base::World;
use indicia::domain::member::Member;
use indicia::domain::recommend::care::Cares;
use indicia::domain::recommend::tables::Tables;
use indicia::domain::recommend::{Occasion, Request, Sitting, Why, pick};
use indicia::flow::relate::{self, RelateError};
use indicia::store::{Db, catalog, history, recommend};

use crate::both_dbs;
use crate::support::daemon::Home;
use crate::support::sql;

const DAY_MS: i64 = 86_400_000;
const MAIL: Occasion = Occasion { run: 1, message: 1, now_ms: NOW_MS };
const NOW_MS: i64 = 1_790_000_000_000;

/// Members 1, 41, 81 … buy an oven (product 1), and three of four of them a hood (2) a month later; others buy pans.
async fn fill(db: &Db) {
    let mut sql = vec![
        "insert into product (sku, name, category, url, created_at_ms, updated_at_ms) values
         ('OVEN', 'Oven', 'kitchen/oven', 'https://shop.example/1', 1, 5), ('HOOD', 'Hood', 'kitchen/hood', 'https://shop.example/2', 2, 5),
         ('PAN', 'Pan', 'table/pan', 'https://shop.example/3', 3, 5), ('POT', 'Pot', 'table/pot', 'https://shop.example/4', 4, 5)"
            .to_owned(),
        "insert into product_market (product_id, market, price_minor, currency, updated_at_ms)
         select id, '', 1000, 'EUR', 5 from product"
            .to_owned(),
        "insert into event_name (name) values ('Product Viewed')".to_owned(),
    ];
    let mut order = 0;
    let mut buy = |member: i64, product: i64, days: i64| {
        order += 1;
        let at = NOW_MS - days * DAY_MS;
        format!("insert into orders (order_id, member_id, ordered_at_ms, status, currency, revenue_minor, updated_at_ms)
                 values ('o{order}', {member}, {at}, 'completed', 'EUR', 0, 0);
                 insert into order_line (orders_id, product_id, quantity, price_minor) values ({order}, {product}, 1, 1)")
    };
    for nth in 0..200 {
        let member = 1 + 40 * nth;
        let bought = match nth % 4 {
            0 => vec![(3, 90), (4, 20)],
            1 => vec![(1, 130)],
            _ => vec![(1, 100), (2, 70)],
        };
        for (product, days) in bought {
            sql.extend(buy(member, product, days).split(';').map(str::to_owned));
        }
        sql.push(format!(
            "insert into event (at_ms, dedup, member_id, name_id, product_id) values
             ({0}, {member}, {member}, 1, 3), ({0}, {member} + 100000, {member}, 1, 4)",
            NOW_MS - 3 * DAY_MS - nth
        ));
    }
    sql.push(
        "insert into member (addr_key, provider_id, lot, created_at_ms, updated_at_ms, id) overriding system value values (1, 1, 1, 0, 0, 7961)"
            .to_owned(),
    );
    let sqlite = db.sqlite_path().is_some();
    let sql: Vec<String> =
        sql.into_iter().map(|text| if sqlite { text.replace("overriding system value ", "") } else { text }).collect();
    sql::run(db, &sql.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

async fn current(db: &Db) -> Option<Tables> {
    let mut reader = db.reader().await.unwrap();
    let (build, _) = recommend::newest(reader.conn()).await.unwrap()?;
    Some(Tables::from_bytes(&recommend::get(reader.conn(), build, recommend::TABLES).await.unwrap()).unwrap())
}

both_dbs! {
    async fn what_goes_together_is_shown_with_its_reason(test) {
        fill(&test.db).await;
        let world = World::seeded(1, NOW_MS);
        assert!(relate::is_due(&test.db, NOW_MS, DAY_MS).await.unwrap());
        let before = catalog::version(test.db.reader().await.unwrap().conn(), NOW_MS).await.unwrap();
        let built = relate::build(&test.db, &world, &|_| ()).await.unwrap();
        assert_eq!(current(&test.db).await.as_ref(), Some(&built), "what was kept is what was built");
        assert!(!relate::is_due(&test.db, NOW_MS + DAY_MS - 1, DAY_MS).await.unwrap());
        assert!(relate::is_due(&test.db, NOW_MS + DAY_MS, DAY_MS).await.unwrap());

        let mut reader = test.db.reader().await.unwrap();
        assert_ne!(catalog::version(reader.conn(), NOW_MS).await.unwrap(), before, "daemons load it within seconds");
        let loaded = catalog::load(reader.conn(), &Cares::embedded(), NOW_MS).await.unwrap();
        // Member 41 bought the oven 130 days ago, and no hood.
        let known = history::load(&test.db, &[41], NOW_MS).await.unwrap();
        let member = Member { id: 41, ..Member::default() };
        let picks = pick(&loaded, &member, &known[&41], &Request { n: 3, ..Request::default() }, &mut Sitting::default(), MAIL);
        let hood = picks.iter().find(|pick| pick.product == 2).unwrap_or_else(|| panic!("no hood: {picks:?}"));
        assert_eq!((hood.reason.why, hood.reason.on.as_deref()), (Why::Bought, Some("oven")));
    }
}

both_dbs! {
    async fn what_follows_a_purchase_is_shown_when_its_time_has_come(test) {
        fill(&test.db).await;
        let built = relate::build(&test.db, &World::seeded(1, NOW_MS), &|_| ()).await.unwrap();
        let told: Vec<_> = built.follows.iter().map(|f| (f.from.as_str(), f.to.as_str(), f.lag_ms / DAY_MS)).collect();
        assert_eq!(told, [("kitchen/oven", "kitchen/hood", 45), ("table/pan", "table/pot", 75)], "{:?}", built.follows);
        assert!((built.follows[0].lift - 4.0 / 3.0).abs() < 1e-5, "{:?}", built.follows);
        // A hood that came since, of which no purchase tells.
        sql::run(&test.db, &["insert into product (sku, name, category, url, created_at_ms, updated_at_ms) values
            ('NEWER', 'Hood', 'kitchen/hood', 'https://shop.example/5', 9, 9)",
            "insert into product_market (product_id, market, price_minor, currency, updated_at_ms) values (5, '', 1000, 'EUR', 9)"]).await;
        let mut reader = test.db.reader().await.unwrap();
        let loaded = catalog::load(reader.conn(), &Cares::embedded(), NOW_MS).await.unwrap();
        let known = history::load(&test.db, &[41], NOW_MS).await.unwrap();
        let member = Member { id: 41, ..Member::default() };
        let picks = pick(&loaded, &member, &known[&41], &Request { n: 4, ..Request::default() }, &mut Sitting::default(), MAIL);
        let newer = picks.iter().find(|pick| pick.product == 5).unwrap_or_else(|| panic!("no new hood: {picks:?}"));
        assert_eq!((newer.reason.why, newer.reason.on.as_deref()), (Why::Next, Some("oven")));
    }
}

/// Builds until most members are walked and checkpoints were written, and is then dropped.
async fn cut_short(db: &Db, world: &World) {
    let seen = AtomicI64::new(0);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stop = std::sync::Mutex::new(Some(stop));
    let cut = |progress: relate::Progress| {
        seen.store(progress.members, Ordering::SeqCst);
        // Minutes pass with every chunk: each is followed by a checkpoint.
        world.advance(61_000);
        if progress.members >= 6000 {
            drop(stop.lock().unwrap().take());
        }
    };
    tokio::select! {
        biased;
        _ = stopped => {}
        _ = relate::build(db, world, &cut) => panic!("it was to be cut short"),
    }
    assert!((6000..7961).contains(&seen.load(Ordering::SeqCst)), "some are left");
}

both_dbs! {
    async fn a_build_cut_short_goes_on_and_ends_the_same(test) {
        fill(&test.db).await;
        let whole = relate::build(&test.db, &World::seeded(1, NOW_MS), &|_| ()).await.unwrap();

        let world = World::seeded(1, NOW_MS);
        cut_short(&test.db, &world).await;
        assert_eq!(current(&test.db).await.as_ref(), Some(&whole), "the tables before still count");
        assert!(matches!(relate::build(&test.db, &world, &|_| ()).await, Err(RelateError::UnderWay { .. })), "it may yet live");

        world.advance(600_000);
        let first = std::sync::Mutex::new(None);
        let resumed = relate::build(&test.db, &world, &|progress| {
            first.lock().unwrap().get_or_insert(progress);
        }).await.unwrap();
        let first = first.into_inner().unwrap().unwrap();
        assert!(first.resumed && first.members >= 6000, "{first:?}");
        assert_eq!(resumed, whole, "as if it had never been cut");
        assert_eq!(sql::count(&test.db, "recommend_build").await, 1);
        assert_eq!(sql::count(&test.db, "recommend_piece where part <> 0").await, 0, "nothing is left over");
    }
}

both_dbs! {
    async fn a_checkpoint_that_cannot_be_read_is_left_and_all_counted_anew(test) {
        fill(&test.db).await;
        let world = World::seeded(1, NOW_MS);
        cut_short(&test.db, &world).await;
        // The first of two units of each checkpoint (the last one may have been cut short beside the one before): what
        // another version wrote has none of the second.
        assert!(sql::count(&test.db, "recommend_piece where seq = 65536").await >= 1);
        sql::run(&test.db, &["delete from recommend_piece where seq = 65536"]).await;
        world.advance(600_000);
        let first = std::sync::Mutex::new(None);
        let built = relate::build(&test.db, &world, &|progress| {
            first.lock().unwrap().get_or_insert(progress);
        }).await.unwrap();
        let first = first.into_inner().unwrap().unwrap();
        assert!(!first.resumed && first.members < 6000, "{first:?}");
        assert!(built.bought.pairs() > 0);
        assert_eq!(sql::count(&test.db, "recommend_build").await, 1);
        assert_eq!(sql::count(&test.db, "recommend_piece where part <> 0").await, 0, "nothing is left over");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_builds_and_a_daemon_builds_on_its_own() {
    let home = Home::new("[database]\nurl = \"sqlite://shop.db\"\n[recommend]\nbuild_every = \"1s\"\n");
    let built = home.json(&["recommend", "build"]);
    assert_eq!((&built["products"], &built["deeds"]), (&serde_json::json!(0), &serde_json::json!(0)));
    let daemon = home.start();
    let log = home.path().join("daemon.log");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !std::fs::read_to_string(&log).unwrap().contains("built the recommender's tables") {
        assert!(std::time::Instant::now() < until, "the daemon built nothing");
        tokio::task::yield_now().await;
    }
    drop(daemon);
}
