//! The usual turn on SQLite: every 250 meets its armed row, every arm is granted.
//!
//! A statement there is a hand-over to the connection's thread and back, and so is every row it returns. So a batch is
//! taken on trust: one text without a row to return, and the number of rows it changed tells whether all stood as the
//! turns believe. Where one did not, the caller rolls back and runs the batch again with care.

use super::count::{Deltas, count_upsert};
use super::turn::{self, Arm, Settle, Turn};
use super::turn_text::{arm_conditions, arm_text, opened_text, settle_text, shown_text, turned_text};
use crate::domain::message::MessageState;
use crate::on;
use crate::store::{Conn, StoreError};

macro_rules! settle_and_arm {
    () => {
        concat!(settle_text!(opened_text!("$2")), ";", arm_text!(opened_text!("$3"), "cross join", "$1", ""))
    };
}

macro_rules! write_down {
    ($shown:literal, $counts:literal) => {
        concat!(
            shown_text!(opened_text!($shown)),
            ";",
            count_upsert!("$1", opened_text!($counts)),
            ";",
            turned_text!("$1")
        )
    };
}

/// Runs a batch within the caller's transaction. `false`: a row stood otherwise, and the transaction must be rolled back.
pub async fn run(mut conn: Conn<'_>, epoch: i64, turns: &[Turn]) -> Result<bool, StoreError> {
    const ALL: &str = concat!(settle_and_arm!(), ";", write_down!("$4", "$5"));
    let (plain, others): (Vec<&Settle>, Vec<&Settle>) =
        turns.iter().filter_map(|turn| turn.settle.as_ref()).partition(|settle| settle.is_plain());
    let arms: Vec<&Arm> = turns.iter().filter_map(|turn| turn.arm.as_ref()).collect();
    let mut deltas = Deltas::default();
    for settle in &plain {
        deltas.moved(settle.run_id, settle.variant, (MessageState::Armed, None), (MessageState::Sent, None));
    }
    for arm in &arms {
        deltas.moved(arm.run_id, arm.variant, (MessageState::Leased, None), (MessageState::Armed, None));
    }
    let moved = (plain.len() + arms.len()) as u64;
    let (sent, wished, shown) = (turn::sent_rows(&plain), turn::wished_rows(&arms), turn::shown_rows(&arms));
    if others.is_empty() {
        let counts = deltas.rows();
        let due = moved + shown.len() as u64 + counts.len() as u64 + 1;
        let (shown, counts) = (shown.json(), counts.json());
        let done = on!(conn, "take a turn", c => sqlx::query(ALL)
            .bind(epoch).bind(&sent).bind(&wished).bind(&shown).bind(&counts)
            .execute(&mut *c).await.map(|done| done.rows_affected()))?;
        return Ok(done == due);
    }
    const SETTLE_AND_ARM: &str = settle_and_arm!();
    const WRITE_DOWN: &str = write_down!("$2", "$3");
    let done = on!(conn.again(), "settle and arm messages", c => sqlx::query(SETTLE_AND_ARM)
        .bind(epoch).bind(&sent).bind(&wished).execute(&mut *c).await.map(|done| done.rows_affected()))?;
    if done != moved {
        return Ok(false);
    }
    turn::settle(conn.again(), &others, &mut deltas).await?;
    let (shown, counts) = (shown.json(), deltas.rows().json());
    on!(conn, "write a turn down", c => sqlx::query(WRITE_DOWN)
        .bind(epoch).bind(&shown).bind(&counts).execute(&mut *c).await.map(|_| ()))?;
    Ok(true)
}
