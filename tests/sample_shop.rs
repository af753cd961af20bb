//! The sample shop: the same seed gives the same files, the real intake takes every row, and what comes out looks
//! like a shop.

use std::sync::Arc;

use indicia::app::demo::shop::{self, FILES, Shop};
use indicia::base::World;
use indicia::domain::provider::ProviderTable;
use indicia::store::Conn;

use crate::support::db;

const NOW_MS: i64 = 1_792_000_000_000;

fn small() -> Shop {
    Shop { members: 400, ..Shop::new(NOW_MS, "http://127.0.0.1:8080/") }
}

#[test]
fn the_same_seed_draws_the_same_shop() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, c) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
    small().write(&a).unwrap();
    small().write(&b).unwrap();
    Shop { seed: 27, ..small() }.write(&c).unwrap();
    for (_, name) in FILES {
        let read = |folder: &std::path::Path| std::fs::read(folder.join(name)).unwrap();
        assert!(read(&a) == read(&b), "{name} differs between two runs of one seed");
    }
    assert!(std::fs::read(a.join("members.csv")).unwrap() != std::fs::read(c.join("members.csv")).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_intake_takes_every_row_and_the_shop_is_believable() {
    let test = db::sqlite().await;
    let folder = test.folder.path().join("shop");
    small().write(&folder).unwrap();
    let world = World::seeded(1, NOW_MS);
    let providers = Arc::new(ProviderTable::built_in());
    let first = shop::import(&test.db, &world, providers.clone(), &folder, &|_, _| {}).await.unwrap();
    for (kind, summary) in &first {
        assert_eq!(summary.rejected, 0, "{kind}: {:?}", summary.rejected_file);
        assert_eq!(summary.inserted, summary.read, "{kind}");
    }
    let again = shop::import(&test.db, &world, providers, &folder, &|_, _| {}).await.unwrap();
    assert!(again.iter().all(|(_, summary)| summary.unchanged == summary.read), "{again:?}");

    let count = async |sql: &'static str| -> i64 {
        let mut reader = test.db.reader().await.unwrap();
        let Conn::Sqlite(c) = reader.conn() else { unreachable!() };
        sqlx::query_scalar(sql).fetch_one(c).await.unwrap()
    };
    assert_eq!(count("select count(distinct market) from member").await, 3);
    assert!(count("select count(*) from product").await > 300);
    assert_eq!(
        count(
            "select count(*) from product p where not exists (select 1 from product_market m where m.product_id = p.id)"
        )
        .await,
        0
    );
    let (members, buyers) = (400, count("select count(*) from member where orders > 0").await);
    assert!((members / 4..members).contains(&buyers), "{buyers} of {members} ever bought");
    assert!(count("select count(*) from member where points >= 500").await > members / 4);
    // Air conditioners are looked at in summer.
    macro_rules! looks_in_months {
        ($months:literal) => {
            concat!(
                "select count(*) from event e join product p on p.id = e.product_id
                 where p.category = 'climate/air-conditioner'
                   and cast(strftime('%m', e.at_ms / 1000, 'unixepoch') as integer) ",
                $months
            )
        };
    }
    let summer = count(looks_in_months!("between 5 and 8")).await;
    let winter = count(looks_in_months!("not between 3 and 10")).await;
    assert!(summer > winter, "{summer} looks in summer, {winter} in winter");
    for sku in ["RFG-N420-CN", "ACN-A90-EU"] {
        assert!(shop::picture(sku).is_some());
    }
}
