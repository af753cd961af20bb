//! The account against the rows.

use super::count::{self, Count};
use crate::on;
use crate::store::{Conn, StoreError};

/// Compares a run's counts with its rows and returns every line that differs, as (counted, in rows).
pub async fn differences(mut conn: Conn<'_>, run_id: i64) -> Result<Vec<(Option<Count>, Option<Count>)>, StoreError> {
    const SQL: &str = "select variant, state, coalesce(why, '') as why, count(*) as n from message where run_id = $1
         group by variant, state, coalesce(why, '') order by variant, state, why";
    let rows: Vec<Count> =
        on!(conn.again(), "count a run's rows", c => sqlx::query_as(SQL).bind(run_id).fetch_all(&mut *c).await)?;
    let counted = count::of_run(conn, run_id).await?;
    let key = |count: &Count| (count.variant, count.state.clone(), count.why.clone());
    let mut found = Vec::new();
    for row in &rows {
        match counted.iter().find(|other| key(other) == key(row)) {
            Some(other) if other.n == row.n => {}
            other => found.push((other.cloned(), Some(row.clone()))),
        }
    }
    found.extend(
        counted.iter().filter(|other| rows.iter().all(|row| key(row) != key(other))).map(|c| (Some(c.clone()), None)),
    );
    Ok(found)
}
