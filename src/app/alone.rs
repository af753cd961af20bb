//! Mails over which daemons died, rendered in a process that may die of them instead.
//!
//! Every mail in a daemon's hands when it dies is suspected, most of them wrongly. So the suspects are rendered one
//! after the other by `indicia render-alone`, under limits, which says of each mail that it begins it: what it died of
//! is the last one it named.

use std::collections::HashSet;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::config::Config;
use crate::queue::claim::Claimed;

/// Address space of the process: far more than any mail takes.
pub const MEMORY_BYTES: u64 = 4 << 30;
/// Processor seconds of one mail.
pub const CPU_S: u64 = 5;

/// What the process is told on stdin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Suspects {
    /// May hold a password, and therefore is no argument.
    pub database: String,
    pub run_id: i64,
    pub now_ms: i64,
    pub mails: Vec<Suspect>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Suspect {
    pub id: i64,
    pub member_id: i64,
    pub variant: i64,
}

/// How the process is started.
#[derive(Debug, Clone)]
pub struct Alone {
    program: PathBuf,
    config: Option<PathBuf>,
    database: String,
}

impl Alone {
    /// # Errors
    /// When this program cannot say where it is.
    pub fn new(config: &Config) -> io::Result<Alone> {
        let (file, database) = (config.file.clone(), config.database.url.clone());
        Ok(Alone { program: std::env::current_exe()?, config: file, database })
    }

    /// Those of `rows` that a process died of.
    ///
    /// # Errors
    /// When none could be started, or it failed for another reason than a mail.
    pub async fn deadly(&self, run_id: i64, rows: &[Claimed], now_ms: i64) -> io::Result<HashSet<i64>> {
        let suspect = |row: &Claimed| {
            let member_id = row.member_id?;
            Some(Suspect { id: row.id, member_id, variant: row.variant })
        };
        let mails = rows.iter().filter_map(suspect).collect();
        let suspects = Suspects { database: self.database.clone(), run_id, now_ms, mails };
        let alone = self.clone();
        tokio::task::spawn_blocking(move || alone.one_by_one(suspects)).await?
    }

    fn one_by_one(&self, mut suspects: Suspects) -> io::Result<HashSet<i64>> {
        let mut deadly = HashSet::new();
        while !suspects.mails.is_empty() {
            let Some(died_of) = self.try_out(&suspects)? else { break };
            deadly.insert(died_of);
            let at = suspects.mails.iter().position(|mail| mail.id == died_of).unwrap_or(suspects.mails.len() - 1);
            suspects.mails.drain(..=at);
        }
        Ok(deadly)
    }

    /// The mail that a process died of, if it did.
    fn try_out(&self, suspects: &Suspects) -> io::Result<Option<i64>> {
        let mut command = Command::new(&self.program);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.env(crate::FRUGAL.0, crate::FRUGAL.1);
        command.arg("render-alone").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // When it dies first, its status says why.
            let _ = stdin.write_all(&serde_json::to_vec(suspects)?);
        }
        let mut last = None;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                last = line.parse::<i64>().ok().or(last);
            }
        }
        let status = child.wait()?;
        match (status.signal(), last) {
            _ if status.success() => Ok(None),
            (Some(signal), Some(id)) => {
                tracing::error!(
                    run = suspects.run_id,
                    message = id,
                    signal,
                    "a mail kills the process that renders it"
                );
                Ok(Some(id))
            }
            _ => Err(io::Error::other(format!("`indicia render-alone` could not do its work ({status})"))),
        }
    }
}
