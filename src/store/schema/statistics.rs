//! What PostgreSQL knows of its tables' sizes: what it plans by. It counts by itself, within a minute or so; until then a
//! table just filled is taken for empty, and a mail is looked for by reading a whole run. SQLite's plans need no counts.

use crate::on;
use crate::store::{Conn, StoreError};

/// Tables below this size are left to PostgreSQL, bytes.
const SMALL_BYTES: i64 = 1 << 20;

/// Has tables counted that have more than doubled since they were counted last; how many those were. A table that
/// somebody else is counting just now is passed over. `conn` may be in no transaction; what was planned before is
/// planned anew.
///
/// # Errors
/// The database's.
pub async fn renew(mut conn: Conn<'_>) -> Result<usize, StoreError> {
    if conn.is_sqlite() {
        return Ok(0);
    }
    const OUTGROWN: &str = "select cast(c.oid::regclass as text) from pg_class c
         where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
           and pg_relation_size(c.oid) > $1
           and pg_relation_size(c.oid) > 2 * cast(current_setting('block_size') as bigint) * greatest(c.relpages, 0)
         order by c.oid";
    let outgrown: Vec<String> = on!(conn.again(), "see which tables have grown", c =>
        sqlx::query_scalar(OUTGROWN).bind(SMALL_BYTES).fetch_all(&mut *c).await)?;
    for table in &outgrown {
        // A name from the catalogue, quoted where it needs to be.
        let sql = format!("analyze (skip_locked) {table}");
        on!(conn.again(), "count a table", c =>
            sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut *c).await.map(|_| ()))?;
    }
    Ok(outgrown.len())
}
