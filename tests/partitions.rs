//! PostgreSQL's largest tables are cut: room for the months and runs to come is made ahead, and rows find their place.

use indicia::store::schema::partition::make_ahead;
use indicia::store::schema::statistics;

use crate::both_dbs;
use crate::support::db::TestDb;
use crate::support::site::{campaign, execute, number};

/// 26 November 2026, and the middle of the month after.
const NOW_MS: i64 = 1_795_687_200_000;
const DECEMBER_MS: i64 = NOW_MS + 20 * 86_400_000;

async fn made(test: &TestDb, now_ms: i64) -> usize {
    make_ahead(test.db.reader().await.unwrap().conn(), now_ms).await.unwrap()
}

fn event(at_ms: i64) -> String {
    format!("insert into event (at_ms, dedup, member_id, name_id) values ({at_ms}, {at_ms}, 1, 1)")
}

fn message(run: i64, origin: i64) -> String {
    format!(
        "insert into message (run_id, origin, provider_id, state, due_at_ms) values ({run}, {origin}, 1, 'queued', 1)"
    )
}

both_dbs! {
    async fn what_comes_finds_its_partition(test) {
        campaign(&test.db).await;
        let sqlite = test.url.starts_with("sqlite");
        execute(&test.db, [event(NOW_MS), message(1, 77)]).await;
        assert_eq!(made(&test, NOW_MS).await, if sqlite { 0 } else { 5 });
        assert_eq!(made(&test, NOW_MS).await, 0, "they are there");
        execute(&test.db, [event(NOW_MS + 1), event(DECEMBER_MS), message(1, 78), message(100, 79), message(199, 80)]).await;
        assert_eq!(number(&test.db, "select count(*) from event").await, 3);
        assert_eq!(number(&test.db, "select count(distinct id) from message").await, 8, "numbers come from one place");
        if sqlite {
            return;
        }
        for (table, n) in [("event_rest", 2), ("event_2026_12", 1), ("message_rest", 6), ("message_runs_100", 2)] {
            let rows = format!("select count(*) from {table}");
            assert_eq!(number(&test.db, &rows).await, n, "{table}");
        }
        let fences = "select count(*) from pg_constraint where conname like '%_fence'";
        assert_eq!(number(&test.db, fences).await, 0);
        let tuned = "select count(*) from pg_class where relname = 'message_runs_100' and 'fillfactor=60' = any (reloptions)";
        assert_eq!(number(&test.db, tuned).await, 1);
        assert_eq!(made(&test, DECEMBER_MS).await, 2, "February of two tables");
    }
}

both_dbs! {
    async fn what_was_just_filled_is_counted_before_it_is_planned_by(test) {
        campaign(&test.db).await;
        made(&test, NOW_MS).await;
        let renewed = async || statistics::renew(&test.db).await;
        if test.url.starts_with("sqlite") {
            assert_eq!(renewed().await, 0);
            return;
        }
        let fill = "insert into message (run_id, origin, provider_id, state, due_at_ms)
             select 100, g, 1, 'queued', 1 from generate_series(1, 50000) g";
        execute(&test.db, [fill.to_owned()]).await;
        renewed().await;
        let known = "select cast(reltuples as bigint) from pg_class where relname = 'message_runs_100'";
        assert_eq!(number(&test.db, known).await, 50_000);
        assert_eq!(renewed().await, 0, "nothing has grown since");
    }
}

both_dbs! {
    async fn a_range_with_rows_stays_where_it_is_and_open(test) {
        campaign(&test.db).await;
        if test.url.starts_with("sqlite") {
            return;
        }
        // A clock that was wrong once: something from the month to come is there already.
        execute(&test.db, [event(DECEMBER_MS)]).await;
        made(&test, NOW_MS).await;
        assert_eq!(number(&test.db, "select count(*) from pg_class where relname = 'event_2026_12'").await, 0);
        execute(&test.db, [event(DECEMBER_MS + 1)]).await;
        // A crash left a fence: the next call goes on from there.
        execute(&test.db, [
            "alter table message_rest add constraint message_runs_200_fence
               check (not (run_id is not null and run_id >= 200 and run_id < 300)) not valid".to_owned(),
            "insert into run (id, campaign_id, scheduled_for_ms, state, seed, doc, created_at_ms)
               overriding system value values (150, 1, 5, 'finished', 1, '{}', 0)".to_owned(),
        ]).await;
        made(&test, NOW_MS).await;
        execute(&test.db, [message(250, 1)]).await;
        assert_eq!(number(&test.db, "select count(*) from message_runs_200").await, 1);
    }
}
