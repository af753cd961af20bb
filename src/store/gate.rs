//! Gates: the budget of a (route, provider), shared by all daemons of a database ([`crate::domain::gate`]).

use std::collections::HashMap;

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::gate::{Gate, day};
use crate::domain::provider::Pace;
use crate::{bulk, on};

/// A gate's row.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct GateRow {
    pub id: i64,
    pub route: String,
    pub provider_id: i64,
    /// The name of the provider; empty for a whole route or a run.
    pub provider: String,
    tat_us: i64,
    pub closed_until_ms: i64,
    pub why: Option<String>,
    pub learnt: Option<f64>,
    ceiling: Option<f64>,
    level: i64,
    since_ms: i64,
    taken_since: i64,
    day: i64,
    pub taken_day: i64,
    hard_day: i64,
    deferred_day: i64,
    pub warm_cap: Option<i64>,
    /// The least time between two mails, microseconds, and the mails of a day, as they were when it was written last.
    pub step_us: i64,
    pub cap_day: Option<i64>,
}

impl GateRow {
    /// Mails of today.
    pub fn taken_on(&self, now_ms: i64) -> i64 {
        if self.day == day(now_ms) { self.taken_day } else { 0 }
    }

    pub fn account(&self) -> Gate {
        let row = self.clone();
        Gate {
            tat_us: row.tat_us,
            closed_until_ms: row.closed_until_ms,
            why: row.why,
            learnt: row.learnt,
            ceiling: row.ceiling,
            level: row.level,
            since_ms: row.since_ms,
            taken_since: row.taken_since,
            day: row.day,
            taken_day: row.taken_day,
            hard_day: row.hard_day,
            deferred_day: row.deferred_day,
            warm_cap: row.warm_cap,
        }
    }
}

macro_rules! columns {
    () => {
        "g.id, g.route, g.provider_id, coalesce(p.name, '') as provider, g.tat_us, g.closed_until_ms, g.why, g.learnt,
         g.ceiling, g.level, g.since_ms, g.taken_since, g.day, g.taken_day, g.hard_day, g.deferred_day, g.warm_cap,
         g.step_us, g.cap_day"
    };
}

/// Every gate.
pub async fn all(conn: Conn<'_>) -> Result<Vec<GateRow>, StoreError> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from gate g left join provider p on p.id = g.provider_id order by g.route, p.name"
    );
    on!(conn, "look at the gates", c => sqlx::query_as(SQL).fetch_all(&mut *c).await)
}

/// The gates a run's mail goes through that are closed or slower than they were told to be.
pub async fn troubled_of_run(conn: Conn<'_>, run_id: i64, now_ms: i64) -> Result<Vec<GateRow>, StoreError> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from run_lane l join gate g on g.provider_id = l.provider_id join provider p on p.id = g.provider_id
         where l.run_id = $1 and (g.closed_until_ms > $2 or g.learnt is not null) order by g.route, p.name"
    );
    on!(conn, "look at the gates of a run", c => sqlx::query_as(SQL).bind(run_id).bind(now_ms).fetch_all(&mut *c).await)
}

/// The ids of gates by (route, provider), made where missing.
pub async fn ensure(mut conn: Conn<'_>, gates: &[(&str, i64)]) -> Result<Vec<(i64, String, i64)>, StoreError> {
    const INSERT: Pair = bulk!(
        "insert into gate (route, provider_id) select value ->> 0, cast(value ->> 1 as bigint) from",
        "$1",
        "where true on conflict (route, provider_id) do nothing"
    );
    const SELECT: Pair = bulk!(
        "with row(route, provider_id) as (select value ->> 0, cast(value ->> 1 as bigint) from",
        "$1",
        ") select g.id, g.route, g.provider_id
           from row join gate g on g.route = row.route and g.provider_id = row.provider_id"
    );
    let rows = Rows::of(gates.iter()).json();
    let sql = conn.pick(&INSERT);
    on!(conn.again(), "open gates", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))?;
    let sql = conn.pick(&SELECT);
    on!(conn, "find gates", c => sqlx::query_as(sql).bind(&rows).fetch_all(&mut *c).await)
}

/// Gates by their ids, nobody else's until the transaction ends.
pub async fn lock(conn: Conn<'_>, ids: &[i64]) -> Result<Vec<GateRow>, StoreError> {
    macro_rules! select {
        ($end:literal) => {
            bulk!(
                "with row(id) as (select cast(value ->> 0 as bigint) from",
                "$1",
                concat!(
                    ") select ",
                    columns!(),
                    " from row join gate g on g.id = row.id left join provider p on p.id = g.provider_id order by g.id",
                    $end
                )
            )
        };
    }
    // SQLite has one writer: the transaction itself is the lock.
    const SQL: Pair = Pair { sqlite: select!("").sqlite, postgres: select!(" for update of g").postgres };
    let (sql, ids) = (conn.pick(&SQL), Rows::of(ids.iter().map(|id| (id,))).json());
    on!(conn, "lock gates", c => sqlx::query_as(sql).bind(&ids).fetch_all(&mut *c).await)
}

/// Writes accounts of locked gates, and for whoever looks what they amount to.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn save(conn: Conn<'_>, gates: &[(i64, &Gate, &Pace)]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with s as materialized (select cast(value ->> 0 as bigint) as id, cast(value ->> 1 as bigint) as tat_us,
             cast(value ->> 2 as bigint) as closed_until_ms, cast(value ->> 3 as text) as why,
             cast(value ->> 4 as double precision) as learnt, cast(value ->> 5 as double precision) as ceiling,
             cast(value ->> 6 as bigint) as level, cast(value ->> 7 as bigint) as since_ms,
             cast(value ->> 8 as bigint) as taken_since, cast(value ->> 9 as bigint) as day,
             cast(value ->> 10 as bigint) as taken_day, cast(value ->> 11 as bigint) as hard_day,
             cast(value ->> 12 as bigint) as deferred_day, cast(value ->> 13 as bigint) as warm_cap,
             cast(value ->> 14 as bigint) as step_us, cast(value ->> 15 as bigint) as cap_day from",
        "$1",
        ") update gate set tat_us = s.tat_us, closed_until_ms = s.closed_until_ms, why = s.why, learnt = s.learnt,
             ceiling = s.ceiling, level = s.level, since_ms = s.since_ms, taken_since = s.taken_since, day = s.day,
             taken_day = s.taken_day, hard_day = s.hard_day, deferred_day = s.deferred_day, warm_cap = s.warm_cap,
             step_us = s.step_us, cap_day = s.cap_day, version = gate.version + 1
           from s where gate.id = s.id"
    );
    if gates.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(gates.iter().map(|(id, gate, pace)| {
        let step_us = gate.rate(pace).map_or(0, |rate| (1_000_000.0 / rate).ceil() as i64);
        let Gate { tat_us, closed_until_ms, why, learnt, ceiling, level, since_ms, taken_since, day, .. } = gate;
        let Gate { taken_day, hard_day, deferred_day, warm_cap, .. } = gate;
        (
            id,
            tat_us,
            closed_until_ms,
            why,
            learnt,
            ceiling,
            level,
            since_ms,
            taken_since,
            day,
            taken_day,
            hard_day,
            deferred_day,
            warm_cap,
            step_us,
            gate.cap(pace),
        )
    }));
    let (sql, rows) = (conn.pick(&SQL), rows.json());
    on!(conn, "write gates", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))
}

/// How many connections of each gate other living daemons hold, and how many of them want some.
pub async fn shares_of_others(
    conn: Conn<'_>,
    ids: &[i64],
    epoch: i64,
    now_ms: i64,
) -> Result<HashMap<i64, (i64, i64)>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") select s.gate_id, cast(sum(s.n) as bigint), cast(sum(case when s.wants_until_ms > $3 then 1 else 0 end) as bigint)
           from row join gate_share s on s.gate_id = row.id
           join daemon d on d.id = s.epoch and d.ended_at_ms is null
           where s.epoch <> $2 group by s.gate_id"
    );
    let (sql, ids) = (conn.pick(&SQL), Rows::of(ids.iter().map(|id| (id,))).json());
    let rows: Vec<(i64, i64, i64)> = on!(conn, "count the connections of others", c => sqlx::query_as(sql)
        .bind(&ids).bind(epoch).bind(now_ms).fetch_all(&mut *c).await)?;
    Ok(rows.into_iter().map(|(id, n, wants)| (id, (n, wants))).collect())
}

/// Writes down how many connections of gates a daemon holds, and until when it wants some, as (gate, n, until).
pub async fn hold(conn: Conn<'_>, epoch: i64, held: &[(i64, i64, i64)]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "insert into gate_share (gate_id, epoch, n, wants_until_ms)
         select cast(value ->> 0 as bigint), $2, cast(value ->> 1 as bigint), cast(value ->> 2 as bigint) from",
        "$1",
        "where true on conflict (gate_id, epoch) do update set n = excluded.n, wants_until_ms = excluded.wants_until_ms"
    );
    if held.is_empty() {
        return Ok(());
    }
    let (sql, rows) = (conn.pick(&SQL), Rows::of(held).json());
    on!(conn, "hold connections", c => sqlx::query(sql).bind(&rows).bind(epoch).execute(&mut *c).await.map(|_| ()))
}

/// Forgets what ended daemons held, and the gates of runs that are over.
pub async fn forget_the_ended(mut conn: Conn<'_>) -> Result<(), StoreError> {
    const RUNS: &str = "delete from gate where provider_id = 0 and route in
         (select 'run:' || cast(r.id as text) from run r where r.state in ('finished', 'cancelled'))";
    on!(conn.again(), "forget gates", c => sqlx::query(RUNS).execute(&mut *c).await.map(|_| ()))?;
    const SQL: &str = "delete from gate_share
         where not exists (select 1 from daemon d where d.id = gate_share.epoch and d.ended_at_ms is null)";
    on!(conn, "forget who held connections", c => sqlx::query(SQL).execute(&mut *c).await.map(|_| ()))
}

/// Complaints about mail to a provider since an instant.
pub async fn complaints(conn: Conn<'_>, provider_id: i64, since_ms: i64) -> Result<i64, StoreError> {
    const SQL: &str = "select count(*) from complaint c join message m on m.run_id = c.run_id and m.id = c.message_id
         where m.provider_id = $1 and c.at_ms >= $2";
    on!(conn, "count a provider's complaints", c => sqlx::query_scalar(SQL)
        .bind(provider_id).bind(since_ms).fetch_one(&mut *c).await)
}

/// Closes a gate until an instant, unless it is closed for longer already; a gate that is not there is made.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn close(
    conn: Conn<'_>,
    (route, provider_id): (&str, i64),
    until_ms: i64,
    why: &str,
) -> Result<(), StoreError> {
    const SQL: &str = "insert into gate (route, provider_id, closed_until_ms, why) values ($1, $2, $3, $4)
         on conflict (route, provider_id) do update set version = gate.version + 1, why = excluded.why,
           closed_until_ms = excluded.closed_until_ms where gate.closed_until_ms <= excluded.closed_until_ms";
    on!(conn, "close a gate", c => sqlx::query(SQL)
        .bind(route).bind(provider_id).bind(until_ms).bind(why).execute(&mut *c).await.map(|_| ()))
}

/// Opens a gate, and forgets what was learnt of it.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn open(conn: Conn<'_>, (route, provider_id): (&str, i64)) -> Result<(), StoreError> {
    const SQL: &str = "update gate set closed_until_ms = 0, why = null, learnt = null, ceiling = null, level = 0,
             version = version + 1 where route = $1 and provider_id = $2";
    on!(conn, "open a gate", c => sqlx::query(SQL).bind(route).bind(provider_id).execute(&mut *c).await.map(|_| ()))
}
