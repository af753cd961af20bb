//! The texts of a turn, with all its rows as one JSON argument. What may forbid an arm stands here and, for a single row,
//! in [`swift`](super::swift): the queue's contract and simulation run both.

/// An entry of the suppression list that forbids a mail. What the reader may be asked about does not forbid asking
/// ([`SuppressionReason::may_be_asked`](crate::domain::suppression::SuppressionReason::may_be_asked)).
macro_rules! suppressed {
    ($addr_key:literal, $scope:literal, $at_ms:literal) => {
        concat!(
            "exists (select 1 from suppression x where x.addr_key = ",
            $addr_key,
            " and x.scope in ('all', ",
            $scope,
            ") and (x.expires_at_ms is null or x.expires_at_ms > ",
            $at_ms,
            ") and (",
            $scope,
            " <> '?' or x.reason not in ('unsubscribe', 'erased', 'soft_bounce')))"
        )
    };
}

/// What may forbid an arm besides the row itself: its run, its member, its address.
macro_rules! arm_conditions {
    () => {
        concat!(
            " join run r on r.id = a.run_id and r.state = 'sending' and r.generation = a.generation
              left join member p on p.id = m.member_id
              where (m.member_id is null or p.mail_epoch = a.mail_epoch) and not ",
            suppressed!("a.addr_key", "a.scope", "a.at_ms")
        )
    };
}

/// Plain 250s out of a JSON argument that `$opened` opens.
macro_rules! sent_rows_text {
    ($opened:expr) => {
        concat!(
            "select cast(value ->> 0 as bigint) as run_id, cast(value ->> 1 as bigint) as id,
               cast(value ->> 2 as bigint) as attempt, cast(value ->> 3 as bigint) as sent_at_ms,
               cast(value ->> 4 as text) as remote_id from ",
            $opened
        )
    };
}

/// Settles plain 250s of armed rows; rows that stand otherwise are left to [`settle`].
macro_rules! settle_text {
    ($sent:expr) => {
        concat!(
            "with s as materialized (",
            $sent,
            ") update message set state = 'sent', owner = null, sent_at_ms = s.sent_at_ms, remote_id = s.remote_id
             from s where message.run_id = s.run_id and message.id = s.id and message.attempt = s.attempt
               and message.state = 'armed' and message.sent_at_ms is null"
        )
    };
}

/// Wishes to write a dot out of a JSON argument that `$opened` opens.
macro_rules! wished_rows_text {
    ($opened:expr) => {
        concat!(
            "select cast(value ->> 0 as bigint) as run_id, cast(value ->> 1 as bigint) as id,
               cast(value ->> 2 as bigint) as attempt, cast(value ->> 3 as bigint) as generation,
               cast(value ->> 4 as bigint) as mail_epoch, cast(value ->> 5 as bigint) as addr_key,
               cast(value ->> 6 as text) as scope, cast(value ->> 7 as bigint) as template_version_id,
               cast(value ->> 8 as bigint) as at_ms from ",
            $opened
        )
    };
}

/// Arms what is leased by this epoch at the wished attempt and forbidden by nothing. `$lock` is how the rows are held.
macro_rules! arm_text {
    ($wished:expr, $join:literal, $epoch:literal, $lock:literal) => {
        concat!(
            "with a as materialized (",
            $wished,
            "), ok as materialized (select a.* from a ",
            $join,
            " message m on m.run_id = a.run_id and m.id = a.id and m.attempt = a.attempt and m.state = 'leased'
               and m.owner = ",
            $epoch,
            arm_conditions!(),
            $lock,
            ") update message set state = 'armed', armed_at_ms = coalesce(message.armed_at_ms, ok.at_ms),
               template_version_id = ok.template_version_id
             from ok where message.run_id = ok.run_id and message.id = ok.id"
        )
    };
}

/// What mails show out of a JSON argument that `$opened` opens.
macro_rules! shown_rows_text {
    ($opened:expr) => {
        concat!(
            "select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as text) from ",
            $opened,
            " where true"
        )
    };
}

/// Keeps what mails show.
macro_rules! shown_text {
    ($shown:expr) => {
        concat!(
            "insert into shown (run_id, message_id, body) ",
            $shown,
            " on conflict (run_id, message_id) do update set body = excluded.body"
        )
    };
}

/// Counts a turn of the epoch.
macro_rules! turned_text {
    ($epoch:literal) => {
        concat!("update daemon set turn_no = turn_no + 1 where id = ", $epoch)
    };
}

pub(super) use {
    arm_conditions, arm_text, sent_rows_text, settle_text, shown_rows_text, shown_text, suppressed, turned_text,
    wished_rows_text,
};

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
