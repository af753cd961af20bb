//! The database itself: connections, the one writer of a SQLite file and its lanes, transactions.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

use super::direct::{self, Direct};
use super::{Pair, StoreError};

/// Runs one query body against whichever driver the connection is of. The second argument says what was attempted,
/// as in "could not *find a member*".
#[macro_export]
macro_rules! on {
    ($conn:expr, $doing:literal, $c:ident => $body:expr) => {
        match $conn {
            $crate::store::Conn::Sqlite($c) => $body.map_err(|e| $crate::store::StoreError::query($doing, e)),
            $crate::store::Conn::Postgres($c) => $body.map_err(|e| $crate::store::StoreError::query($doing, e)),
        }
    };
}

/// How long a statement waits for another process to finish its short write, milliseconds.
pub(super) const BUSY_TIMEOUT_MS: u64 = 10_000;
/// How long PostgreSQL lets a transaction stand still: a daemon that is frozen in the midst of one holds its rows
/// against all others. None of ours waits for anything but the database.
const IDLE_IN_TRANSACTION_MAX: &str = "15s";
/// PostgreSQL's default is that of a turning disk: a hundred rows named by their keys would cost as much as a table of
/// twenty thousand read whole.
const RANDOM_PAGE_COST: &str = "1.1";
/// For statements that name the few rows they touch by their keys, however large the tables are. A plan made while a
/// table was empty, or before anybody had counted it, would read it whole, thousands of times a second.
const BY_KEY: [(&str, &str); 4] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // One plan serves whatever keys are asked for; to make another for each would cost as much as running it.
    ("plan_cache_mode", "force_generic_plan"),
];
/// Connections to PostgreSQL for such statements, besides the configured ones.
const BY_KEY_MAX: u32 = 4;
/// Lines of turns to PostgreSQL.
pub const LINES: usize = 3;
/// Connections that read a SQLite file beside its writer.
const READERS_MAX: u32 = 4;
/// Pages each SQLite connection keeps.
pub const CACHE_KIB: u32 = 16_384;
/// Pages of the write-ahead log after which whoever commits folds it into the file.
pub(super) const LOG_PAGES: u32 = 2000;
/// What is attempted where a transaction begins.
const BEGIN: &str = "begin a transaction";
/// Statements each connection keeps prepared.
const STATEMENTS_MAX: usize = 200;

/// A borrowed connection of either kind.
pub enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Conn<'_> {
    /// Lends the connection on, when a function asks twice.
    pub fn again(&mut self) -> Conn<'_> {
        match self {
            Conn::Sqlite(c) => Conn::Sqlite(c),
            Conn::Postgres(c) => Conn::Postgres(c),
        }
    }

    /// The half of a pair that this connection speaks.
    pub fn pick(&self, pair: &Pair) -> &'static str {
        match self {
            Conn::Sqlite(_) => pair.sqlite,
            Conn::Postgres(_) => pair.postgres,
        }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self, Conn::Sqlite(_))
    }

    /// Bounds what a SQLite connection keeps of the pages it reads: a scan of a large table needs none of them twice.
    pub async fn cache_kib(&mut self, kib: u32) -> Result<(), StoreError> {
        let Conn::Sqlite(c) = self else { return Ok(()) };
        let set = sqlx::query(sqlx::AssertSqlSafe(format!("pragma cache_size = -{kib}"))).execute(&mut **c).await;
        set.map(|_| ()).map_err(|error| StoreError::query("bound a connection's cache", error))
    }
}

/// Who waits for the writer. Each lane sends one at a time, and the writer takes the lanes in the order they ask:
/// a bulk piece of 10 ms delays a turn at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Settle and arm, and single messages to be sent at once.
    Turn = 0,
    /// What came back: opens, clicks, unsubscribes.
    Event = 1,
    /// Imports, freezes, learning, sweeps: pieces of at most about 10 ms, longer where nobody waits.
    Bulk = 2,
}

/// How to open a database.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Refuse to let a SQLite file grow past this many bytes.
    pub sqlite_bytes_max: Option<u64>,
    /// Connections to PostgreSQL; 0 for the default of 10.
    pub postgres_connections: u32,
}

/// How much room a database file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub free_bytes: u64,
    pub of_bytes: u64,
}

/// The database; cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Kind>);

enum Kind {
    Sqlite(Sqlite),
    Postgres(Pg),
}

struct Pg {
    pool: PgPool,
    /// For statements that name their rows by key.
    by_key: PgPool,
    /// What each [`Line`] takes and puts back.
    lines: [Arc<Mutex<Option<PgConnection>>>; LINES],
}

struct Sqlite {
    path: PathBuf,
    bytes_max: Option<u64>,
    readers: SqlitePool,
    /// Those for [`Db::read_directly`] that nobody reads with just now.
    direct_readers: std::sync::Mutex<Vec<rusqlite::Connection>>,
    writer: Arc<Mutex<Writer>>,
    lanes: [Arc<Mutex<()>>; 3],
}

pub(super) struct Writer {
    conn: SqliteConnection,
    /// To the same file, for [`Direct`].
    pub(super) direct: rusqlite::Connection,
    /// A transaction was begun and its [`Tx`] was dropped without a commit.
    unfinished: bool,
}

impl Db {
    /// Opens `sqlite://PATH` (the file and its folder are made when missing) or `postgres://…`.
    ///
    /// # Errors
    /// [`StoreError::Url`] and [`StoreError::Open`].
    pub async fn open(url: &str, options: &OpenOptions) -> Result<Db, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return Db::open_sqlite(Path::new(path), options).await;
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(StoreError::Url { url: mask_password(url) });
        }
        let failed = |source| StoreError::Open { url: mask_password(url), source };
        // Compiling the expressions of a long segment to machine code takes minutes, running them milliseconds.
        let connect = PgConnectOptions::from_str(url)
            .map_err(failed)?
            .statement_cache_capacity(STATEMENTS_MAX)
            .options([("jit", "off"), ("random_page_cost", RANDOM_PAGE_COST)])
            .options([("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MAX)]);
        let connections = if options.postgres_connections == 0 { 10 } else { options.postgres_connections };
        let connect = connect.disable_statement_logging();
        let pool =
            |most| PgPoolOptions::new().max_connections(most).acquire_timeout(Duration::from_millis(BUSY_TIMEOUT_MS));
        let by_key = pool(BY_KEY_MAX).connect_lazy_with(connect.clone().options(BY_KEY));
        let pool = pool(connections).connect_with(connect).await.map_err(failed)?;
        Ok(Db(Arc::new(Kind::Postgres(Pg { pool, by_key, lines: Default::default() }))))
    }

    async fn open_sqlite(path: &Path, options: &OpenOptions) -> Result<Db, StoreError> {
        let failed = |source| StoreError::Open { url: format!("sqlite://{}", path.display()), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| failed(sqlx::Error::Io(error)))?;
        }
        let base = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))
            .statement_cache_capacity(STATEMENTS_MAX)
            .pragma("cache_size", format!("-{CACHE_KIB}"))
            .disable_statement_logging();
        let mut write = base
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("temp_store", "memory")
            // What is deleted is overwritten: an erased member must not stand in the room between rows.
            .pragma("secure_delete", "on")
            .pragma("wal_autocheckpoint", LOG_PAGES.to_string())
            .pragma("journal_size_limit", "67108864");
        let pages_max = options.sqlite_bytes_max.map(|bytes| (bytes / 4096).max(1));
        if let Some(pages) = pages_max {
            write = write.pragma("max_page_count", pages.to_string());
        }
        let conn = write.connect().await.map_err(failed)?;
        let direct = direct::open(path, pages_max).map_err(|error| StoreError::direct("open the database", error))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            // What a report sorts is as large as a run: it goes to a temporary file, not to memory.
            .connect_with(base.pragma("query_only", "true"))
            .await
            .map_err(failed)?;
        Ok(Db(Arc::new(Kind::Sqlite(Sqlite {
            path: path.to_owned(),
            bytes_max: options.sqlite_bytes_max,
            readers,
            direct_readers: std::sync::Mutex::default(),
            writer: Arc::new(Mutex::new(Writer { conn, direct, unfinished: false })),
            lanes: Default::default(),
        }))))
    }

    /// Brings the tables up to date. Two processes may call it at once: the second waits.
    ///
    /// # Crash
    /// Each migration is one transaction: it is there or it is not.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &*self.0 {
            Kind::Sqlite(sqlite) => {
                let mut writer = sqlite.writer.lock().await;
                sqlx::migrate!("migrations/sqlite").run(&mut writer.conn).await?;
            }
            Kind::Postgres(pg) => sqlx::migrate!("migrations/postgres").run(&pg.pool).await?,
        }
        Ok(())
    }

    /// The path of the SQLite file; `None` on PostgreSQL.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &*self.0 {
            Kind::Sqlite(sqlite) => Some(&sqlite.path),
            Kind::Postgres(_) => None,
        }
    }

    /// A connection to read rows with that are named by their keys, however many there are.
    pub async fn reader_by_key(&self) -> Result<Reader, StoreError> {
        match &*self.0 {
            Kind::Sqlite(_) => self.reader().await,
            Kind::Postgres(pg) => Ok(Reader::Postgres(taken(&pg.by_key).await?)),
        }
    }

    /// A connection to read with; on SQLite it never waits for the writer.
    pub async fn reader(&self) -> Result<Reader, StoreError> {
        Ok(match &*self.0 {
            Kind::Sqlite(sqlite) => Reader::Sqlite(taken(&sqlite.readers).await?),
            Kind::Postgres(pg) => Reader::Postgres(taken(&pg.pool).await?),
        })
    }

    /// Begins a transaction that writes. On SQLite it waits for the lane, then for the writer, and takes the write
    /// lock at once (`begin immediate`: a deferred one could fail half-way whatever the timeout).
    pub async fn begin(&self, lane: Lane) -> Result<Tx, StoreError> {
        match &*self.0 {
            Kind::Sqlite(sqlite) => {
                let (lane, mut writer) = sqlite.writer(lane).await;
                writer.unfinished = true;
                sqlx::query("begin immediate").execute(&mut writer.conn).await.map_err(|e| {
                    writer.unfinished = false;
                    StoreError::query(BEGIN, e)
                })?;
                Ok(Tx(TxKind::Sqlite { writer, _lane: lane }))
            }
            Kind::Postgres(pg) => begun(&pg.pool).await,
        }
    }

    /// As [`begin`](Db::begin), for a transaction that finds every row it touches by a key, however many there are.
    pub async fn begin_by_key(&self, lane: Lane) -> Result<Tx, StoreError> {
        match &*self.0 {
            Kind::Sqlite(_) => self.begin(lane).await,
            Kind::Postgres(pg) => begun(&pg.by_key).await,
        }
    }

    /// The writer of a SQLite file for a thread that may block, once the lane and the writer are free; `None` on
    /// PostgreSQL.
    pub async fn direct(&self, lane: Lane) -> Option<Direct> {
        let Kind::Sqlite(sqlite) = &*self.0 else { return None };
        let (_lane, writer) = sqlite.writer(lane).await;
        Some(Direct { writer, _lane })
    }

    /// Reads one moment of a SQLite file on a thread that may block; `None` on PostgreSQL.
    pub async fn read_directly<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<Result<T, StoreError>> {
        let Kind::Sqlite(_) = &*self.0 else { return None };
        let db = self.0.clone();
        let work = move || {
            let Kind::Sqlite(sqlite) = &*db else { unreachable!("it was SQLite's") };
            sqlite.read(read)
        };
        Some(direct::on_a_thread(work).await)
    }

    /// Writes to a SQLite file in one transaction on a thread that may block, once the lane and the writer are free;
    /// `None` on PostgreSQL. What ends in an error leaves nothing behind.
    pub async fn write_directly<T: Send + 'static>(
        &self,
        lane: Lane,
        write: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<Result<T, StoreError>> {
        let mut writer = self.direct(lane).await?;
        let work = move || {
            let tx = writer.begin()?;
            let done = write(&tx)?;
            direct::commit(tx)?;
            Ok(done)
        };
        Some(direct::on_a_thread(work).await)
    }

    /// Whether turns or touches have the writer of a SQLite file or wait for it.
    pub fn is_wanted(&self) -> bool {
        let Kind::Sqlite(sqlite) = &*self.0 else { return false };
        [Lane::Turn, Lane::Event].into_iter().any(|lane| sqlite.lanes[lane as usize].try_lock().is_err())
    }

    /// On how many lines turns are committed: on PostgreSQL others help the first while it waits for a slow disk or a
    /// locked row, SQLite has one writer.
    pub fn lines(&self) -> usize {
        if self.sqlite_path().is_some() { 1 } else { LINES }
    }

    /// A line of turns to PostgreSQL, once it is free; `None` on SQLite.
    ///
    /// # Errors
    /// When there is no connection and none can be made.
    pub async fn line(&self, line: usize) -> Result<Option<Line>, StoreError> {
        let Kind::Postgres(pg) = &*self.0 else { return Ok(None) };
        let mut kept = pg.lines[line].clone().lock_owned().await;
        let conn = match kept.take() {
            Some(conn) => conn,
            None => pg.by_key.connect_options().connect().await.map_err(|e| StoreError::query("connect", e))?,
        };
        Ok(Some(Line { conn, kept }))
    }

    /// How much room a SQLite file has: on its disk, and up to the size it may have. `None` on PostgreSQL, whose disk
    /// is not ours to see.
    ///
    /// # Errors
    /// When the file or its disk cannot be asked.
    pub async fn room(&self) -> Result<Option<Room>, StoreError> {
        const DOING: &str = "see how much room the database has";
        let Kind::Sqlite(sqlite) = &*self.0 else { return Ok(None) };
        let disk = rustix::fs::statvfs(&sqlite.path)
            .map_err(|error| StoreError::query(DOING, sqlx::Error::Io(error.into())))?;
        let mut room = Room { free_bytes: disk.f_bavail * disk.f_frsize, of_bytes: disk.f_blocks * disk.f_frsize };
        let Some(most) = sqlite.bytes_max else { return Ok(Some(room)) };
        let mut reader = sqlite.readers.acquire().await.map_err(|error| StoreError::query(DOING, error))?;
        const SQL: &str = "select (p.page_count - f.freelist_count) * s.page_size
             from pragma_page_count p, pragma_freelist_count f, pragma_page_size s";
        let used: i64 =
            sqlx::query_scalar(SQL).fetch_one(&mut *reader).await.map_err(|e| StoreError::query(DOING, e))?;
        room.free_bytes = room.free_bytes.min(most.saturating_sub(used.unsigned_abs()));
        room.of_bytes = room.of_bytes.min(most);
        Ok(Some(room))
    }

    /// Folds the write-ahead log of a SQLite file into it and cuts the log to nothing, so that no older version of a
    /// row stands there; waits up to the busy timeout for other processes' readers. PostgreSQL does it in its own time.
    ///
    /// # Errors
    /// When it could not be done.
    pub async fn forget_history(&self) -> Result<(), StoreError> {
        self.maintain("cut the write-ahead log", "pragma wal_checkpoint(truncate)").await
    }

    /// Writes a SQLite file anew, without the room that rows once had. Only where no daemon is at work: it waits long.
    ///
    /// # Errors
    /// When it could not be done, as when somebody else writes.
    pub async fn rewrite(&self) -> Result<(), StoreError> {
        self.maintain("write the database file anew", "vacuum").await?;
        self.forget_history().await
    }

    async fn maintain(&self, doing: &'static str, sql: &'static str) -> Result<(), StoreError> {
        let Kind::Sqlite(sqlite) = &*self.0 else { return Ok(()) };
        let mut writer = sqlite.writer.lock().await;
        let done = sqlx::query(sql).execute(&mut writer.conn).await;
        done.map(|_| ()).map_err(|error| StoreError::query(doing, error))
    }

    /// Closes every connection; on SQLite the write-ahead log is folded into the file.
    pub async fn close(&self) {
        match &*self.0 {
            Kind::Sqlite(sqlite) => {
                sqlite.readers.close().await;
                sqlite.direct_readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
                let mut writer: MutexGuard<'_, Writer> = sqlite.writer.lock().await;
                let _ = sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut writer.conn).await;
                let _ = writer.conn.ping().await;
            }
            Kind::Postgres(pg) => {
                for line in &pg.lines {
                    drop(line.lock().await.take());
                }
                pg.by_key.close().await;
                pg.pool.close().await;
            }
        }
    }
}

impl Sqlite {
    fn read<T>(&self, read: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let failed = |error| StoreError::direct("read", error);
        let idle = self.direct_readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = idle.map_or_else(|| direct::open_reader(&self.path), Ok).map_err(failed)?;
        let answer = read(&conn.unchecked_transaction().map_err(failed)?);
        self.direct_readers.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        answer
    }

    /// The lane and the writer, no transaction open.
    async fn writer(&self, lane: Lane) -> (OwnedMutexGuard<()>, OwnedMutexGuard<Writer>) {
        let lane = self.lanes[lane as usize].clone().lock_owned().await;
        let mut writer = self.writer.clone().lock_owned().await;
        if writer.unfinished {
            // A dropped transaction could not roll back by itself. "No transaction" is the one harmless error.
            let _ = sqlx::query("rollback").execute(&mut writer.conn).await;
            writer.unfinished = false;
        }
        (lane, writer)
    }
}

async fn begun(pool: &PgPool) -> Result<Tx, StoreError> {
    pool.begin().await.map(|tx| Tx(TxKind::Postgres(tx))).map_err(|error| StoreError::query(BEGIN, error))
}

async fn taken<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Result<sqlx::pool::PoolConnection<D>, StoreError> {
    pool.acquire().await.map_err(|error| StoreError::query("get a connection to read with", error))
}

/// A connection to PostgreSQL that is kept from turn to turn. A pool looks whether a connection still lives whenever it
/// is taken and whenever it is given back, and its answers are read wherever it was made; this one is made by the
/// thread that writes turns. Dropped without [`Line::keep`], as after an error, it is closed.
pub struct Line {
    pub conn: PgConnection,
    kept: OwnedMutexGuard<Option<PgConnection>>,
}

impl Line {
    /// Puts it back for the next turn.
    pub fn keep(mut self) {
        *self.kept = Some(self.conn);
    }
}

/// A connection to read with.
pub enum Reader {
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    Postgres(sqlx::pool::PoolConnection<Postgres>),
}

impl Reader {
    pub fn conn(&mut self) -> Conn<'_> {
        match self {
            Reader::Sqlite(c) => Conn::Sqlite(c),
            Reader::Postgres(c) => Conn::Postgres(c),
        }
    }
}

/// A transaction that writes. Dropped without [`Tx::commit`] it leaves nothing behind.
pub struct Tx(TxKind);

enum TxKind {
    Sqlite { writer: OwnedMutexGuard<Writer>, _lane: OwnedMutexGuard<()> },
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Tx {
    pub fn conn(&mut self) -> Conn<'_> {
        match &mut self.0 {
            TxKind::Sqlite { writer, .. } => Conn::Sqlite(&mut writer.conn),
            TxKind::Postgres(tx) => Conn::Postgres(tx),
        }
    }

    /// Makes everything durable at once. After an error it is unknown whether it was.
    pub async fn commit(self) -> Result<(), StoreError> {
        const DOING: &str = "commit";
        match self.0 {
            TxKind::Sqlite { mut writer, .. } => {
                sqlx::query("commit").execute(&mut writer.conn).await.map_err(|e| StoreError::query(DOING, e))?;
                writer.unfinished = false;
                Ok(())
            }
            TxKind::Postgres(tx) => tx.commit().await.map_err(|e| StoreError::query(DOING, e)),
        }
    }
}

/// The URL without its password, fit for errors and logs. What follows a `?` may hold one too, and goes.
pub fn mask_password(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_survives_the_mask() {
        for (url, shown) in [
            ("postgres://anna:hunter2@db:5432/x", "postgres://anna:***@db:5432/x"),
            ("postgres://anna:hunt@er2@db/x?password=hunter2", "postgres://anna:***@db/x"),
            ("postgres://db/x?password=hunter2", "postgres://db/x"),
            ("sqlite:///var/lib/indicia.db", "sqlite:///var/lib/indicia.db"),
        ] {
            assert_eq!(mask_password(url), shown);
        }
    }
}
