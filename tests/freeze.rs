//! The freeze of an audience, chunk by chunk.

use indicia::base::World;
use indicia::domain::campaign::RunDoc;
use indicia::domain::message::RunState;
use indicia::flow::plan::{self, Terms};
use indicia::queue::enqueue::Manner;
use indicia::store::{Db, Lane, run};

use crate::both_dbs;
use crate::support::sql::{count, run as execute};

const NOW_MS: i64 = 1_790_000_000_000;
const TERMS: Terms = Terms {
    epoch: 1,
    ttl_marketing_ms: i64::MAX / 2,
    ttl_transactional_ms: i64::MAX / 2,
    manner: Manner { sunset_ms: None, engaged_first: false },
};
const DOC: &str = r#"{"campaign":"c","class":"marketing","topic":"offers","sender":"s","segment":"points >= 0",
    "holdout":0,"rate":null,"variants":[{"name":"a","template":"t","template_version_id":1,"share":1}]}"#;

/// Ten members of ids 1 to 10, who all consented.
async fn members(db: &Db) {
    for id in 1..=10 {
        let member = format!(
            "insert into member (email, addr_key, provider_id, lot, created_at_ms, updated_at_ms)
             values ('m{id}@mail.example', {}, {}, {id}, 0, 0)",
            id * 100,
            1 + id % 2
        );
        let consent =
            format!("insert into consent (member_id, topic, state, at_ms) values ({id}, 'offers', 'granted', 0)");
        execute(db, &[&member, &consent]).await;
    }
}

/// A run whose freeze has begun.
async fn freezing(db: &Db, world: &World) -> i64 {
    let doc: RunDoc = serde_json::from_str(DOC).unwrap();
    let mut tx = db.begin(Lane::Bulk).await.unwrap();
    let id = run::create(tx.conn(), &doc, 7, NOW_MS, NOW_MS).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    plan::tick(db, world, &TERMS, &[]).await.unwrap();
    assert_eq!(of(db, id).await.state, RunState::Freezing);
    id
}

async fn of(db: &Db, id: i64) -> run::Run {
    run::by_id(db.reader().await.unwrap().conn(), id).await.unwrap().unwrap()
}

both_dbs! {
    async fn an_address_that_went_to_another_member_meanwhile_gets_one_mail(test) {
        let (db, world) = (&test.db, World::seeded(1, NOW_MS));
        members(db).await;
        let id = freezing(db, &world).await;
        // As if a member frozen before had given it away.
        let frozen = format!(
            "insert into message (run_id, origin, member_id, provider_id, addr_key, variant, state, due_at_ms)
             values ({id}, 99, 99, 1, 700, 0, 'queued', 0)"
        );
        execute(db, &[&frozen, "update consent set state = 'revoked' where member_id = 3"]).await;
        let suppressed = "insert into suppression (addr_key, scope, reason, source, at_ms, expires_at_ms) values";
        execute(db, &[
            &format!("{suppressed} (400, 'all', 'r', 's', 0, null)"),
            &format!("{suppressed} (500, 'offers', 'r', 's', 0, {})", NOW_MS + 1),
            &format!("{suppressed} (500, 'all', 'r', 's', 0, {})", NOW_MS - 1),
            &format!("{suppressed} (600, 'all', 'r', 's', 0, {})", NOW_MS - 1),
            &format!("{suppressed} (600, 'news', 'r', 's', 0, null)"),
        ]).await;
        plan::tick(db, &world, &TERMS, &[]).await.unwrap();
        let run = of(db, id).await;
        assert_eq!((run.state, run.frozen_n), (RunState::Sending, Some(6)));
        let mut reader = db.reader().await.unwrap();
        let excluded = run::excluded(reader.conn(), id).await.unwrap();
        let expected = [("no_consent", 1), ("same_address", 1), ("suppressed", 2)];
        assert_eq!(excluded, expected.map(|(reason, n)| (reason.to_owned(), n)));
        assert_eq!(run::lanes(reader.conn(), id).await.unwrap(), [1, 2]);
        drop(reader);
        assert_eq!(count(db, "message").await, 7);
    }
}
