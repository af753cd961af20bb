//! The store's ground rules, on both databases: a dropped transaction leaves nothing, epochs are never reused.

use indicia::store::{Db, Lane, OpenOptions, daemon, setting};

use crate::both_dbs;

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
