//! Plain statements, for tests that lay their own rows.

use indicia::store::{Conn, Db, Lane, Tx};
use sqlx::AssertSqlSafe;

/// Runs `statements` in one transaction.
pub async fn run(db: &Db, statements: &[&str]) {
    let mut tx = db.begin(Lane::Bulk).await.unwrap();
    for sql in statements {
        within(&mut tx, sql).await;
    }
    tx.commit().await.unwrap();
}

/// Runs a statement in a transaction that goes on.
pub async fn within(tx: &mut Tx, sql: &str) {
    let text = AssertSqlSafe(sql.to_owned());
    let done = match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(text).execute(c).await.map(|_| ()),
        Conn::Postgres(c) => sqlx::query(text).execute(c).await.map(|_| ()),
    };
    done.unwrap_or_else(|error| panic!("{error}\n{sql}"));
}

/// How many rows `what` has: the words after `select count(*) from`.
pub async fn count(db: &Db, what: &str) -> i64 {
    let sql = AssertSqlSafe(format!("select count(*) from {what}"));
    match db.reader().await.unwrap().conn() {
        Conn::Sqlite(c) => sqlx::query_scalar(sql).fetch_one(c).await.unwrap(),
        Conn::Postgres(c) => sqlx::query_scalar(sql).fetch_one(c).await.unwrap(),
    }
}
