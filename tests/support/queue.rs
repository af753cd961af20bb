//! A run with its messages, written straight into the tables: the queue under test without intake, plan and courier.

use indicia::domain::campaign::{MailClass, RunDoc, Variant};
use indicia::domain::message::{MessageState, RunState};
use indicia::on;
use indicia::queue::count::{self, Deltas};
use indicia::queue::{Arm, Outcome, Settle, Turn, audit, turn};
use indicia::store::{Conn, Db, Lane, StoreError, run};

pub const TOPIC: &str = "offers";

/// A sending run of `n` queued messages to members of ids `1..=n`, all of one provider, and its id.
pub async fn sending_run(db: &Db, n: i64, now_ms: i64) -> i64 {
    let doc = RunDoc {
        campaign: format!("test-{now_ms}-{n}"),
        class: MailClass::Marketing,
        topic: TOPIC.to_owned(),
        sender: "test".to_owned(),
        segment: "points >= 0".to_owned(),
        holdout: 0.0,
        rate: None,
        variants: vec![Variant { name: "a".into(), template: "t".into(), template_version_id: 1, share: 1.0 }],
    };
    let mut tx = db.begin(Lane::Bulk).await.unwrap();
    let run_id = run::create(tx.conn(), &doc, 7, now_ms, now_ms).await.unwrap().unwrap();
    for id in 1..=n {
        insert_member(tx.conn(), id, now_ms).await.unwrap();
        insert_message(tx.conn(), run_id, id, now_ms).await.unwrap();
    }
    let mut deltas = Deltas::default();
    deltas.add(run_id, 0, MessageState::Queued, None, n);
    deltas.write(tx.conn(), 0).await.unwrap();
    set_run_state(tx.conn(), run_id, RunState::Sending).await.unwrap();
    tx.commit().await.unwrap();
    run_id
}

async fn insert_member(conn: Conn<'_>, id: i64, now_ms: i64) -> Result<(), StoreError> {
    const SQLITE: &str = "insert into member (id, email, addr_key, provider_id, lot, created_at_ms, updated_at_ms)
         values ($1, $2, $1, 1, $1, $3, $3) on conflict do nothing";
    const POSTGRES: &str = "insert into member (id, email, addr_key, provider_id, lot, created_at_ms, updated_at_ms)
         overriding system value values ($1, $2, $1, 1, $1, $3, $3) on conflict do nothing";
    let sql = if conn.is_sqlite() { SQLITE } else { POSTGRES };
    on!(conn, "insert a member", c => sqlx::query(sql)
        .bind(id).bind(format!("m{id}@example.com")).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

async fn insert_message(conn: Conn<'_>, run_id: i64, member: i64, now_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "insert into message (run_id, origin, member_id, provider_id, addr_key, state, due_at_ms)
         values ($1, $2, $2, 1, $2, 'queued', $3)";
    on!(conn, "insert a message", c => sqlx::query(SQL)
        .bind(run_id).bind(member).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

pub async fn set_run_state(conn: Conn<'_>, run_id: i64, state: RunState) -> Result<(), StoreError> {
    const SQL: &str = "update run set state = $2, generation = generation + 1 where id = $1";
    on!(conn, "set a run's state", c => sqlx::query(SQL)
        .bind(run_id).bind(state.as_str()).execute(&mut *c).await.map(|_| ()))
}

/// What a slot needs to know of a claimed row, as the test keeps it.
#[derive(Debug, Clone)]
pub struct Held {
    pub id: i64,
    pub member: i64,
    pub attempt: i64,
    pub generation: i64,
    pub mail_epoch: i64,
    pub armed: bool,
}

pub fn arm(run_id: i64, held: &Held, at_ms: i64) -> Turn {
    Turn {
        settle: None,
        arm: Some(Arm {
            run_id,
            id: held.id,
            attempt: held.attempt,
            variant: 0,
            generation: held.generation,
            mail_epoch: held.mail_epoch,
            addr_key: held.member,
            scope: TOPIC.to_owned(),
            template_version_id: 1,
            at_ms,
            shown: "{}".to_owned(),
        }),
    }
}

pub fn settle(run_id: i64, held: &Held, outcome: Outcome, at_ms: i64) -> Turn {
    Turn {
        settle: Some(Settle { run_id, id: held.id, attempt: held.attempt, variant: 0, outcome, at_ms, trouble: None }),
        arm: None,
    }
}

/// Runs turns in one committed transaction, on one line or another.
pub async fn commit(db: &Db, epoch: i64, turns: &[Turn]) -> Vec<bool> {
    turn::commit(db, turn::Writer { epoch, line: turns.len() % db.lines() }, turns).await.unwrap()
}

/// How many rows of the run are in a state, after checking the account against the rows.
pub async fn counted(db: &Db, run_id: i64) -> impl Fn(MessageState) -> i64 {
    let mut reader = db.reader().await.unwrap();
    assert_eq!(audit::differences(reader.conn(), run_id).await.unwrap(), [], "the counts do not agree with the rows");
    let counts = count::of_run(reader.conn(), run_id).await.unwrap();
    move |state| count::sum(&counts, state)
}
