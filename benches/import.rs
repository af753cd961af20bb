//! Import of members beside batch inserts of the same rows.
//!
//! `cargo bench --bench import`. The control inserts rows that were parsed before the clock started, into the same
//! tables of the same SQLite settings (`synchronous=FULL`), by prepared statements of many rows, a thousand members to
//! a transaction. Ours is the whole import: reading, decoding, checking, matching against the database, and the same
//! writes. Rounds alternate, each on a fresh file; the first is dropped, the median ratio counts. `INDICIA_BENCH_DIR`
//! says where the databases lie (a real disk), `INDICIA_BENCH_MEMBERS` how many members there are.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use indicia::base::World;
use indicia::domain::address::Email;
use indicia::domain::provider::ProviderTable;
use indicia::flow::intake::{self, Import, Kind};
use indicia::store::{Conn, Db, Lane, OpenOptions, setting};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

const MEMBERS: usize = 200_000;
/// The first is dropped; the rest are an odd number, so that one of them is the median.
const ROUNDS: usize = 6;
/// Ours over the control, members per second.
const RATIO_BAR: f64 = 0.25;
/// Members of one transaction, and of one statement, of the control.
const TRANSACTION: usize = 1000;
const STATEMENT: usize = 250;
const NOW_MS: i64 = 1_790_000_000_000;

struct Row {
    email: String,
    addr_key: i64,
    external_id: String,
    first_name: String,
    last_name: String,
    locale: &'static str,
    zone: &'static str,
    market: &'static str,
    points: i64,
    lot: i64,
}

fn main() {
    let folder = match std::env::var_os("INDICIA_BENCH_DIR") {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir_in("."),
    }
    .expect("a folder for the benchmark");
    let members = std::env::var("INDICIA_BENCH_MEMBERS").ok().and_then(|text| text.parse().ok()).unwrap_or(MEMBERS);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(compare(folder.path(), members));
}

async fn compare(folder: &Path, members: usize) {
    let world = World::system();
    let mut rows: Vec<Row> = (0..members).map(row).collect();
    let file = folder.join("members.csv");
    write(&file, &rows);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let db = fresh(folder, "control.db").await;
        key(&db, &world, &mut rows).await;
        let (control, control_cpu) = timed(members, control(&db, &rows)).await;
        audit(&db, members).await;
        let db = fresh(folder, "ours.db").await;
        let import = Import::new(Kind::Members, &file, Arc::new(ProviderTable::built_in()));
        let (ours, cpu) = timed(members, async {
            let summary = intake::import(&db, &world, &import, &|_| {}).await.expect("the import runs");
            assert_eq!(summary.inserted, members as u64);
        })
        .await;
        audit(&db, members).await;
        eprintln!(
            "round {round}: control {control:.0}/s ({control_cpu:.1} us CPU each), ours {ours:.0}/s ({cpu:.1} us CPU each), ratio {:.2}",
            ours / control
        );
        if round > 0 {
            rounds.push((ours / control, ours, control, cpu));
        }
    }
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, value, control, cpu_us) = rounds[rounds.len() / 2];
    let line = serde_json::json!({
        "name": "import.members", "value": value.round(), "control": control.round(), "unit": "members/s",
        "cpu_us": (cpu_us * 10.0).round() / 10.0, "ratio": (ratio * 1000.0).round() / 1000.0, "bar": RATIO_BAR,
        "pass": ratio >= RATIO_BAR,
    });
    println!("{line}");
}

/// Members per second of `work`, and microseconds of CPU for each.
async fn timed(members: usize, work: impl Future<Output = ()>) -> (f64, f64) {
    let (started, cpu) = (Instant::now(), cpu_us());
    work.await;
    (members as f64 / started.elapsed().as_secs_f64(), (cpu_us() - cpu) / members as f64)
}

fn cpu_us() -> f64 {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    at.tv_sec as f64 * 1e6 + at.tv_nsec as f64 / 1e3
}

fn row(n: usize) -> Row {
    let (locale, zone, market) =
        [("zh-CN", "Asia/Shanghai", "cn"), ("ru", "Europe/Moscow", "ru"), ("en", "Europe/Berlin", "eu")][n % 3];
    Row {
        email: format!("member.{n}@d{}.example", n % 500),
        addr_key: 0,
        external_id: format!("X{n:08}"),
        first_name: format!("First{}", n % 1000),
        last_name: format!("Last{}", n % 5000),
        locale,
        zone,
        market,
        points: (n as i64 * 7919) % 10_000,
        lot: (n as i64 * 1_000_003) % 2_147_483_647,
    }
}

fn write(path: &Path, rows: &[Row]) {
    let mut file = csv::Writer::from_path(path).expect("write the file");
    let header = ["email", "external_id", "first_name", "last_name", "locale", "zone", "market", "points", "topics"];
    file.write_record(header).expect("write the header");
    for r in rows {
        let points = r.points.to_string();
        let cells =
            [&r.email, &r.external_id, &r.first_name, &r.last_name, r.locale, r.zone, r.market, &points, "offers"];
        file.write_record(cells).expect("write a row");
    }
    file.flush().expect("write the file");
}

async fn fresh(folder: &Path, name: &str) -> Db {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("{name}{suffix}")));
    }
    let url = format!("sqlite://{}", folder.join(name).display());
    let db = Db::open(&url, &OpenOptions::default()).await.expect("open");
    db.migrate().await.expect("migrate");
    db
}

/// Hashes the addresses under the control database's own secret, as parsing would have.
async fn key(db: &Db, world: &World, rows: &mut [Row]) {
    let mut tx = db.begin(Lane::Bulk).await.expect("begin");
    let secret = setting::addr_secret(tx.conn(), world).await.expect("a secret");
    tx.commit().await.expect("commit");
    for row in rows {
        row.addr_key = secret.key(&Email::parse(&row.email).expect("an address"));
    }
}

async fn control(db: &Db, rows: &[Row]) {
    for transaction in rows.chunks(TRANSACTION) {
        let mut tx = db.begin(Lane::Bulk).await.expect("begin");
        let Conn::Sqlite(conn) = tx.conn() else { unreachable!("opened as SQLite") };
        for rows in transaction.chunks(STATEMENT) {
            insert(conn, rows).await;
        }
        tx.commit().await.expect("commit");
    }
}

async fn insert(conn: &mut SqliteConnection, rows: &[Row]) {
    let columns = "email, addr_key, external_id, first_name, last_name, locale, zone, market, points, lot, provider_id, \
                   created_at_ms, updated_at_ms";
    let sql = format!("insert into member ({columns}) values {} returning id", places(rows.len(), 13));
    let mut query = sqlx::query_scalar::<Sqlite, i64>(AssertSqlSafe(sql));
    for r in rows {
        query = query.bind(&r.email).bind(r.addr_key).bind(&r.external_id).bind(&r.first_name).bind(&r.last_name);
        query = query.bind(r.locale).bind(r.zone).bind(r.market).bind(r.points).bind(r.lot).bind(1);
        query = query.bind(NOW_MS).bind(NOW_MS);
    }
    let ids = query.fetch_all(&mut *conn).await.expect("insert members");
    let sql = format!("insert into consent (member_id, topic, state, at_ms) values {}", places(rows.len(), 4));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for id in &ids {
        query = query.bind(id).bind("offers").bind("granted").bind(NOW_MS);
    }
    query.execute(&mut *conn).await.expect("insert consents");
    let columns = "member_id, topic, state, source, proof, at_ms";
    let sql = format!("insert into consent_log ({columns}) values {}", places(rows.len(), 6));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for id in &ids {
        query = query.bind(id).bind("offers").bind("granted").bind("import").bind("members.csv").bind(NOW_MS);
    }
    query.execute(&mut *conn).await.expect("log consents");
}

fn places(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; rows].join(",")
}

/// Both sides must have written the same.
async fn audit(db: &Db, members: usize) {
    let mut reader = db.reader().await.expect("a reader");
    let Conn::Sqlite(conn) = reader.conn() else { unreachable!("opened as SQLite") };
    for table in ["member", "consent", "consent_log"] {
        let sql = AssertSqlSafe(format!("select count(*) from {table}"));
        let n: i64 = sqlx::query_scalar(sql).fetch_one(&mut *conn).await.expect("count");
        assert_eq!(n, members as i64, "{table}");
    }
}
