//! The real binary, in a folder of its own: commands run to their end, and daemons that are started, asked to stop,
//! or killed. What survives a kill is the folder; a second [`Home::start`] on it is a restart.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for a daemon to be ready, or to end when asked to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration, the database (on SQLite) and whatever a test puts there.
pub struct Home {
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    /// A home on SQLite: listeners on free ports, and the given sections of `indicia.toml` besides `[http]` and
    /// `[admin]`.
    pub fn new(sections: &str) -> Home {
        let home = Home { folder: tempfile::tempdir().expect("a temporary folder"), env: Vec::new() };
        let listeners = "[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
        home.write("indicia.toml", &format!("{listeners}{sections}"));
        home
    }

    /// A home on a PostgreSQL database; homes on the same one are daemons beside each other, and share their key.
    pub fn on_postgres(url: &str, sections: &str) -> Home {
        let home = Home::new(&format!(
            "[database]\nurl = \"{url}\"\n[[tokens.key]]\nid = 1\nfile = \"token-1.key\"\n{sections}"
        ));
        home.write("token-1.key", &"5a".repeat(32));
        home
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable of the environment for everything started from now on.
    pub fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Writes a file into the folder, and gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        let parent = path.parent().expect("a file in the folder");
        std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, text)).expect("write a file");
        path
    }

    /// Runs `indicia ARGUMENTS` in the folder to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        aside(|| {
            let out = self.command(arguments).stdin(Stdio::null()).output().expect("run the binary");
            Ran {
                code: out.status.code().unwrap_or(-1),
                stdout: String::from_utf8(out.stdout).expect("stdout is UTF-8"),
                stderr: String::from_utf8(out.stderr).expect("stderr is UTF-8"),
            }
        })
    }

    /// Runs a command that must succeed.
    pub fn done(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "indicia {} failed:\n{}", arguments.join(" "), ran.stderr);
        ran
    }

    /// Runs a command with `--json` that must succeed, and parses its one object.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.done(&[arguments, &["--json"]].concat());
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("no JSON ({error}):\n{}", ran.stdout))
    }

    /// Starts `indicia serve` and waits until it is ready.
    pub fn start(&self) -> Daemon {
        self.start_with(&["serve"])
    }

    /// Starts another daemon's command line and waits until it is ready. Its log goes to `daemon.log` in the folder.
    pub fn start_with(&self, arguments: &[&str]) -> Daemon {
        aside(|| {
            let log_path = self.path().join("daemon.log");
            let log = std::fs::File::options().create(true).append(true).open(&log_path).expect("open the log");
            let mut command = self.command(arguments);
            let mut child =
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("start the binary");
            let stdout = child.stdout.take().expect("stdout is a pipe");
            let (say, hear) = mpsc::channel();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stdout).lines();
                let _ = say.send(lines.next());
                // Read on, so that the daemon never waits for a reader.
                lines.for_each(drop);
            });
            let first = hear.recv_timeout(PATIENCE);
            let mut daemon = Daemon { child, ready: Value::Null, log: log_path };
            match first {
                Ok(Some(Ok(line))) => daemon.ready = serde_json::from_str(&line).expect("a JSON line when ready"),
                other => panic!("the daemon was never ready ({other:?}):\n{}", daemon.log_text()),
            }
            assert_eq!(daemon.ready["ready"], true, "{}", daemon.ready);
            daemon
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_indicia"));
        command.args(arguments).current_dir(self.path()).env_remove("INDICIA_CONFIG");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    /// Its first line: `{"ready":true,"http":…,"admin":…,"mailbox_smtp":…,"pid":…}`.
    pub ready: Value,
    log: PathBuf,
}

impl Daemon {
    /// The base URL of one of its listeners: `http`, `admin`.
    pub fn url(&self, listener: &str) -> &str {
        self.ready[listener].as_str().unwrap_or_else(|| panic!("no {listener} in {}", self.ready))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything this folder's daemons logged so far.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(mut self) {
        aside(|| self.child.kill().and_then(|()| self.child.wait()).expect("kill the daemon"));
    }

    /// SIGTERM: begins to drain.
    pub fn term(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("signal the daemon");
    }

    /// Waits for its end, and gives the exit code (-1: ended by a signal).
    pub fn wait(mut self) -> i32 {
        aside(|| {
            for _ in 0..PATIENCE.as_millis() / 20 {
                if let Some(status) = self.child.try_wait().expect("wait for the daemon") {
                    return status.code().unwrap_or(-1);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            panic!("the daemon did not end:\n{}", self.log_text());
        })
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(self) -> i32 {
        self.term();
        self.wait()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Blocks without standing in the way of a sink that runs in the same tokio runtime.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
