//! The store's ground rules, on both databases: a dropped transaction leaves nothing, epochs are never reused.

use indicia::store::checkpoint::Checkpoints;
use indicia::store::{Db, Lane, OpenOptions, daemon, setting};

use crate::both_dbs;
use crate::support::db;
use crate::support::site::{execute, number};

both_dbs! {
    async fn a_dropped_transaction_leaves_nothing(test) {
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        setting::get_or_set(tx.conn(), "colour", "red").await.unwrap();
        drop(tx);
        let mut tx = test.db.begin(Lane::Turn).await.unwrap();
        assert_eq!(setting::get(tx.conn(), "colour").await.unwrap(), None);
        assert_eq!(setting::get_or_set(tx.conn(), "colour", "blue").await.unwrap(), "blue");
        tx.commit().await.unwrap();
        let mut reader = test.db.reader().await.unwrap();
        assert_eq!(setting::get(reader.conn(), "colour").await.unwrap().as_deref(), Some("blue"));
    }
}

both_dbs! {
    async fn an_epoch_ends_once_and_is_never_used_again(test) {
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        let first = daemon::start(tx.conn(), "host", 1, 1_000).await.unwrap();
        assert!(daemon::beat(tx.conn(), first, 2_000).await.unwrap());
        assert_eq!(daemon::reap(tx.conn(), 1_500, 3_000).await.unwrap(), 0);
        assert_eq!(daemon::reap(tx.conn(), 2_500, 3_000).await.unwrap(), 1);
        assert!(!daemon::beat(tx.conn(), first, 3_000).await.unwrap(), "a reaped epoch must not beat");
        let second = daemon::start(tx.conn(), "host", 1, 4_000).await.unwrap();
        assert!(second > first);
        assert_eq!(daemon::living(tx.conn()).await.unwrap().len(), 1);
        tx.commit().await.unwrap();
    }
}

both_dbs! {
    async fn a_second_opening_finds_what_the_first_wrote_and_nothing_to_migrate(test) {
        std::fs::write(test.folder.path().join("beside"), "a file beside the database disturbs nothing").unwrap();
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        setting::get_or_set(tx.conn(), "colour", "green").await.unwrap();
        tx.commit().await.unwrap();
        let again = Db::open(&test.url, &OpenOptions::default()).await.unwrap();
        again.migrate().await.unwrap();
        let mut reader = again.reader().await.unwrap();
        assert_eq!(setting::get(reader.conn(), "colour").await.unwrap().as_deref(), Some("green"));
    }
}

/// Some eight hundred pages of the log.
async fn write_settings(db: &Db, round: usize) {
    let rows = format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
         insert into setting (name, value) select '{round}-' || i, hex(randomblob(2000)) from n"
    );
    execute(db, [rows]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_folded_beside_the_writers_and_begins_anew() {
    const ROUNDS: usize = 60;
    let test = db::sqlite().await;
    let log = std::path::PathBuf::from(format!("{}-wal", test.url.strip_prefix("sqlite://").unwrap()));
    let bytes = || std::fs::metadata(&log).unwrap().len();
    let mut checkpoints = Checkpoints::of(&test.db).await.unwrap().unwrap();
    let before = number(&test.db, "select count(*) from setting").await;
    write_settings(&test.db, 0).await;
    assert!(!checkpoints.fold().await.unwrap(), "it is short");
    for round in 1..6 {
        write_settings(&test.db, round).await;
    }
    assert!(bytes() > 3_000 * 4_096, "no commit folded it: {}", bytes());
    assert!(checkpoints.fold().await.unwrap());
    assert!(!checkpoints.fold().await.unwrap(), "it is folded");
    let db = test.db.clone();
    let writer = tokio::spawn(async move {
        for round in 6..ROUNDS {
            write_settings(&db, round).await;
        }
    });
    while !writer.is_finished() {
        checkpoints.fold().await.unwrap();
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    assert!(bytes() < 100_000_000, "{} of some 200 MB that were written", bytes());
    let again = Db::open(&test.url, &OpenOptions::default()).await.unwrap();
    assert_eq!(number(&again, "select count(*) from setting").await, before + 500 * ROUNDS as i64);
    assert!(Checkpoints::of(&again).await.unwrap().is_some());
}
