//! What the benchmarks share: folders on a real disk, child processes, medians, the one line each prints.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A folder on the disk that `INDICIA_BENCH_DIR` names, else beside the sources: gone at the end.
pub fn folder() -> tempfile::TempDir {
    let parent = std::env::var_os("INDICIA_BENCH_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    tempfile::Builder::new().prefix("bench").tempdir_in(parent).expect("a folder for the benchmark")
}

/// A number from the environment, else `default`.
pub fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A child process, killed when dropped.
pub struct Running(pub Child);

impl Running {
    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processor time a process has used, microseconds: user and system, from `/proc/PID/stat` at 100 ticks a second.
pub fn cpu_us(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    ticks as f64 * 10_000.0
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Postfix's `smtp-sink` with its defaults, listening.
pub fn smtp_sink() -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new("smtp-sink");
    if rustix::process::geteuid().is_root() {
        command.args(["-u", "nobody"]);
    }
    let child = command
        .args([&format!("127.0.0.1:{port}"), "1000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("this benchmark needs smtp-sink and smtp-source: apt-get install postfix");
    let child = Running(child);
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return (child, port);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("smtp-sink does not listen");
}

/// A database of its own on a PostgreSQL server, gone when dropped: what one leaves behind, the server would vacuum
/// while the next is measured.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// A fresh one on the server of the URL `server`.
    pub fn on(server: &str) -> Database {
        let database = Database { server: server.to_owned(), name: format!("bench{}", std::process::id()) };
        database.ask("create", "");
        database
    }

    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    fn ask(&self, what: &str, how: &str) {
        let server = format!("{}/postgres", self.server);
        let asked =
            Command::new("psql").args([&server, "-qc", &format!("{what} database {} {how}", self.name)]).status();
        assert!(asked.is_ok_and(|status| status.success()), "could not {what} a database on {server}");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ask("drop", "with (force)");
        }
    }
}

/// Runs `indicia ARGUMENTS` to its end and gives its stdout.
pub fn indicia(folder: &Path, arguments: &[&str]) -> String {
    let ran =
        Command::new(env!("CARGO_BIN_EXE_indicia")).args(arguments).current_dir(folder).output().expect("run indicia");
    assert!(ran.status.success(), "{arguments:?} failed: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("UTF-8")
}

/// Starts `indicia serve` and waits for its first line.
pub fn serve(folder: &Path) -> Running {
    use std::io::BufRead as _;
    let log = std::fs::File::create(folder.join("serve.log")).expect("a log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_indicia"))
        .arg("serve")
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("start indicia");
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("the ready line");
    assert!(line.contains("\"ready\":true"), "not ready: {line}");
    Running(child)
}

/// The round with the median of `by`.
pub fn median<T>(mut rounds: Vec<T>, by: impl Fn(&T) -> f64) -> T {
    rounds.sort_by(|a, b| by(a).total_cmp(&by(b)));
    let middle = rounds.len() / 2;
    rounds.swap_remove(middle)
}
