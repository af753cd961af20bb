//! Enqueue: an audience becomes message rows, a range of member ids at a time. Every member is looked at once.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Transaction;

use super::count::Deltas;
use crate::domain::campaign::{MailClass, VARIANTS_MAX};
use crate::domain::gate::WARM_FIRST_MS;
use crate::domain::message::MessageState;
use crate::store::run::{self, Run};
use crate::store::segment::{Bind, Where};
use crate::store::{Conn, Db, Lane, Pair, Rows, StoreError, direct, tally};
use crate::{bulk, on};

/// The first placeholder of the segment's own predicate: those before it are [`Freeze`]'s.
pub const FIRST: usize = 16 + VARIANTS_MAX;

// $1 run, $2 and $3 the range, $4 the topic or '', $5 now, $6 due, $7·lot + $8 draws the variant, $9·lot + $10 the
// holdout, $11 below which is held out, $12 … $18 the bounds of all variants but the last, $19 since when a member must
// have given a sign of life, or 0; $20 to $22 since when whoever opened or followed a mail goes before others, or 0;
// $23 whether to look for addresses that have a mail of the run already: 1 or 0.
macro_rules! variant {
    () => {
        "case when ($7 * m.lot + $8) % 2147483647 < $12 then 0 when ($7 * m.lot + $8) % 2147483647 < $13 then 1
              when ($7 * m.lot + $8) % 2147483647 < $14 then 2 when ($7 * m.lot + $8) % 2147483647 < $15 then 3
              when ($7 * m.lot + $8) % 2147483647 < $16 then 4 when ($7 * m.lot + $8) % 2147483647 < $17 then 5
              when ($7 * m.lot + $8) % 2147483647 < $18 then 6 else 7 end"
    };
}
macro_rules! is_held {
    () => {
        "case when ($9 * m.lot + $10) % 2147483647 < $11 then 1 else 0 end"
    };
}
// Whoever is older than the bound and has neither ordered, nor done anything on the pages, nor opened or followed a
// mail since: machines' touches are no sign of life.
macro_rules! is_silent {
    () => {
        "(m.created_at_ms < $19 and coalesce(m.last_order_at_ms, 0) < $19
          and not exists (select 1 from touch t where t.member_id = m.id and t.at_ms >= $19
                          and t.class in ('human', 'proxy'))
          and not exists (select 1 from event e where e.member_id = m.id and e.at_ms >= $19))"
    };
}
// By how many milliseconds a member's mail is due later than the first: a lane is claimed in that order. Machines'
// touches are no sign of a reader.
macro_rules! rank {
    () => {
        "case when $22 = 0 then 0 else coalesce((select min(case when t.at_ms >= $20 then 0 when t.at_ms >= $21 then 1 else 2 end)
             from touch t where t.member_id = m.id and t.at_ms >= $22 and t.class in ('human', 'proxy')), 3) end"
    };
}
// An address that went to another member after its first was frozen.
macro_rules! has_it_already {
    () => {
        "($23 = 1 and exists (select 1 from message d where d.run_id = $1 and d.addr_key = m.addr_key))"
    };
}
macro_rules! is_suppressed {
    () => {
        "(everywhere.addr_key is not null and (everywhere.expires_at_ms is null or everywhere.expires_at_ms > $5)
          or here.addr_key is not null and (here.expires_at_ms is null or here.expires_at_ms > $5))"
    };
}

/// Why a member of the segment gets no mail, counted from 1 in the text's `kind`.
const LEFT_OUT: [&str; 4] = ["no_consent", "suppressed", "silent", "same_address"];
// Every member of the segment in the range, looked at once, as `kind`, id, addr_key, rank. Members of one `kind` share
// provider, variant, whether they are held out and why they get none: one number, by which they are quickly counted.
macro_rules! judged {
    () => {
        concat!(
            "select ((m.provider_id * 8 + ",
            variant!(),
            ") * 2 + ",
            is_held!(),
            ") * 8 + case when $4 <> '' and coalesce(consent.state, '') <> 'granted' then 1 when ",
            is_suppressed!(),
            " then 2 when ",
            is_silent!(),
            " then 3 when ",
            has_it_already!(),
            " then 4 else 0 end as kind, m.id as id, m.addr_key as addr_key, ",
            rank!(),
            " as rank
             from member m
             left join consent on consent.member_id = m.id and consent.topic = $4
                              and consent.member_id > $2 and consent.member_id <= $3
             left join suppression everywhere on everywhere.addr_key = m.addr_key and everywhere.scope = 'all'
             left join suppression here on here.addr_key = m.addr_key and here.scope = $4
             where m.id > $2 and m.id <= $3 and {where}"
        )
    };
}
// An address met twice is the unique key's error: `on conflict` would look into every such index before each row.
macro_rules! put {
    ($judged:expr, $kind:literal, $order:literal) => {
        concat!(
            "insert into message (run_id, origin, member_id, provider_id, addr_key, variant, state, due_at_ms)
             select $1, id, id, kind / 128, addr_key, kind / 16 % 8,
                    case kind / 8 % 2 when 1 then 'held' else 'queued' end,
                    case kind / 8 % 2 when 1 then null else $6 + rank end
             from ",
            $judged,
            " where ",
            $kind,
            " % 8 = 0 ",
            $order
        )
    };
}
const PUT: Pair = Pair {
    // A limit of none keeps each member's kind from being found out once for every place where it stands.
    sqlite: put!(concat!("(", judged!(), " order by m.id limit -1)"), "tally(kind)", ""),
    postgres: concat!(
        "with judged as materialized (",
        judged!(),
        "), put as (",
        put!("judged", "kind", "order by id"),
        " returning 1)
         select kind, count(*), (select count(*) from put) from judged group by kind"
    ),
};

const EXCLUDED: Pair = bulk!(
    "insert into run_excluded (run_id, reason, n)
     select $1, r.reason, cast(sum(r.n) as bigint) from (
       select cast(value ->> 0 as text) as reason, cast(value ->> 1 as bigint) as n from",
    "$2",
    ") r
     where true group by r.reason
     on conflict (run_id, reason) do update set n = run_excluded.n + excluded.n"
);
const LANES: Pair = bulk!(
    "insert into run_lane (run_id, provider_id) select distinct $1, cast(value ->> 0 as bigint) from",
    "$2",
    "where true on conflict do nothing"
);

/// How long one chunk may hold the database before it is ended.
const CHUNK_MAX: Duration = Duration::from_secs(10);

/// The highest member id there is: what a freeze walks up to.
pub async fn last_member(conn: Conn<'_>) -> Result<i64, StoreError> {
    const SQL: &str = "select coalesce(max(id), 0) from member";
    on!(conn, "find the last member", c => sqlx::query_scalar(SQL).fetch_one(&mut *c).await)
}

/// How a freeze looks at the age of what members did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// A marketing mail is not for those who gave no sign of life for so long.
    pub sunset_ms: Option<i64>,
    /// The most engaged get theirs first ([`WARM_FIRST_MS`]).
    pub engaged_first: bool,
}

/// The freeze of one run.
pub struct Freeze {
    run_id: i64,
    audience: Where,
    /// All leading binds; what differs from chunk to chunk is put in.
    binds: Vec<Bind>,
}

/// Members of one chunk who share everything that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    provider_id: i64,
    variant: i64,
    is_held: bool,
    left_out: Option<&'static str>,
}

impl Kind {
    /// As the texts number them.
    fn of(kind: i64) -> Kind {
        Kind {
            provider_id: kind / 128,
            variant: kind / 16 % 8,
            is_held: kind / 8 % 2 == 1,
            left_out: (kind % 8).checked_sub(1).and_then(|left_out| LEFT_OUT.get(left_out as usize).copied()),
        }
    }
}

impl Freeze {
    /// The freeze of `run` as of `now_ms`, over the members that `audience` (compiled from [`FIRST`]) selects.
    pub fn new(run: &Run, now_ms: i64, manner: Manner, audience: Where) -> Freeze {
        let draws = run.doc.draws(run.seed);
        let topic = if run.doc.class == MailClass::Marketing { run.doc.topic.clone() } else { String::new() };
        let due_at_ms = run.scheduled_for_ms.max(now_ms);
        let mut binds = vec![
            Bind::Int(run.id),
            Bind::Int(0),
            Bind::Int(0),
            Bind::Text(topic),
            Bind::Int(now_ms),
            Bind::Int(due_at_ms),
        ];
        let (variant, holdout) = (draws.variant, draws.holdout);
        binds.extend([variant.a, variant.b, holdout.a, holdout.b, draws.holdout_below].map(Bind::Int));
        let bounds = draws.variant_below.iter().copied().chain(std::iter::repeat(i64::MAX));
        binds.extend(bounds.take(VARIANTS_MAX - 1).map(Bind::Int));
        let sunset_ms = manner.sunset_ms.filter(|_| run.doc.class == MailClass::Marketing);
        binds.push(Bind::Int(sunset_ms.map_or(0, |ms| now_ms.saturating_sub(ms).max(0))));
        let since = |ms: i64| if manner.engaged_first { now_ms.saturating_sub(ms).max(1) } else { 0 };
        binds.extend(WARM_FIRST_MS.map(since).map(Bind::Int));
        binds.push(Bind::Int(0));
        Freeze { run_id: run.id, audience, binds }
    }

    /// Freezes the members with ids in `(from, to]`: inserts them, counts them and those left out, notes their lanes,
    /// and moves the run's cursor. `false`: the cursor stands elsewhere, the range is not ours.
    ///
    /// # Errors
    /// [`StoreError::TooLong`] when the segment cannot be answered in time for so many.
    ///
    /// # Crash
    /// One transaction: the rows, what counts them, and the cursor.
    pub async fn freeze(self: &Arc<Self>, db: &Db, from: i64, to: i64) -> Result<bool, StoreError> {
        match self.try_freeze(db, (from, to), false).await {
            // Rare enough that no other chunk should have to look.
            Err(error) if error.is_unique_violation() => self.try_freeze(db, (from, to), true).await,
            done => done,
        }
    }

    async fn try_freeze(self: &Arc<Self>, db: &Db, range: (i64, i64), is_wary: bool) -> Result<bool, StoreError> {
        let freeze = self.clone();
        if let Some(done) = db.write_directly(Lane::Bulk, move |tx| freeze.put_directly(tx, range, is_wary)).await {
            return done;
        }
        let mut tx = db.begin(Lane::Bulk).await?;
        if !run::advance_freeze(tx.conn(), self.run_id, range.0, range.1).await? {
            return Ok(false);
        }
        let put = self.audience.fill(PUT.postgres, &self.binds(range, is_wary)).within(CHUNK_MAX);
        let kinds: Vec<(i64, i64, i64)> = put.rows(tx.conn()).await?;
        let inserted = kinds.first().map_or(0, |first| first.2);
        let counted = Counted::of(self.run_id, kinds.into_iter().map(|(kind, n, _)| (kind, n)), inserted)?;
        counted.deltas.write(tx.conn(), 0).await?;
        for (sql, rows) in [(&EXCLUDED, counted.excluded), (&LANES, counted.lanes)] {
            if !rows.is_empty() {
                let (sql, rows) = (tx.conn().pick(sql), rows.json());
                on!(tx.conn(), "note a freeze's lanes and exclusions", c => sqlx::query(sql)
                    .bind(self.run_id).bind(&rows).execute(&mut *c).await.map(|_| ()))?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// The same on a SQLite file's own thread.
    fn put_directly(&self, tx: &Transaction<'_>, range: (i64, i64), is_wary: bool) -> Result<bool, StoreError> {
        if !run::advance_freeze_directly(tx, self.run_id, range.0, range.1)? {
            return Ok(false);
        }
        let put = self.audience.fill(PUT.sqlite, &self.binds(range, is_wary)).within(CHUNK_MAX);
        let (inserted, kinds) = tally::of(tx, || put.execute_directly(tx))?;
        let counted = Counted::of(self.run_id, kinds, inserted as i64)?;
        counted.deltas.write_directly(tx, 0)?;
        for (sql, rows) in [(&EXCLUDED, counted.excluded), (&LANES, counted.lanes)] {
            if !rows.is_empty() {
                direct::run(tx, "note a freeze's lanes and exclusions", sql.sqlite, (self.run_id, rows.json()))?;
            }
        }
        Ok(true)
    }

    fn binds(&self, (from, to): (i64, i64), is_wary: bool) -> Vec<Bind> {
        let mut binds = self.binds.clone();
        for (number, value) in [(2, from), (3, to), (FIRST - 1, i64::from(is_wary))] {
            binds[number - 1] = Bind::Int(value);
        }
        binds
    }
}

/// What a chunk comes to.
struct Counted {
    deltas: Deltas,
    excluded: Rows,
    lanes: Rows,
}

impl Counted {
    /// Of so many members of each kind, of whom so many were `inserted`.
    fn of(run_id: i64, kinds: impl IntoIterator<Item = (i64, i64)>, inserted: i64) -> Result<Counted, StoreError> {
        let mut sums = Counted { deltas: Deltas::default(), excluded: Rows::default(), lanes: Rows::default() };
        let mut counted = 0;
        for (kind, n) in kinds {
            let kind = Kind::of(kind);
            if let Some(reason) = kind.left_out {
                sums.excluded.push(&(reason, n));
                continue;
            }
            let state = if kind.is_held { MessageState::Held } else { MessageState::Queued };
            sums.deltas.add(run_id, kind.variant, state, None, n);
            sums.lanes.push(&(kind.provider_id,));
            counted += n;
        }
        if inserted != counted {
            let what = format!("run {run_id}: {counted} members of a range were to be frozen, {inserted} were");
            return Err(StoreError::Inconsistent { what });
        }
        Ok(sums)
    }
}
