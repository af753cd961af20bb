//! The usual turn on PostgreSQL: plain 250s and arms, all in one statement that commits by itself.
//!
//! Every statement is a journey there and back and wakes a process at each end; a turn in steps made seven of them.
//! Nothing is armed unless every 250 met its armed row: what a slot owes and what it asks for stay in one commit.

use super::count::count_upsert;
use super::turn::{Arm, Outcome, Settle, Turn, Writer, arm_text, settle_text, shown_upsert, suppressed, turned};
use crate::store::{Line, StoreError};

/// `$1` epoch, `$2` to `$6` the 250s, `$7` to `$15` the wishes, `$16` what the mails show, `$17` how many 250s, `$18`
/// the account, `$19` the line. The rows come column by column: taking JSON apart was a fifth of the statement.
const TURN: &str = concat!(
    "with settled as (",
    settle_text!(
        "select * from unnest(cast($2 as bigint[]), cast($3 as bigint[]), cast($4 as bigint[]), cast($5 as bigint[]),
           cast($6 as text[]))"
    ),
    "), armed as (",
    arm_text!(
        "select * from unnest(cast($7 as bigint[]), cast($8 as bigint[]), cast($9 as bigint[]), cast($10 as bigint[]),
           cast($11 as bigint[]), cast($12 as bigint[]), cast($13 as text[]), cast($14 as bigint[]),
           cast($15 as bigint[]))",
        "join",
        "and (select count(*) from settled) = $17 order by m.run_id, m.id for update of m skip locked"
    ),
    "), kept as (",
    shown_upsert!(
        "select armed.run_id, armed.id, s.body
           from unnest(cast($7 as bigint[]), cast($8 as bigint[]), cast($16 as text[])) s(run_id, id, body)
           join armed on armed.run_id = s.run_id and armed.id = s.id where s.body <> ''"
    ),
    "), counted as (",
    count_upsert!(
        "select run_id, $18, variant, state, '', sum(n) from (
           select run_id, variant, 'armed' as state, -1 as n from settled
           union all select run_id, variant, 'sent', 1 from settled
           union all select run_id, variant, 'leased', -1 from armed
           union all select run_id, variant, 'armed', 1 from armed) moved
         group by run_id, variant, state having sum(n) <> 0"
    ),
    "), turned as (",
    turned!("$1", "$19"),
    ") select (select count(*) from settled), (select array_agg(id) from armed)"
);

/// Runs and commits a batch of plain 250s and arms. Returns, by turn, whether its arm was granted. `None`: a 250 met
/// another row than it thought; nothing was armed, and the batch is to be run again with care.
///
/// # Errors
/// The database's; whether it was committed is unknown.
///
/// # Crash
/// As [`turn::commit`](super::turn::commit).
pub async fn commit(mut line: Line, writer: Writer, turns: &[Turn]) -> Result<Option<Vec<bool>>, StoreError> {
    let settles: Vec<&Settle> = turns.iter().filter_map(|turn| turn.settle.as_ref()).collect();
    let arms: Vec<&Arm> = turns.iter().filter_map(|turn| turn.arm.as_ref()).collect();
    let owed = settles.len() as i64;
    let of_settles = |column: fn(&Settle) -> i64| -> Vec<i64> { settles.iter().map(|settle| column(settle)).collect() };
    let of_arms = |column: fn(&Arm) -> i64| -> Vec<i64> { arms.iter().map(|arm| column(arm)).collect() };
    let remote_ids: Vec<Option<&str>> = settles.iter().map(|settle| remote_id(settle)).collect();
    let (settled, granted): (i64, Option<Vec<i64>>) = sqlx::query_as(TURN)
        .bind(writer.epoch)
        .bind(of_settles(|settle| settle.run_id))
        .bind(of_settles(|settle| settle.id))
        .bind(of_settles(|settle| settle.attempt))
        .bind(of_settles(|settle| settle.at_ms))
        .bind(remote_ids)
        .bind(of_arms(|arm| arm.run_id))
        .bind(of_arms(|arm| arm.id))
        .bind(of_arms(|arm| arm.attempt))
        .bind(of_arms(|arm| arm.generation))
        .bind(of_arms(|arm| arm.mail_epoch))
        .bind(of_arms(|arm| arm.addr_key))
        .bind(arms.iter().map(|arm| arm.scope.as_str()).collect::<Vec<_>>())
        .bind(of_arms(|arm| arm.template_version_id))
        .bind(of_arms(|arm| arm.at_ms))
        .bind(arms.iter().map(|arm| arm.shown.as_str()).collect::<Vec<_>>())
        .bind(owed)
        .bind(writer.account())
        .bind(writer.line as i64)
        .fetch_one(&mut line.conn)
        .await
        .map_err(|error| StoreError::query("settle and arm messages", error))?;
    line.keep();
    if settled != owed {
        return Ok(None);
    }
    let granted = granted.unwrap_or_default();
    Ok(Some(turns.iter().map(|turn| turn.arm.as_ref().is_some_and(|arm| granted.contains(&arm.id))).collect()))
}

fn remote_id(settle: &Settle) -> Option<&str> {
    match &settle.outcome {
        Outcome::Sent { remote_id } => remote_id.as_deref(),
        _ => None,
    }
}
