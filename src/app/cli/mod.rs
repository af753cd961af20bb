//! The command line: parses arguments, loads the configuration, hands each command a [`Session`].
//!
//! # How to add a command
//!
//! 1. Write `src/app/cli/NAME.rs` with
//!
//!    ```ignore
//!    /// What it does, in one line: this is its help text.
//!    #[derive(Debug, clap::Args)]            // or clap::Subcommand, for `indicia NAME VERB`
//!    pub struct Command { … }
//!
//!    pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> { … }
//!    ```
//! 2. Add `pub mod NAME;` and a line to `commands!` below: `Name => name,`, with `#[command(subcommand)]` above it when
//!    `Command` is an enum of verbs.
//!
//! Answers go to stdout through [`Session::show`], as JSON with `--json`; everything else goes to stderr. Exit codes
//! are [`Exit`]. A `Failure` says what, where and the fix.

mod failure;
mod session;
mod shaping;

pub mod bounce;
pub mod campaign;
pub mod check;
pub mod demo;
pub mod doctor;
pub mod import;
pub mod member;
pub mod message;
pub mod migrate;
mod progress;
pub mod recommend;
pub mod render_alone;
pub mod render_trial;
pub mod segment;
pub mod serve;
pub mod suppression;
pub mod template;
pub mod touches;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

pub use failure::{Exit, Failure, Fix};
pub use session::Session;

use super::config::{Config, Faults, LogFormat};
use super::{log, processors};

/// What logs are written by a command that is no daemon, unless `--log` says otherwise.
const COMMAND_LOG_LEVEL: &str = "warn";

/// Declares the verbs and where each is run. `with session` commands get an open, migrated database; `alone` ones get
/// the options and find out for themselves what works.
macro_rules! commands {
    (with session { $($(#[$meta:meta])* $name:ident => $module:ident,)* } alone { $($(#[$lonemeta:meta])* $alone:ident => $lone:ident,)* }) => {
        #[derive(Debug, clap::Subcommand)]
        enum Verb {
            $($(#[$meta])* $name($module::Command),)*
            $($(#[$lonemeta])* $alone($lone::Command),)*
        }

        async fn dispatch(verb: Verb, global: &Global) -> Result<Exit, Failure> {
            match verb {
                $(Verb::$name(command) => {
                    let session = global.session().await?;
                    let exit = $module::run(command, &session).await;
                    session.db.close().await;
                    exit
                })*
                $(Verb::$alone(command) => $lone::run(command, global).await,)*
            }
        }
    };
}

commands! {
    with session {
        #[command(subcommand)]
        Bounce => bounce,
        #[command(subcommand)]
        Campaign => campaign,
        Import => import,
        #[command(subcommand)]
        Member => member,
        #[command(subcommand)]
        Message => message,
        #[command(subcommand)]
        Template => template,
        #[command(subcommand)]
        Touches => touches,
        #[command(subcommand)]
        Segment => segment,
        #[command(subcommand)]
        Shaping => shaping,
        #[command(subcommand)]
        Suppression => suppression,
    }
    alone {
        Check => check,
        Demo => demo,
        Doctor => doctor,
        Migrate => migrate,
        #[command(subcommand)]
        Recommend => recommend,
        RenderAlone => render_alone,
        RenderTrial => render_trial,
        Serve => serve,
    }
}

/// A self-hosted email campaign daemon: personal mails, rate-limited SMTP, tracking, and tags that learn.
#[derive(Debug, clap::Parser)]
#[command(name = "indicia", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// The options that every command takes.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The configuration [default: $INDICIA_CONFIG, else ./indicia.toml, else embedded defaults]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer in JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// What to log on stderr: error, warn, info, debug, trace, or directives [default: [log] level]
    #[arg(long = "log", global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How log lines look: text or json [default: [log] format]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Read once, whether it was good or not: what the file is may be a pipe, which is empty the next time.
    #[arg(skip)]
    loaded: OnceLock<Result<Config, Faults>>,
}

impl Global {
    /// Loads the configuration.
    ///
    /// # Errors
    /// Every fault of it, in one text.
    pub fn load(&self) -> Result<Config, Failure> {
        Ok(self.load_every_fault()?)
    }

    /// Loads the configuration; whoever asks again hears the same.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn load_every_fault(&self) -> Result<Config, Faults> {
        self.loaded.get_or_init(|| Config::load(self.config.as_deref(), &Global::environment())).clone()
    }

    /// The environment's variables; what is no UTF-8 can be no variable of ours.
    pub fn environment() -> Vec<(String, String)> {
        let pair = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        std::env::vars_os().filter_map(pair).collect()
    }

    /// Starts logging as the options and the configuration say. `quiet` replaces the configured level for commands
    /// that are no daemon.
    pub fn start_log(&self, config: &Config, quiet: Option<&str>) {
        let level = self.log_level.as_deref().or(quiet).unwrap_or(&config.log.level);
        log::start(level, self.log_format.unwrap_or(config.log.format));
    }

    /// Loads the configuration, starts the log of a command that is no daemon, opens the database.
    ///
    /// # Errors
    /// Whatever of these fails.
    pub async fn session(&self) -> Result<Session, Failure> {
        let config = self.load()?;
        self.start_log(&config, Some(COMMAND_LOG_LEVEL));
        Session::open_beside(config, self.json).await
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Threads that render and talk. The database is written by threads of their own, which all of these wait for: one
/// processor is left to them, and to a mail server or a database on the same machine. On SQLite, two processors send a
/// fifth faster so.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |all| (all.get() - 1).max(1))
}

/// Whether this process [leaves one processor](processors) to others: a daemon on SQLite does. PostgreSQL is one of those
/// who wake it and are woken, and the kernel does better for all three.
fn leaves_one(arguments: &Arguments) -> bool {
    match arguments.verb {
        Verb::Demo(_) => true,
        Verb::Serve(_) => arguments.global.load().is_ok_and(|config| config.database.is_sqlite()),
        _ => false,
    }
}

/// The threads of this process. Those that start first are the workers, the others do what blocks.
fn runtime(leaves_one: bool) -> std::io::Result<Runtime> {
    let (workers, started) = (workers(), AtomicUsize::new(0));
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all();
    if leaves_one {
        builder.on_thread_start(move || match started.fetch_add(1, Ordering::Relaxed) {
            worker if worker < workers => processors::leave_one(),
            _ => processors::take_all(),
        });
    }
    builder.build()
}

fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return ExitCode::from(exit as u8);
        }
    };
    let runtime = match runtime(leaves_one(&arguments)) {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(Failure::new(format!("could not start: {error}")).tell() as u8),
    };
    let exit = runtime.block_on(dispatch(arguments.verb, &arguments.global));
    ExitCode::from(exit.unwrap_or_else(|failure| failure.tell()) as u8)
}
