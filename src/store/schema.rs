//! How far a database's tables are behind this program's.

pub mod partition;
pub mod statistics;

use super::{Conn, Pair, StoreError};
use crate::on;

/// Where a database stands among the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No tables yet.
    Empty,
    /// So many migrations are still to be run.
    Behind(usize),
    Current,
    /// A newer program migrated it.
    Ahead,
}

/// Compares the migrations that were run with those this program knows. Changes nothing.
pub async fn standing(mut conn: Conn<'_>) -> Result<Standing, StoreError> {
    // Each database lists its tables in a catalog of its own.
    const TABLE: Pair = Pair {
        sqlite: "select cast(count(*) as bigint) from sqlite_master where name = '_sqlx_migrations'",
        postgres: "select count(*) from information_schema.tables
                   where table_schema = current_schema() and table_name = '_sqlx_migrations'",
    };
    const RUN: &str = "select version from _sqlx_migrations where success order by version";
    let sql = conn.pick(&TABLE);
    let tables: i64 =
        on!(conn.again(), "look for the list of migrations", c => sqlx::query_scalar(sql).fetch_one(&mut *c).await)?;
    if tables == 0 {
        return Ok(Standing::Empty);
    }
    let known: Vec<i64> = match conn {
        Conn::Sqlite(_) => sqlx::migrate!("migrations/sqlite").iter().map(|m| m.version).collect(),
        Conn::Postgres(_) => sqlx::migrate!("migrations/postgres").iter().map(|m| m.version).collect(),
    };
    let run: Vec<i64> = on!(conn, "list the migrations", c => sqlx::query_scalar(RUN).fetch_all(&mut *c).await)?;
    let missing = known.iter().filter(|version| !run.contains(version)).count();
    Ok(match missing {
        _ if run.iter().any(|version| !known.contains(version)) => Standing::Ahead,
        0 => Standing::Current,
        n => Standing::Behind(n),
    })
}
