//! The usual turn on SQLite: every 250 meets its armed row, every arm is granted.
//!
//! A batch of such turns is taken on trust, without a look at the rows first: each statement is to change just one row.
//! Where one does not, nothing of the batch is kept, and the caller runs it again with care. It speaks to the database
//! [directly](crate::store::direct): at thousands of commits a second, being woken is what costs.

use super::count::Deltas;
use super::turn::{Arm, Outcome, TURNED, Turn, Writer, shown_upsert, suppressed};
use crate::domain::message::MessageState;
use crate::store::{Db, Lane, StoreError, direct};

/// As [`turn`](super::turn) settles plain 250s, for one row: an update without a `from` needs no table aside.
const SETTLE: &str = "update message set state = 'sent', owner = null, sent_at_ms = ?4, remote_id = ?5
     where id = ?2 and run_id = ?1 and attempt = ?3 and state = 'armed' and sent_at_ms is null";
/// As [`turn`](super::turn) arms, for one row.
const ARM: &str = concat!(
    "update message set state = 'armed', armed_at_ms = coalesce(armed_at_ms, ?10), template_version_id = ?9
     where id = ?3 and run_id = ?2 and attempt = ?4 and state = 'leased' and owner = ?1
       and exists (select 1 from run r where r.id = ?2 and r.state = 'sending' and r.generation = ?5)
       and (member_id is null
            or exists (select 1 from member p where p.id = message.member_id and p.mail_epoch = ?6))
       and not ",
    suppressed!("?7", "?8", "?10")
);
const SHOWN: &str = shown_upsert!("values (?1, ?2, ?3)");

/// Runs and commits a batch of plain 250s and arms: all are granted. `None`: a row stood otherwise, and nothing was
/// done. Blocks the thread.
///
/// # Crash
/// As [`turn::commit`](super::turn::commit).
pub async fn commit(db: &Db, by: Writer, turns: &[Turn]) -> Result<Option<Vec<bool>>, StoreError> {
    let Some(mut writer) = db.direct(Lane::Turn).await else { return Ok(None) };
    let tx = writer.begin()?;
    let mut deltas = Deltas::default();
    for settle in turns.iter().filter_map(|turn| turn.settle.as_ref()) {
        let Outcome::Sent { remote_id } = &settle.outcome else { return Ok(None) };
        let row = (settle.run_id, settle.id, settle.attempt, settle.at_ms, remote_id);
        if direct::run(&tx, "settle a message", SETTLE, row)? != 1 {
            return Ok(None);
        }
        deltas.moved(settle.run_id, settle.variant, (MessageState::Armed, None), (MessageState::Sent, None));
    }
    for arm in turns.iter().filter_map(|turn| turn.arm.as_ref()) {
        let Arm { run_id, id, attempt, generation, mail_epoch, addr_key, scope, template_version_id, at_ms, .. } = arm;
        let row = (by.epoch, run_id, id, attempt, generation, mail_epoch, addr_key, scope, template_version_id, at_ms);
        if direct::run(&tx, "arm a message", ARM, row)? != 1 {
            return Ok(None);
        }
        if !arm.shown.is_empty() {
            direct::run(&tx, "keep what was shown", SHOWN, (arm.run_id, arm.id, &arm.shown))?;
        }
        deltas.moved(arm.run_id, arm.variant, (MessageState::Leased, None), (MessageState::Armed, None));
    }
    deltas.write_directly(&tx, by.account())?;
    direct::run(&tx, "count a turn", TURNED, (by.epoch, by.line as i64))?;
    direct::commit(tx)?;
    Ok(Some(turns.iter().map(|turn| turn.arm.is_some()).collect()))
}
