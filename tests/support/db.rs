//! Databases for tests: a fresh SQLite file, and a fresh database on a PostgreSQL server of our own.
//!
//! The server is started once per test process, on a free port, without fsync, and dies with the process: it is held
//! by a shell that waits on our pipe. Set `INDICIA_TEST_NEED=1` to make its absence a failure; otherwise a missing
//! server is said loudly and that half is not run.

use std::io::Read as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use indicia::store::{Db, OpenOptions};
use tempfile::TempDir;

/// A database that is gone when dropped (SQLite) or with the server (PostgreSQL).
pub struct TestDb {
    pub db: Db,
    pub url: String,
    /// Removed when the test ends; a place for the test's own files.
    pub folder: TempDir,
}

/// Runs `body(TestDb)` on SQLite and on PostgreSQL: the only way to write a test of the store or the queue.
#[macro_export]
macro_rules! both_dbs {
    ($(#[$meta:meta])* async fn $name:ident($db:ident) $body:block) => {
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn body($db: $crate::support::db::TestDb) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                body($crate::support::db::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(db) = $crate::support::db::postgres().await {
                    body(db).await;
                }
            }
        }
    };
}

/// A migrated SQLite database in a folder of its own.
pub async fn sqlite() -> TestDb {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}", folder.path().join("indicia.db").display());
    let db = Db::open(&url, &OpenOptions::default()).await.expect("open SQLite");
    db.migrate().await.expect("migrate SQLite");
    TestDb { db, url, folder }
}

/// A migrated database on our PostgreSQL server, or `None` (said loudly) where PostgreSQL is not installed.
pub async fn postgres() -> Option<TestDb> {
    let url = postgres_url().await?;
    let db = Db::open(&url, &OpenOptions::default()).await.expect("open PostgreSQL");
    db.migrate().await.expect("migrate PostgreSQL");
    Some(TestDb { db, url, folder: tempfile::tempdir().expect("a temporary folder") })
}

/// The URL of a fresh, empty database on our server.
pub async fn postgres_url() -> Option<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server()?;
    let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut admin = <sqlx::PgConnection as sqlx::Connection>::connect(&format!("{}/postgres", server.base))
        .await
        .expect("connect to our PostgreSQL");
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.expect("create");
    Some(format!("{}/{name}", server.base))
}

struct Server {
    base: String,
    _holder: Child,
    _folder: TempDir,
}

fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

fn start() -> Option<Server> {
    let Some(bin) = bin_folder() else {
        let said = "PostgreSQL is not installed (no initdb found): the PostgreSQL half of this suite was NOT run";
        assert!(std::env::var_os("INDICIA_TEST_NEED").is_none(), "{said}");
        eprintln!("\n*** {said} ***\n");
        return None;
    };
    let folder = tempfile::Builder::new().prefix("indicia-pg").tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let owner = unprivileged();
    let run = |command: &mut Command| {
        if let Some((uid, gid)) = owner {
            command.uid(uid).gid(gid);
        }
        command.current_dir(folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).expect("hand over the folder");
    }
    assert!(
        run(Command::new(bin.join("initdb"))
            .args(["-U", "indicia", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(&data)),
        "initdb failed"
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    // The folder goes with the server: a test binary ends without dropping what is static. An interrupt is for all of its
    // group; only the end of its input ends this one.
    let script = format!(
        "trap '' INT TERM; '{bin}/postgres' -D '{data}' -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{folder}' \
         -c fsync=off -c max_connections=300 -c shared_buffers=128MB >'{folder}/log' 2>&1 & pid=$!; read line; kill -INT $pid; wait $pid; cd /; rm -rf '{folder}'",
        bin = bin.display(),
        data = data.display(),
        folder = folder.path().display(),
    );
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::null()).current_dir(folder.path());
    if let Some((uid, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    let mut holder = command.spawn().expect("start PostgreSQL");
    for _ in 0..300 {
        let ready =
            Command::new(bin.join("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status();
        if ready.is_ok_and(|status| status.success()) {
            let base = format!("postgres://indicia@127.0.0.1:{port}");
            return Some(Server { base, _holder: holder, _folder: folder });
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let _ = holder.kill().and_then(|()| holder.wait());
    let mut log = String::new();
    let _ = std::fs::File::open(folder.path().join("log")).and_then(|mut file| file.read_to_string(&mut log));
    panic!("PostgreSQL did not start:\n{log}");
}

/// Where `initdb` lies: the newest under Debian's folder, else on the path.
fn bin_folder() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    versions.reverse();
    versions.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    versions.into_iter().find(|bin| bin.join("initdb").exists() && bin.join("pg_isready").exists())
}

/// PostgreSQL refuses to run as root: the ids of user `postgres`, else `nobody`, where we are root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2).map(|field| field.parse().ok());
        Some((fields.next()??, fields.next()??))
    })
}
