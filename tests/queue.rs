//! The send queue's promises, one by one, on both databases.

use std::time::Duration;

use indicia::domain::message::MessageState as S;
use indicia::queue::claim::{Mark, claim};
use indicia::queue::sweep::{Sweep, sweep};
use indicia::queue::{Outcome, Turn, Turns, recover::recover};
use indicia::store::{Lane, daemon, run};

use crate::both_dbs;
use crate::support::db::TestDb;
use crate::support::queue::{Held, arm, commit, counted, sending_run, settle};
use crate::support::sql;

const NOW: i64 = 1_000_000;

async fn epoch(test: &TestDb) -> i64 {
    let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
    let epoch = daemon::start(tx.conn(), "host", 1, NOW).await.unwrap();
    tx.commit().await.unwrap();
    epoch
}

async fn claimed(test: &TestDb, run_id: i64, epoch: i64, n: i64, now_ms: i64) -> Vec<Held> {
    let mut reader = test.db.reader().await.unwrap();
    let generation = run::by_id(reader.conn(), run_id).await.unwrap().unwrap().generation;
    let leased = claim(&test.db, (run_id, 1), Mark::default(), n, epoch, now_ms).await.unwrap();
    leased.committed.unwrap();
    leased
        .rows
        .into_iter()
        .map(|row| Held {
            id: row.id,
            member: row.member_id.unwrap(),
            attempt: row.attempt,
            generation,
            mail_epoch: 0,
            armed: false,
        })
        .collect()
}

fn sent() -> Outcome {
    Outcome::Sent { remote_id: Some("4F".to_owned()) }
}

both_dbs! {
    async fn a_message_goes_its_way_and_every_step_is_counted(test) {
        let run_id = sending_run(&test.db, 3, NOW).await;
        let epoch = epoch(&test).await;
        let held = claimed(&test, run_id, epoch, 2, NOW).await;
        assert_eq!(held.len(), 2);
        assert_eq!(counted(&test.db, run_id).await(S::Leased), 2);
        assert_eq!(commit(&test.db, epoch, &[arm(run_id, &held[0], NOW)]).await, [true]);
        assert_eq!(counted(&test.db, run_id).await(S::Armed), 1);
        let mut turn = settle(run_id, &held[0], sent(), NOW);
        turn.arm = arm(run_id, &held[1], NOW).arm;
        assert_eq!(commit(&test.db, epoch, &[turn]).await, [true]);
        let count = counted(&test.db, run_id).await;
        assert_eq!((count(S::Sent), count(S::Armed), count(S::Queued)), (1, 1, 1));
    }
}

both_dbs! {
    async fn a_settle_said_twice_changes_nothing_and_a_foreign_attempt_does_not_count(test) {
        let run_id = sending_run(&test.db, 1, NOW).await;
        let epoch = epoch(&test).await;
        let held = claimed(&test, run_id, epoch, 1, NOW).await.remove(0);
        commit(&test.db, epoch, &[settle(run_id, &held, Outcome::Deferred { due_at_ms: NOW + 10 }, NOW)]).await;
        commit(&test.db, epoch, &[settle(run_id, &held, Outcome::Deferred { due_at_ms: NOW + 99 }, NOW)]).await;
        let again = claimed(&test, run_id, epoch, 1, NOW + 20).await.remove(0);
        assert_eq!(again.attempt, held.attempt + 1);
        assert_eq!(commit(&test.db, epoch, &[arm(run_id, &held, NOW)]).await, [false], "an old attempt must not arm");
        commit(&test.db, epoch, &[settle(run_id, &held, Outcome::Bounced { why: "x" }, NOW)]).await;
        assert_eq!(counted(&test.db, run_id).await(S::Leased), 1);
    }
}

both_dbs! {
    async fn leases_lead_to_what_the_dead_hold_and_are_forgotten_when_they_end(test) {
        let run_id = sending_run(&test.db, 40, NOW).await;
        let first = epoch(&test).await;
        // One row comes back again and again, and so stands in many leases of the same daemon.
        let mut back = claimed(&test, run_id, first, 1, NOW).await.remove(0);
        for _ in 0..30 {
            commit(&test.db, first, &[settle(run_id, &back, Outcome::Released { due_at_ms: NOW - 1 }, NOW)]).await;
            let mut both = claimed(&test, run_id, first, 2, NOW).await;
            back = both.remove(0);
            commit(&test.db, first, &[arm(run_id, &both[0], NOW)]).await;
            commit(&test.db, first, &[settle(run_id, &both[0], sent(), NOW)]).await;
        }
        let held = claimed(&test, run_id, first, 2, NOW).await;
        commit(&test.db, first, &[arm(run_id, &held[0], NOW)]).await;
        let leases = sql::count(&test.db, "lease").await;
        assert!(leases > 4, "while a row is held, so is each of its leases: {leases}");
        let mut reader = test.db.reader().await.unwrap();
        assert!(!run::is_still(reader.conn(), run_id).await.unwrap());
        drop(reader);

        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        daemon::end(tx.conn(), first, NOW).await.unwrap();
        let taken = recover(tx.conn(), first + 1, NOW).await.unwrap();
        assert_eq!((taken.queued, taken.in_doubt), (2, 1), "each row once, however many leases name it");
        tx.commit().await.unwrap();
        assert_eq!(sql::count(&test.db, "lease").await, 0);
        let count = counted(&test.db, run_id).await;
        assert_eq!((count(S::Sent), count(S::InDoubt), count(S::Queued)), (30, 1, 9));
        let mut reader = test.db.reader().await.unwrap();
        assert!(run::is_still(reader.conn(), run_id).await.unwrap());
        drop(reader);

        let second = epoch(&test).await;
        for held in [claimed(&test, run_id, second, 1, NOW).await, claimed(&test, run_id, second, 1, NOW).await].concat() {
            commit(&test.db, second, &[arm(run_id, &held, NOW)]).await;
            commit(&test.db, second, &[settle(run_id, &held, sent(), NOW)]).await;
        }
        for _ in 0..7 {
            let held = claimed(&test, run_id, second, 1, NOW).await.remove(0);
            commit(&test.db, second, &[arm(run_id, &held, NOW)]).await;
            commit(&test.db, second, &[settle(run_id, &held, sent(), NOW)]).await;
        }
        let leases = sql::count(&test.db, "lease").await;
        assert!(leases <= 6, "{leases} leases are left of nine that ended");
    }
}

both_dbs! {
    async fn a_turn_that_waits_for_a_row_holds_up_no_other_line(test) {
        // SQLite has one line: it locks no rows.
        if test.db.sqlite_path().is_some() {
            return;
        }
        let run_id = sending_run(&test.db, 3, NOW).await;
        let epoch = epoch(&test).await;
        let held = claimed(&test, run_id, epoch, 3, NOW).await;
        let arms: Vec<Turn> = held.iter().map(|held| arm(run_id, held, NOW)).collect();
        assert_eq!(commit(&test.db, epoch, &arms).await, [true; 3]);
        let mut somebody = test.db.begin(Lane::Bulk).await.unwrap();
        sql::within(&mut somebody, &format!("select id from message where id = {} for update", held[0].id)).await;

        let (turns, lines) = Turns::new(test.db.clone(), epoch, |_, _| ());
        let take = |held: &Held| turns.settle(settle(run_id, held, sent(), NOW));
        let mut two = std::pin::pin!(async { tokio::join!(take(&held[0]), take(&held[1])) });
        assert!(tokio::time::timeout(Duration::ZERO, &mut two).await.is_err(), "nobody takes them yet");
        for line in lines {
            tokio::spawn(line);
        }
        const WAITING: &str = "pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        while sql::count(&test.db, WAITING).await == 0 {
            tokio::task::yield_now().await;
        }
        tokio::select! {
            one = take(&held[2]) => one.unwrap(),
            _ = &mut two => panic!("the row was locked, and the other line waited for it"),
        }
        drop(somebody);
        let two = two.await;
        two.0.and(two.1).unwrap();
        assert_eq!(counted(&test.db, run_id).await(S::Sent), 3);
    }
}

both_dbs! {
    async fn a_250_counts_whenever_it_comes(test) {
        let run_id = sending_run(&test.db, 2, NOW).await;
        let first = epoch(&test).await;
        let held = claimed(&test, run_id, first, 2, NOW).await;
        commit(&test.db, first, &[arm(run_id, &held[0], NOW), arm(run_id, &held[1], NOW)]).await;
        // The first is declared dead, what it armed is in doubt; then its answers come after all.
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        daemon::end(tx.conn(), first, NOW).await.unwrap();
        assert_eq!(recover(tx.conn(), first + 1, NOW).await.unwrap().in_doubt, 2);
        tx.commit().await.unwrap();
        commit(&test.db, first, &[settle(run_id, &held[0], sent(), NOW)]).await;
        let count = counted(&test.db, run_id).await;
        assert_eq!((count(S::Sent), count(S::InDoubt)), (1, 1));
        // The other is sent again by a person's wish; the first attempt's 250 comes while the second is armed.
        let second = epoch(&test).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        assert_eq!(sweep(tx.conn(), run_id, Sweep::RetryInDoubt, 0, NOW).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let again = claimed(&test, run_id, second, 1, NOW).await.remove(0);
        commit(&test.db, second, &[arm(run_id, &again, NOW)]).await;
        commit(&test.db, first, &[settle(run_id, &held[1], sent(), NOW)]).await;
        assert_eq!(counted(&test.db, run_id).await(S::Armed), 1, "the second attempt is on the wire");
        commit(&test.db, second, &[settle(run_id, &again, Outcome::Bounced { why: "late" }, NOW)]).await;
        assert_eq!(counted(&test.db, run_id).await(S::Sent), 2, "an accepted mail reads sent whatever came after");
    }
}

both_dbs! {
    async fn a_250_that_comes_late_takes_no_arm_from_its_batch(test) {
        let run_id = sending_run(&test.db, 4, NOW).await;
        let epoch = epoch(&test).await;
        let held = claimed(&test, run_id, epoch, 4, NOW).await;
        commit(&test.db, epoch, &[arm(run_id, &held[0], NOW), arm(run_id, &held[1], NOW)]).await;
        commit(&test.db, epoch, &[settle(run_id, &held[1], Outcome::Lost, NOW)]).await;
        // One 250 meets its armed row, the other a row in doubt; each slot asks for its next mail in the same turn.
        let turn = |owed: usize, next: usize| Turn {
            arm: arm(run_id, &held[next], NOW).arm,
            ..settle(run_id, &held[owed], sent(), NOW)
        };
        assert_eq!(commit(&test.db, epoch, &[turn(0, 2), turn(1, 3)]).await, [true, true]);
        let count = counted(&test.db, run_id).await;
        assert_eq!((count(S::Sent), count(S::Armed), count(S::InDoubt)), (2, 2, 0));
    }
}

both_dbs! {
    async fn nothing_is_armed_that_anything_forbids(test) {
        let run_id = sending_run(&test.db, 5, NOW).await;
        let epoch = epoch(&test).await;
        let held = claimed(&test, run_id, epoch, 5, NOW).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        let entry = indicia::store::suppression::Suppression {
            scope: "all".to_owned(),
            reason: indicia::domain::suppression::SuppressionReason::Manual,
            source: "test".to_owned(),
            at_ms: NOW,
            expires_at_ms: None,
        };
        indicia::store::suppression::suppress(tx.conn(), held[0].member, &entry).await.unwrap();
        indicia::store::member::raise_epoch(tx.conn(), &[held[1].member]).await.unwrap();
        tx.commit().await.unwrap();
        let stranger = epoch + 1000;
        assert_eq!(commit(&test.db, stranger, &[arm(run_id, &held[2], NOW)]).await, [false], "another's row");
        let old = Held { generation: held[3].generation - 1, ..held[3].clone() };
        let turns = [&held[0], &held[1], &old, &held[4]].map(|held| arm(run_id, held, NOW));
        assert_eq!(commit(&test.db, epoch, &turns).await, [false, false, false, true]);
    }
}

both_dbs! {
    async fn what_the_dead_leased_is_queued_again_and_what_they_armed_is_in_doubt(test) {
        let run_id = sending_run(&test.db, 10, NOW).await;
        let dead = epoch(&test).await;
        let held = claimed(&test, run_id, dead, 6, NOW).await;
        commit(&test.db, dead, &[arm(run_id, &held[0], NOW), arm(run_id, &held[1], NOW)]).await;
        let living = epoch(&test).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        assert_eq!(recover(tx.conn(), living, NOW).await.unwrap(), Default::default(), "the living keep their rows");
        daemon::end(tx.conn(), dead, NOW).await.unwrap();
        let recovered = recover(tx.conn(), living, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((recovered.queued, recovered.in_doubt), (4, 2));
        let count = counted(&test.db, run_id).await;
        assert_eq!((count(S::Queued), count(S::InDoubt)), (8, 2));
        assert_eq!(claimed(&test, run_id, living, 100, NOW).await.len(), 8, "a doubtful message is not sent again");
    }
}

both_dbs! {
    async fn a_cancelled_run_is_swept_and_a_failed_message_can_be_tried_again(test) {
        let run_id = sending_run(&test.db, 4, NOW).await;
        let epoch = epoch(&test).await;
        let held = claimed(&test, run_id, epoch, 1, NOW).await.remove(0);
        commit(&test.db, epoch, &[settle(run_id, &held, Outcome::Failed { why: "given_up" }, NOW)]).await;
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        assert_eq!(sweep(tx.conn(), run_id, Sweep::RetryFailed, 0, NOW).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let again = claimed(&test, run_id, epoch, 1, NOW).await.remove(0);
        assert!(again.attempt >= 1);
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        assert_eq!(sweep(tx.conn(), run_id, Sweep::Cancelled, 0, NOW).await.unwrap(), 3);
        tx.commit().await.unwrap();
        let count = counted(&test.db, run_id).await;
        assert_eq!((count(S::Cancelled), count(S::Leased)), (3, 1));
    }
}
