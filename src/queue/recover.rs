//! Recover: rows whose owner is no living epoch. What was leased goes back to the queue; what was armed is in doubt,
//! because after an accepted final dot no program can know.

use super::count::Deltas;
use crate::domain::message::{MessageEvent, MessageState};
use crate::store::{Conn, Pair, Rows, StoreError, lease};
use crate::{bulk, leased, on};

/// Most rows taken back in one transaction.
pub const RECOVER_BATCH_MAX: i64 = 1000;

/// What one pass took back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    pub queued: usize,
    pub in_doubt: usize,
}

impl Recovered {
    /// Whether another pass may find more.
    pub fn is_full(self) -> bool {
        (self.queued + self.in_doubt) as i64 >= RECOVER_BATCH_MAX
    }
}

#[derive(sqlx::FromRow)]
struct Orphan {
    run_id: i64,
    id: i64,
    attempt: i64,
    variant: i64,
    state: String,
    sent_at_ms: Option<i64>,
}

/// One pass over rows owned by ended epochs, by daemon `epoch`.
///
/// # Crash
/// A row is taken back whole or not at all; the next pass finds the rest.
pub async fn recover(mut conn: Conn<'_>, epoch: i64, now_ms: i64) -> Result<Recovered, StoreError> {
    let orphans = orphans(conn.again()).await?;
    let mut done = Recovered::default();
    let (mut deltas, mut rows, mut doubts) = (Deltas::default(), Rows::default(), Rows::default());
    for row in &orphans {
        let state: MessageState = row
            .state
            .parse()
            .map_err(|e| StoreError::Inconsistent { what: format!("message {} in state {e}", row.id) })?;
        let event = if row.sent_at_ms.is_some() { MessageEvent::Accepted } else { MessageEvent::OwnerDied };
        let Some(next) = state.next(event) else { continue };
        match next {
            MessageState::Queued => done.queued += 1,
            MessageState::InDoubt => {
                done.in_doubt += 1;
                doubts.push(&(row.run_id, row.id, row.attempt));
            }
            _ => {}
        }
        deltas.moved(row.run_id, row.variant, (state, None), (next, None));
        rows.push(&(row.run_id, row.id, next, (next == MessageState::Queued).then_some(now_ms)));
    }
    const SQL: Pair = bulk!(
        "with s as materialized (select cast(value ->> 0 as bigint) as run_id, cast(value ->> 1 as bigint) as id,
             cast(value ->> 2 as text) as state, cast(value ->> 3 as bigint) as due_at_ms from",
        "$1",
        ") update message set owner = null, state = s.state, due_at_ms = s.due_at_ms,
             crashes = message.crashes + case s.state when 'queued' then 1 else 0 end
           from s where message.run_id = s.run_id and message.id = s.id"
    );
    if !rows.is_empty() {
        let (sql, rows) = (conn.pick(&SQL), rows.json());
        on!(conn.again(), "recover messages", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))?;
        keep_doubts(conn.again(), doubts, now_ms).await?;
        deltas.write(conn.again(), epoch).await?;
    }
    if !done.is_full() {
        for dead in lease::of_the_dead(conn.again()).await? {
            lease::forget_dead(conn.again(), dead).await?;
        }
    }
    Ok(done)
}

async fn orphans(conn: Conn<'_>) -> Result<Vec<Orphan>, StoreError> {
    // A row may stand in two leases of the same owner, and is taken back once.
    const SQL: Pair = Pair {
        sqlite: "select m.run_id, m.id, m.attempt, m.variant, m.state, m.sent_at_ms from message m
             where m.id in (select x.value from lease l cross join json_each(l.ids) x
                 where not exists (select 1 from daemon d where d.id = l.owner and d.ended_at_ms is null))
               and m.owner is not null
               and not exists (select 1 from daemon d where d.id = m.owner and d.ended_at_ms is null)
             order by m.run_id, m.id limit $1",
        // Two daemons may recover at once: each takes what the other does not hold.
        postgres: leased!(
            "select m.run_id, m.id, m.attempt, m.variant, m.state, m.sent_at_ms from (select distinct m.run_id, m.id from",
            "where m.owner = l.owner
                 and not exists (select 1 from daemon d where d.id = l.owner and d.ended_at_ms is null)
               order by m.run_id, m.id limit $1) dead
             cross join lateral (select m.run_id, m.id, m.attempt, m.variant, m.state, m.sent_at_ms from message m
               where m.run_id = dead.run_id and m.id = dead.id and m.owner is not null
                 and not exists (select 1 from daemon d where d.id = m.owner and d.ended_at_ms is null)
               for update of m skip locked) m"
        )
        .postgres,
    };
    let sql = conn.pick(&SQL);
    on!(conn, "find messages of the dead", c => sqlx::query_as(sql).bind(RECOVER_BATCH_MAX).fetch_all(&mut *c).await)
}

async fn keep_doubts(conn: Conn<'_>, doubts: Rows, now_ms: i64) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "insert into delivery (run_id, message_id, attempt, at_ms, route, stage, outcome, class, text)
         select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as bigint), $2, '', 'dot',
                'in_doubt', 'crash', 'the daemon ended before the reply was recorded'
         from",
        "$1",
        ""
    );
    if doubts.is_empty() {
        return Ok(());
    }
    let (sql, doubts) = (conn.pick(&SQL), doubts.json());
    on!(conn, "list doubts", c => sqlx::query(sql).bind(&doubts).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}
