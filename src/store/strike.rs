//! Bounces that add up against an address until it is put on the suppression list.

use std::collections::BTreeMap;

use super::suppression::{self, Suppression};
use super::{Conn, Pair, Rows, StoreError};
use crate::domain::bounce::{ReplyClass, Threshold};
use crate::domain::suppression::{SCOPE_ALL, SuppressionReason};
use crate::{bulk, on};

/// One bounce against an address.
#[derive(Debug, Clone, Copy)]
pub struct Strike {
    pub addr_key: i64,
    pub class: ReplyClass,
    /// When it is enough.
    pub threshold: Threshold,
    pub at_ms: i64,
}

/// A bounce that is older than this no longer counts, milliseconds: the next one begins anew.
const FORGOTTEN_MS: i64 = 180 * 86_400_000;

/// Forgets every bounce of an address: a person says that it works again.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn forget(conn: Conn<'_>, addr_key: i64) -> Result<(), StoreError> {
    const SQL: &str = "delete from strike where addr_key = $1";
    on!(conn, "forget an address's bounces", c => sqlx::query(SQL).bind(addr_key).execute(&mut *c).await.map(|_| ()))
}

/// Counts strikes, and suppresses the addresses that reached their threshold. `source` says where the word came from.
/// Returns the addresses newly suppressed.
///
/// # Crash
/// Part of the caller's transaction: the count, the suppression and the raised mail epoch commit together.
pub async fn record(mut conn: Conn<'_>, strikes: &[Strike], source: &str) -> Result<Vec<i64>, StoreError> {
    const SQL: Pair = bulk!(
        "insert into strike (addr_key, class, n, first_at_ms, last_at_ms)
         select cast(value ->> 0 as bigint), cast(value ->> 1 as text), cast(value ->> 2 as bigint),
           cast(value ->> 3 as bigint), cast(value ->> 3 as bigint) from",
        "$1",
        "where true on conflict (addr_key, class) do update set
           n = excluded.n + case when strike.last_at_ms < excluded.last_at_ms - $2 then 0 else strike.n end,
           first_at_ms = case when strike.last_at_ms < excluded.last_at_ms - $2 then excluded.first_at_ms
             else strike.first_at_ms end,
           last_at_ms = excluded.last_at_ms
         returning addr_key, class, n, first_at_ms, last_at_ms"
    );
    if strikes.is_empty() {
        return Ok(Vec::new());
    }
    // A statement may touch a row once, so strikes of one address and class are summed; the order keeps daemons that
    // strike the same addresses from waiting for each other crosswise.
    let mut summed: BTreeMap<(i64, &str), (Strike, i64)> = BTreeMap::new();
    for strike in strikes {
        summed.entry((strike.addr_key, strike.class.as_str())).or_insert((*strike, 0)).1 += 1;
    }
    let rows = summed.iter().map(|((addr_key, class), (strike, n))| (addr_key, class, n, strike.at_ms));
    let (sql, rows) = (conn.pick(&SQL), Rows::of(rows).json());
    let counted: Vec<(i64, String, i64, i64, i64)> = on!(conn.again(), "count bounces of addresses", c =>
        sqlx::query_as(sql).bind(&rows).bind(FORGOTTEN_MS).fetch_all(&mut *c).await)?;
    let mut suppressed = Vec::new();
    for (addr_key, class, n, first_at_ms, last_at_ms) in &counted {
        let Some((strike, _)) = summed.get(&(*addr_key, class.as_str())) else { continue };
        if strike.threshold.is_reached(*n, *first_at_ms, *last_at_ms) {
            let entry = entry(strike, source);
            if suppression::suppress(conn.again(), *addr_key, &entry).await? {
                suppressed.push(*addr_key);
            }
        }
    }
    Ok(suppressed)
}

fn entry(strike: &Strike, source: &str) -> Suppression {
    let is_hard = matches!(strike.class, ReplyClass::InvalidAddress | ReplyClass::InvalidDomain);
    Suppression {
        scope: SCOPE_ALL.to_owned(),
        reason: if is_hard { SuppressionReason::HardBounce } else { SuppressionReason::SoftBounce },
        source: format!("{source}: {}", strike.class),
        at_ms: strike.at_ms,
        expires_at_ms: None,
    }
}
