//! What PostgreSQL knows of its tables' sizes: what it plans by. It counts by itself, within a minute or so; until then a
//! table just filled is taken for empty, and a mail is looked for by reading a whole run. SQLite's plans need no counts.

use crate::on;
use crate::store::{Db, StoreError};

/// Tables below this size are left to PostgreSQL, bytes.
const SMALL_BYTES: i64 = 1 << 20;

/// Has tables counted that have more than doubled since they were counted last; how many those were. A table that
/// somebody else is counting just now is passed over. What was planned before is planned anew. Without it everything is
/// as right, and slower for a minute: a failure is only told of.
pub async fn renew(db: &Db) -> usize {
    match count_outgrown(db).await {
        Ok(counted) => counted,
        Err(error) => {
            tracing::warn!(%error, "tables that grew were not counted: {error}");
            0
        }
    }
}

async fn count_outgrown(db: &Db) -> Result<usize, StoreError> {
    if db.sqlite_path().is_some() {
        return Ok(0);
    }
    let mut reader = db.reader().await?;
    const OUTGROWN: &str = "select cast(c.oid::regclass as text) from pg_class c
         where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
           and pg_relation_size(c.oid) > $1
           and pg_relation_size(c.oid) > 2 * cast(current_setting('block_size') as bigint) * greatest(c.relpages, 0)
         order by c.oid";
    let outgrown: Vec<String> = on!(reader.conn(), "see which tables have grown", c =>
        sqlx::query_scalar(OUTGROWN).bind(SMALL_BYTES).fetch_all(&mut *c).await)?;
    for table in &outgrown {
        // A name from the catalogue, quoted where it needs to be.
        let sql = format!("analyze (skip_locked) {table}");
        on!(reader.conn(), "count a table", c =>
            sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut *c).await.map(|_| ()))?;
    }
    Ok(outgrown.len())
}
