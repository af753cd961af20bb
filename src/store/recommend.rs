//! The recommender's tables as they are kept, and the walk over members that they are built from.

use super::{Conn, Db, Lane, Pair, StoreError};
use crate::on;

/// Bytes of one piece: about a millisecond of SQLite's writer.
const PIECE_BYTES: usize = 256 * 1024;
/// Most pieces of one unit: 16 GB.
const UNIT_PIECES: i64 = 1 << 16;
/// The part of a build that holds its finished tables.
pub const TABLES: i64 = 0;

/// A build that was begun and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Build {
    pub id: i64,
    pub started_at_ms: i64,
    pub beat_at_ms: i64,
    /// The part that holds its last checkpoint; 0: none.
    pub checkpoint: i64,
    /// Members up to this one are counted in it.
    pub cursor: i64,
}

/// The newest unfinished build.
pub async fn unfinished(conn: Conn<'_>) -> Result<Option<Build>, StoreError> {
    const SQL: &str = "select id, started_at_ms, beat_at_ms, checkpoint, cursor from recommend_build
        where finished_at_ms is null order by id desc limit 1";
    on!(conn, "look for an unfinished build", c => sqlx::query_as(SQL).fetch_optional(&mut *c).await)
}

/// The newest finished build and when it was begun.
pub async fn newest(conn: Conn<'_>) -> Result<Option<(i64, i64)>, StoreError> {
    const SQL: &str =
        "select id, started_at_ms from recommend_build where finished_at_ms is not null order by id desc limit 1";
    on!(conn, "look for the recommender's tables", c => sqlx::query_as(SQL).fetch_optional(&mut *c).await)
}

/// Begins a build and says its id.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn begin(conn: Conn<'_>, now_ms: i64) -> Result<i64, StoreError> {
    const SQL: &str = "insert into recommend_build (started_at_ms, beat_at_ms) values ($1, $1) returning id";
    on!(conn, "begin a build", c => sqlx::query_scalar(SQL).bind(now_ms).fetch_one(&mut *c).await)
}

/// Says that a build goes on.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn beat(conn: Conn<'_>, build: i64, now_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "update recommend_build set beat_at_ms = $2 where id = $1";
    on!(conn, "keep a build alive", c => sqlx::query(SQL).bind(build).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

/// Makes a checkpoint the one to go on from.
///
/// # Crash
/// Part of the caller's transaction, after all pieces of it were written: it counts whole or not at all.
pub async fn reached(conn: Conn<'_>, build: i64, part: i64, cursor: i64, now_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "update recommend_build set checkpoint = $2, cursor = $3, beat_at_ms = $4 where id = $1";
    on!(conn, "move a build on", c => sqlx::query(SQL).bind(build).bind(part).bind(cursor).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

/// Finishes a build: from this commit on its tables are the ones that count, and older ones are forgotten.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn finish(mut conn: Conn<'_>, build: i64, now_ms: i64) -> Result<(), StoreError> {
    const FINISH: &str = "update recommend_build set finished_at_ms = $2, beat_at_ms = $2 where id = $1";
    const OLDER: &str = "delete from recommend_build where id < $1";
    on!(conn.again(), "finish a build", c => sqlx::query(FINISH).bind(build).bind(now_ms).execute(&mut *c).await.map(|_| ()))?;
    on!(conn, "forget older builds", c => sqlx::query(OLDER).bind(build).execute(&mut *c).await.map(|_| ()))
}

/// Writes a part of a build, which comes in units that are read one by one, in pieces, each a transaction of its own.
///
/// # Crash
/// Some of the pieces are there. Nobody reads them before [`reached`] or [`finish`] says so, and the next attempt
/// writes them again.
pub async fn put(
    db: &Db,
    build: i64,
    part: i64,
    units: impl Iterator<Item = Vec<u8>> + Send,
) -> Result<(), StoreError> {
    const SQL: &str = "insert into recommend_piece (build_id, part, seq, body) values ($1, $2, $3, $4)
        on conflict (build_id, part, seq) do update set body = excluded.body";
    for (unit, bytes) in (0..).zip(units) {
        for (seq, piece) in (first(unit)..first(unit + 1)).zip(bytes.chunks(PIECE_BYTES)) {
            let mut tx = db.begin(Lane::Bulk).await?;
            on!(tx.conn(), "write a piece of a build", c => sqlx::query(SQL).bind(build).bind(part).bind(seq).bind(piece).execute(&mut *c).await.map(|_| ()))?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// Where the pieces of a unit begin.
const fn first(unit: i64) -> i64 {
    unit * UNIT_PIECES
}

/// The bytes of a part that is one unit.
pub async fn get(conn: Conn<'_>, build: i64, part: i64) -> Result<Vec<u8>, StoreError> {
    get_unit(conn, build, part, 0).await
}

/// The bytes of one unit of a part; none where there is no such unit.
pub async fn get_unit(conn: Conn<'_>, build: i64, part: i64, unit: i64) -> Result<Vec<u8>, StoreError> {
    const SQL: &str =
        "select body from recommend_piece where build_id = $1 and part = $2 and seq >= $3 and seq < $4 order by seq";
    let (from, to) = (first(unit), first(unit + 1));
    let pieces: Vec<Vec<u8>> = on!(conn, "load the recommender's tables", c => sqlx::query_scalar(SQL).bind(build).bind(part).bind(from).bind(to).fetch_all(&mut *c).await)?;
    Ok(pieces.concat())
}

/// Deletes some pieces that no build needs any more; 0: there are none left. `keep` is a part of `build` besides its
/// tables.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn sweep(conn: Conn<'_>, build: i64, keep: i64) -> Result<u64, StoreError> {
    const SQL: &str = "delete from recommend_piece where (build_id, part, seq) in (select build_id, part, seq from recommend_piece
          where (build_id < $1 and build_id not in (select id from recommend_build)) or (build_id = $1 and part <> 0 and part <> $2) limit 8)";
    on!(conn, "sweep pieces of builds", c => sqlx::query(SQL).bind(build).bind(keep).execute(&mut *c).await.map(|done| done.rows_affected()))
}

/// The ids of all products with their categories, at most `most` of them, the newest; and the highest id of a member.
pub async fn extent(mut conn: Conn<'_>, most: i64) -> Result<(Vec<(i64, String)>, i64), StoreError> {
    const PRODUCTS: &str =
        "select id, category from (select id, category from product order by id desc limit $1) p order by id";
    const MEMBERS: &str = "select coalesce(max(id), 0) from member";
    let ids =
        on!(conn.again(), "number the products", c => sqlx::query_as(PRODUCTS).bind(most).fetch_all(&mut *c).await)?;
    let last = on!(conn, "find the last member", c => sqlx::query_scalar(MEMBERS).fetch_one(&mut *c).await)?;
    Ok((ids, last))
}

/// A purchase or a look: member, product, when.
pub type DeedRow = (i64, i64, i64);

/// What members from `from` up to and with `to` bought, by member and time.
pub async fn bought(conn: Conn<'_>, from: i64, to: i64, since_ms: i64) -> Result<Vec<DeedRow>, StoreError> {
    const SQL: &str =
        "select o.member_id, l.product_id, o.ordered_at_ms from orders o join order_line l on l.orders_id = o.id
        where o.member_id >= $1 and o.member_id <= $2 and o.ordered_at_ms > $3 and o.status in ('completed', 'pending')
        order by o.member_id, o.ordered_at_ms";
    on!(conn, "read purchases", c => sqlx::query_as(SQL).bind(from).bind(to).bind(since_ms).fetch_all(&mut *c).await)
}

/// What they looked at on the shop's pages. On SQLite the index by member and time is named: without statistics its
/// planner would rather walk all looks there are.
pub async fn viewed(conn: Conn<'_>, from: i64, to: i64, since_ms: i64) -> Result<Vec<DeedRow>, StoreError> {
    const SQL: Pair = Pair {
        sqlite: "select e.member_id, e.product_id, e.at_ms from event e indexed by event_product
            where e.member_id >= $1 and e.member_id <= $2 and e.at_ms > $3 and e.product_id is not null
              and e.name_id in (select id from event_name where name in ('Product Viewed', 'Product Clicked', 'Product Added'))
            order by e.member_id, e.at_ms",
        postgres: "select e.member_id, e.product_id, e.at_ms from event e
            where e.member_id >= $1 and e.member_id <= $2 and e.at_ms > $3 and e.product_id is not null
              and e.name_id in (select id from event_name where name in ('Product Viewed', 'Product Clicked', 'Product Added'))
            order by e.member_id, e.at_ms",
    };
    let sql = conn.pick(&SQL);
    on!(conn, "read looks", c => sqlx::query_as(sql).bind(from).bind(to).bind(since_ms).fetch_all(&mut *c).await)
}
