//! Turns: settle what was tried, arm what is next, many slots in one commit.

use std::collections::HashMap;

use super::count::Deltas;
use super::{at_once, swift};
use crate::base::text;
use crate::domain::bounce::{ReplyClass, Threshold};
use crate::domain::message::{MessageEvent, MessageState};
use crate::store::strike::{self, Strike};
use crate::store::{Conn, Db, Lane, Pair, Rows, StoreError};
use crate::{bulk, on};

/// Longest reply text kept, bytes.
const REPLY_BYTES_MAX: usize = 512;

/// What a slot hands the writer: what it owes and what it asks for. Never split over two commits, or a crash between
/// them could leave two rows of one slot in doubt.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    pub settle: Option<Settle>,
    pub arm: Option<Arm>,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct Settle {
    pub run_id: i64,
    pub id: i64,
    pub attempt: i64,
    pub variant: i64,
    pub outcome: Outcome,
    pub at_ms: i64,
    /// What the other side said, for every attempt that did not end in a plain 250.
    pub trouble: Option<Trouble>,
}

/// The outcomes of an attempt, each carrying its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 250 after the dot; the next hop's own id of the mail.
    Sent { remote_id: Option<String> },
    /// Refused for good by the recipient's side.
    Bounced { why: &'static str },
    /// Refused for now: a try is counted.
    Deferred { due_at_ms: i64 },
    /// Given back before a dot was armed, or armed and never handed to the socket: no try is counted.
    Released { due_at_ms: i64 },
    /// Given up by us.
    Failed { why: &'static str },
    /// Not sent, for a reason found at claim or at render.
    Skipped { why: &'static str },
    /// The dot may have been written and no reply came.
    Lost,
}

/// An attempt's trouble as it is kept in `delivery`.
#[derive(Debug, Clone, Default)]
pub struct Trouble {
    pub route: String,
    pub stage: &'static str,
    pub class: &'static str,
    pub code: Option<u16>,
    pub enhanced: Option<String>,
    pub text: String,
    /// What counts against the address if the message ends here, with when that is enough to suppress it.
    pub against: Option<(ReplyClass, Threshold)>,
}

/// The wish to write a final dot, with everything it was decided on.
#[derive(Debug, Clone)]
pub struct Arm {
    pub run_id: i64,
    pub id: i64,
    pub attempt: i64,
    pub variant: i64,
    pub generation: i64,
    /// The member's mail epoch when it was read; 0 where the message has no member.
    pub mail_epoch: i64,
    pub addr_key: i64,
    /// The suppression scope besides `all`: the topic. Empty where only `all` counts, `?` where not all of it does.
    pub scope: String,
    pub template_version_id: i64,
    pub at_ms: i64,
    /// What the mail shows, as JSON.
    pub shown: String,
}

#[derive(sqlx::FromRow)]
struct Standing {
    run_id: i64,
    id: i64,
    attempt: i64,
    variant: i64,
    state: String,
    why: Option<String>,
    sent_at_ms: Option<i64>,
    addr_key: Option<i64>,
}

/// A daemon's writer of turns: its epoch, and which of its lines it writes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    pub epoch: i64,
    pub line: usize,
}

impl Writer {
    /// The account it counts rows on. Nobody else writes to it, so that no turn waits for a claim, a sweep or another
    /// line.
    pub(super) fn account(self) -> i64 {
        self.epoch + ((self.line as i64 + 1) << 40)
    }
}

/// Runs a batch of turns in one transaction: all settles, then all arms. Returns, by turn, whether its arm was granted,
/// after the commit returned success: only then a slot goes on. A batch of the usual kind takes a shorter way first.
///
/// # Crash
/// Before the commit nothing happened. After it, what was armed is put in doubt by `recover`.
pub async fn commit(db: &Db, writer: Writer, turns: &[Turn]) -> Result<Vec<bool>, StoreError> {
    if turns.iter().all(|turn| turn.settle.as_ref().is_none_or(Settle::is_plain)) {
        let granted = match db.line(writer.line).await? {
            Some(line) => at_once::commit(line, writer, turns).await?,
            None => swift::commit(db, writer, turns).await?,
        };
        if let Some(granted) = granted {
            return Ok(granted);
        }
    }
    let mut tx = db.begin_by_key(Lane::Turn).await?;
    let granted = run(tx.conn(), writer, turns).await?;
    tx.commit().await?;
    Ok(granted)
}

/// A batch of turns, some of which may be refused.
async fn run(mut conn: Conn<'_>, writer: Writer, turns: &[Turn]) -> Result<Vec<bool>, StoreError> {
    let mut deltas = Deltas::default();
    let (plain, mut others): (Vec<&Settle>, Vec<&Settle>) =
        turns.iter().filter_map(|turn| turn.settle.as_ref()).partition(|settle| settle.is_plain());
    let arms: Vec<&Arm> = turns.iter().filter_map(|turn| turn.arm.as_ref()).collect();
    let settled = settle_plain(conn.again(), &plain).await?;
    let granted = arm(conn.again(), writer.epoch, &arms).await?;
    for ((run_id, _), variant) in &settled {
        deltas.moved(*run_id, *variant, (MessageState::Armed, None), (MessageState::Sent, None));
    }
    others.extend(plain.into_iter().filter(|settle| !settled.contains_key(&(settle.run_id, settle.id))));
    settle(conn.again(), &others, &mut deltas).await?;
    let armed: Vec<&Arm> = arms.into_iter().filter(|arm| granted.contains_key(&(arm.run_id, arm.id))).collect();
    for arm in &armed {
        deltas.moved(arm.run_id, arm.variant, (MessageState::Leased, None), (MessageState::Armed, None));
    }
    write_down(conn, writer, &armed, deltas).await?;
    Ok(turns
        .iter()
        .map(|turn| turn.arm.as_ref().is_some_and(|arm| granted.contains_key(&(arm.run_id, arm.id))))
        .collect())
}

/// Settles: the rows are locked in order, the next state is decided by [`MessageState::next`], one update writes them.
/// Repeating a settle changes nothing; a 250 counts whenever it comes.
pub(super) async fn settle(mut conn: Conn<'_>, settles: &[&Settle], deltas: &mut Deltas) -> Result<(), StoreError> {
    if settles.is_empty() {
        return Ok(());
    }
    let standing = standing(conn.again(), settles).await?;
    let (mut rows, mut strikes) = (Rows::default(), Vec::new());
    for settle in settles {
        let Some(row) = standing.get(&(settle.run_id, settle.id)) else { continue };
        let Some(moved) = decide(settle, row)? else { continue };
        deltas.moved(row.run_id, row.variant, (state_of(row)?, row.why.as_deref()), (moved.state, moved.why));
        strikes.extend(against(settle, row, moved.state));
        rows.push(&(
            row.run_id,
            row.id,
            moved.state,
            moved.due_at_ms,
            moved.keeps_owner,
            moved.tries,
            moved.sent_at_ms,
            moved.why,
            moved.remote_id,
        ));
    }
    const SQL: Pair = bulk!(
        "with s as materialized (select cast(value ->> 0 as bigint) as run_id, cast(value ->> 1 as bigint) as id,
             cast(value ->> 2 as text) as state, cast(value ->> 3 as bigint) as due_at_ms,
             cast(value ->> 4 as bigint) as keeps_owner, cast(value ->> 5 as bigint) as tries,
             cast(value ->> 6 as bigint) as sent_at_ms, cast(value ->> 7 as text) as why,
             cast(value ->> 8 as text) as remote_id
           from",
        "$1",
        ") update message set state = s.state, due_at_ms = s.due_at_ms,
             owner = case s.keeps_owner when 1 then message.owner end, tries = message.tries + s.tries,
             sent_at_ms = coalesce(message.sent_at_ms, s.sent_at_ms), why = s.why,
             remote_id = coalesce(s.remote_id, message.remote_id)
           from s where message.run_id = s.run_id and message.id = s.id"
    );
    if !rows.is_empty() {
        let (sql, rows) = (conn.pick(&SQL), rows.json());
        on!(conn.again(), "settle messages", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))?;
    }
    strike::record(conn.again(), &strikes, "smtp").await?;
    keep_trouble(conn, settles).await
}

/// What counts against the address of a message that ended undelivered.
fn against(settle: &Settle, row: &Standing, state: MessageState) -> Option<Strike> {
    let (class, threshold) = settle.trouble.as_ref()?.against?;
    let ended = matches!(state, MessageState::Bounced | MessageState::Failed);
    let addr_key = row.addr_key.filter(|_| ended)?;
    Some(Strike { addr_key, class, threshold, at_ms: settle.at_ms })
}

async fn standing(conn: Conn<'_>, settles: &[&Settle]) -> Result<HashMap<(i64, i64), Standing>, StoreError> {
    const SQL: Pair = Pair {
        sqlite:
            "select m.run_id, m.id, m.attempt, m.variant, m.state, m.why, m.sent_at_ms, m.addr_key from json_each($1) s
             cross join message m on m.id = cast(s.value ->> 1 as bigint) and m.run_id = cast(s.value ->> 0 as bigint)",
        // Other daemons write here: lock, in the order every statement over several rows locks in.
        postgres: "select m.run_id, m.id, m.attempt, m.variant, m.state, m.why, m.sent_at_ms, m.addr_key
             from json_array_elements(cast($1 as json)) s
             join message m on m.run_id = cast(s.value ->> 0 as bigint) and m.id = cast(s.value ->> 1 as bigint)
             order by m.run_id, m.id for update of m",
    };
    let sql = conn.pick(&SQL);
    let keys = Rows::of(settles.iter().map(|settle| (settle.run_id, settle.id))).json();
    let rows: Vec<Standing> =
        on!(conn, "read messages to settle", c => sqlx::query_as(sql).bind(&keys).fetch_all(&mut *c).await)?;
    Ok(rows.into_iter().map(|row| ((row.run_id, row.id), row)).collect())
}

fn state_of(row: &Standing) -> Result<MessageState, StoreError> {
    row.state.parse().map_err(|e| StoreError::Inconsistent { what: format!("message {} in state {e}", row.id) })
}

struct Moved<'s> {
    state: MessageState,
    due_at_ms: Option<i64>,
    keeps_owner: i64,
    tries: i64,
    sent_at_ms: Option<i64>,
    why: Option<&'s str>,
    remote_id: Option<&'s str>,
}

/// What a settle does to a row as it stands; `None` when it no longer concerns it.
fn decide<'s>(settle: &'s Settle, row: &'s Standing) -> Result<Option<Moved<'s>>, StoreError> {
    let state = state_of(row)?;
    let mine = row.attempt == settle.attempt
        && matches!(state, MessageState::Leased | MessageState::Armed | MessageState::InDoubt);
    let mut moved =
        Moved { state, due_at_ms: None, keeps_owner: 0, tries: 0, sent_at_ms: None, why: None, remote_id: None };
    let event = match &settle.outcome {
        Outcome::Sent { remote_id } => {
            if settle.attempt > row.attempt {
                return Ok(None);
            }
            moved.sent_at_ms = Some(settle.at_ms);
            moved.remote_id = remote_id.as_deref();
            if !mine && state == MessageState::Armed {
                // A later attempt is on the wire just now: its own result will read `sent`.
                moved.keeps_owner = 1;
                moved.why = row.why.as_deref();
                return Ok(Some(moved));
            }
            MessageEvent::Accepted
        }
        _ if !mine => return Ok(None),
        Outcome::Bounced { why } => {
            moved.why = Some(why);
            MessageEvent::Refused
        }
        Outcome::Deferred { due_at_ms } => {
            moved.due_at_ms = Some(*due_at_ms);
            moved.tries = 1;
            MessageEvent::Deferred
        }
        Outcome::Released { due_at_ms } => {
            moved.due_at_ms = Some(*due_at_ms);
            if state == MessageState::Leased { MessageEvent::Released } else { MessageEvent::NotSent }
        }
        Outcome::Failed { why } => {
            moved.why = Some(why);
            MessageEvent::GivenUp
        }
        Outcome::Skipped { why } => {
            moved.why = Some(why);
            MessageEvent::Skipped
        }
        Outcome::Lost => MessageEvent::Lost,
    };
    let Some(next) = state.next(event) else { return Ok(None) };
    moved.state = next;
    if row.sent_at_ms.is_some() && next != MessageState::Sent {
        // An earlier attempt's 250 came meanwhile: whatever this attempt's end, the mail was accepted.
        moved = Moved { state: MessageState::Sent, due_at_ms: None, tries: 0, why: None, ..moved };
    }
    Ok(Some(moved))
}

async fn keep_trouble(conn: Conn<'_>, settles: &[&Settle]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "insert into delivery (run_id, message_id, attempt, at_ms, route, stage, outcome, class, code, enhanced, text)
         select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as bigint),
                cast(value ->> 3 as bigint), cast(value ->> 4 as text), cast(value ->> 5 as text),
                cast(value ->> 6 as text), cast(value ->> 7 as text), cast(value ->> 8 as bigint),
                cast(value ->> 9 as text), cast(value ->> 10 as text)
         from",
        "$1",
        ""
    );
    let mut rows = Rows::default();
    for settle in settles {
        let Some(trouble) = &settle.trouble else { continue };
        let said = text::mask_addresses(&text::clean(&trouble.text, REPLY_BYTES_MAX));
        rows.push(&(
            settle.run_id,
            settle.id,
            settle.attempt,
            settle.at_ms,
            &trouble.route,
            trouble.stage,
            settle.outcome.as_str(),
            trouble.class,
            trouble.code,
            &trouble.enhanced,
            said,
        ));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let (sql, rows) = (conn.pick(&SQL), rows.json());
    on!(conn, "keep what a server said", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))
}

impl Settle {
    /// A 250 and nothing else to tell: the usual end, which needs no look at how the row stands.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.outcome, Outcome::Sent { .. }) && self.trouble.is_none()
    }
}

impl Outcome {
    /// The word for it in `delivery`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Sent { .. } => "sent",
            Outcome::Bounced { .. } => "bounced",
            Outcome::Deferred { .. } => "deferred",
            Outcome::Released { .. } => "released",
            Outcome::Failed { .. } => "failed",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Lost => "in_doubt",
        }
    }
}

/// Rows by (run, id), with their variant.
type Keyed = HashMap<(i64, i64), i64>;

/// Settles plain 250s of armed rows: `$rows` selects run, message, attempt, instant and the next hop's id.
macro_rules! settle_text {
    ($rows:expr) => {
        concat!(
            "with s(run_id, id, attempt, sent_at_ms, remote_id) as materialized (",
            $rows,
            ") update message set state = 'sent', owner = null, sent_at_ms = s.sent_at_ms, remote_id = s.remote_id
               from s where message.run_id = s.run_id and message.id = s.id and message.attempt = s.attempt
                 and message.state = 'armed' and message.sent_at_ms is null
               returning message.run_id, message.id, message.variant"
        )
    };
}
macro_rules! settle_rows {
    ($opened:literal) => {
        concat!(
            "select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as bigint),
               cast(value ->> 3 as bigint), cast(value ->> 4 as text) from ",
            $opened
        )
    };
}

/// What was settled of plain 250s. Rows that stand otherwise are left to [`settle`].
async fn settle_plain(conn: Conn<'_>, plain: &[&Settle]) -> Result<Keyed, StoreError> {
    const SQL: Pair = Pair {
        sqlite: settle_text!(settle_rows!("json_each($1)")),
        postgres: settle_text!(settle_rows!("json_array_elements(cast($1 as json))")),
    };
    if plain.is_empty() {
        return Ok(Keyed::default());
    }
    let sent = Rows::of(plain.iter().filter_map(|settle| match &settle.outcome {
        Outcome::Sent { remote_id } => Some((settle.run_id, settle.id, settle.attempt, settle.at_ms, remote_id)),
        _ => None,
    }));
    let (sql, sent) = (conn.pick(&SQL), sent.json());
    let rows: Vec<(i64, i64, i64)> =
        on!(conn, "settle messages", c => sqlx::query_as(sql).bind(&sent).fetch_all(&mut *c).await)?;
    Ok(rows.into_iter().map(|(run_id, id, variant)| ((run_id, id), variant)).collect())
}

/// An entry of the suppression list that forbids a mail. What the reader may be asked about does not forbid asking
/// ([`SuppressionReason::may_be_asked`](crate::domain::suppression::SuppressionReason::may_be_asked)). An address has
/// few entries: the scope is no key to look them up by, or SQLite makes a table of two scopes for every mail.
macro_rules! suppressed {
    ($addr_key:literal, $scope:literal, $at_ms:literal) => {
        concat!(
            "exists (select 1 from suppression x where x.addr_key = ",
            $addr_key,
            " and x.scope || '' in ('all', ",
            $scope,
            ") and (x.expires_at_ms is null or x.expires_at_ms > ",
            $at_ms,
            ") and (",
            $scope,
            " <> '?' or x.reason not in ('unsubscribe', 'erased', 'soft_bounce')))"
        )
    };
}

/// Arms what is leased by this epoch at the wished attempt and forbidden by nothing. What may forbid it stands here
/// and, for a single row, in [`swift`]: the queue's contract and simulation run both. `$rows` selects the wishes,
/// `$join` has SQLite begin with them, `$lock` passes over what somebody else is touching on PostgreSQL: an arm never
/// waits. The owner stands where no index knows it, or PostgreSQL walks over everything that is owned for each row.
macro_rules! arm_text {
    ($rows:expr, $join:literal, $lock:literal) => {
        concat!(
            "with a(run_id, id, attempt, generation, mail_epoch, addr_key, scope, template_version_id, at_ms)
                 as materialized (",
            $rows,
            "), ok as materialized (select a.* from a ",
            $join,
            " message m on m.run_id = a.run_id and m.id = a.id and m.attempt = a.attempt and m.state = 'leased'
                 and coalesce(m.owner, 0) = $1
               join run r on r.id = a.run_id and r.state = 'sending' and r.generation = a.generation
               left join member p on p.id = m.member_id
               where (m.member_id is null or p.mail_epoch = a.mail_epoch) and not ",
            suppressed!("a.addr_key", "a.scope", "a.at_ms"),
            " ",
            $lock,
            ") update message set state = 'armed', armed_at_ms = coalesce(message.armed_at_ms, ok.at_ms),
                 template_version_id = ok.template_version_id
               from ok where message.run_id = ok.run_id and message.id = ok.id
               returning message.run_id, message.id, message.variant"
        )
    };
}

macro_rules! arm_rows {
    ($opened:literal) => {
        concat!(
            "select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as bigint),
               cast(value ->> 3 as bigint), cast(value ->> 4 as bigint), cast(value ->> 5 as bigint),
               cast(value ->> 6 as text), cast(value ->> 7 as bigint), cast(value ->> 8 as bigint) from ",
            $opened
        )
    };
}

/// Arms what may be armed; what was granted.
async fn arm(conn: Conn<'_>, epoch: i64, arms: &[&Arm]) -> Result<Keyed, StoreError> {
    const SQL: Pair = Pair {
        sqlite: arm_text!(arm_rows!("json_each($2)"), "cross join", ""),
        postgres: arm_text!(
            arm_rows!("json_array_elements(cast($2 as json))"),
            "join",
            "order by m.run_id, m.id for update of m skip locked"
        ),
    };
    if arms.is_empty() {
        return Ok(Keyed::default());
    }
    let wished = Rows::of(arms.iter().map(|arm| {
        let (version, at_ms) = (arm.template_version_id, arm.at_ms);
        (arm.run_id, arm.id, arm.attempt, arm.generation, arm.mail_epoch, arm.addr_key, &arm.scope, version, at_ms)
    }));
    let (sql, wished) = (conn.pick(&SQL), wished.json());
    let rows: Vec<(i64, i64, i64)> =
        on!(conn, "arm messages", c => sqlx::query_as(sql).bind(epoch).bind(&wished).fetch_all(&mut *c).await)?;
    Ok(rows.into_iter().map(|(run_id, id, variant)| ((run_id, id), variant)).collect())
}

/// Keeps what mails show: `$rows` selects run, message and record.
macro_rules! shown_upsert {
    ($rows:literal) => {
        concat!(
            "insert into shown (run_id, message_id, body) ",
            $rows,
            " on conflict (run_id, message_id) do update set body = excluded.body"
        )
    };
}
pub(super) use {arm_text, settle_text, shown_upsert, suppressed};

/// Counts a turn of `$epoch` on `$line`.
macro_rules! turned {
    ($epoch:literal, $line:literal) => {
        concat!("update turn_line set turn_no = turn_no + 1 where daemon_id = ", $epoch, " and line = ", $line)
    };
}
pub(super) use turned;
pub(super) const TURNED: &str = turned!("$1", "$2");

/// What was shown, the counts, and the turn's number.
async fn write_down(mut conn: Conn<'_>, writer: Writer, armed: &[&Arm], deltas: Deltas) -> Result<(), StoreError> {
    const SHOWN: Pair = Pair {
        sqlite: shown_upsert!(
            "select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as text)
             from json_each($1) where true"
        ),
        postgres: shown_upsert!(
            "select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as text)
             from json_array_elements(cast($1 as json))"
        ),
    };
    let shown = Rows::of(armed.iter().filter(|arm| !arm.shown.is_empty()).map(|arm| (arm.run_id, arm.id, &arm.shown)));
    if !shown.is_empty() {
        let (sql, shown) = (conn.pick(&SHOWN), shown.json());
        on!(conn.again(), "keep what was shown", c => sqlx::query(sql).bind(&shown).execute(&mut *c).await.map(|_| ()))?;
    }
    deltas.write(conn.again(), writer.account()).await?;
    let Writer { epoch, line } = writer;
    on!(conn, "count a turn", c => sqlx::query(TURNED).bind(epoch).bind(line as i64).execute(&mut *c).await.map(|_| ()))
}

#[cfg(test)]
mod tests {
    use crate::domain::suppression::{SCOPE_ASKING, SuppressionReason};

    #[test]
    fn the_text_names_the_reasons_one_may_be_asked_about() {
        let text = suppressed!("a", "b", "c");
        assert!(text.contains(&format!("<> '{SCOPE_ASKING}'")));
        for reason in SuppressionReason::ALL {
            assert_eq!(text.contains(&format!("'{reason}'")), reason.may_be_asked(), "{reason}");
        }
    }
}
