//! `indicia bounce ingest FILE|DIR|-`, `indicia bounce list`

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::{Exit, Failure, Fix, Session};
use crate::app::reply_rules::ReplyRules;
use crate::flow::bounce::{Desk, Taken};
use crate::inbound::{Reader, mbox};
use crate::store::stray;

/// Largest file of mails, bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Folders within folders that are opened.
const DEPTH_MAX: usize = 8;

/// Read mails that came back: bounces, complaints, automatic answers
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Take mails in and say what each was taken for
    Ingest {
        /// A mail, an mbox, a folder of mails, or - for standard input
        #[arg(required = true, value_name = "FILE|DIR|-")]
        paths: Vec<PathBuf>,
    },
    /// List what came back and could not be placed, the newest first
    List {
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: i64,
    },
    /// Write one of these mails to stdout as it came
    Show { id: i64 },
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    match command {
        Command::Ingest { paths } => ingest(session, &paths).await,
        Command::List { limit } => list(session, limit).await,
        Command::Show { id } => show(session, id).await,
    }
}

async fn ingest(session: &Session, paths: &[PathBuf]) -> Result<Exit, Failure> {
    let desk = Desk {
        db: session.db.clone(),
        keys: Arc::new(session.keyring()?),
        reader: Arc::new(Reader::default()),
        rules: ReplyRules::load(&session.config)?.current(),
    };
    for path in paths {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            let read = std::io::stdin().take(FILE_BYTES_MAX).read_to_end(&mut bytes);
            read.map_err(|error| Failure::new(format!("could not read standard input: {error}")))?;
            take_in(session, &desk, "-", &bytes).await?;
            continue;
        }
        let mut files = Vec::new();
        collect(path, DEPTH_MAX, &mut files)?;
        for file in files {
            take_in(session, &desk, &file.display().to_string(), &read(&file)?).await?;
        }
    }
    Ok(Exit::Done)
}

/// The files of a folder and those within, by name; a file is itself.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("could not read {}: {error}", path.display()));
    if !std::fs::metadata(path).map_err(failed).fix("name a mail, an mbox, a folder, or -")?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let is_hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    for path in paths.iter().filter(|path| depth > 0 && !is_hidden(path)) {
        collect(path, depth - 1, files)?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::new(format!("could not read {}: {error}", file.display()));
    if std::fs::metadata(file).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(Failure::new(format!("{} is larger than {FILE_BYTES_MAX} bytes", file.display())));
    }
    std::fs::read(file).map_err(failed)
}

async fn take_in(session: &Session, desk: &Desk, file: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mails = mbox::mails(bytes);
    let is_alone = mails.len() == 1;
    for (nth, mail) in mails.into_iter().enumerate() {
        let name = if is_alone { file.to_owned() } else { format!("{file}#{}", nth + 1) };
        let taken = desk.take_in(mail, &[], "file", session.now_ms()).await?;
        let Taken { kind, recipients, feedback, ours, effect } = &taken;
        let value = json!({
            "file": name, "kind": kind, "recipients": recipients, "feedback": feedback, "ours": ours, "effect": effect,
        });
        session.show(&value, words(&name, &taken))?;
    }
    Ok(())
}

fn words(name: &str, taken: &Taken) -> String {
    let mut words = format!("{name}: {}", taken.kind);
    for one in &taken.recipients {
        let status = one.status.as_deref().map_or(String::new(), |status| format!(" {status}"));
        let dead = if one.dead { ", dead" } else { "" };
        words.push_str(&format!("; {} {} {}{status}{dead}", one.address, one.action, one.class));
    }
    let ours = taken.ours.map_or(String::new(), |id| format!(" (message {id})"));
    format!("{words}; {}{ours}", taken.effect)
}

async fn list(session: &Session, limit: i64) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    for mail in stray::list(reader.conn(), limit.clamp(1, stray::STRAYS_MAX)).await? {
        let words =
            format!("{:>6}  {:<10} {:<8} {:>7} bytes  {}", mail.id, mail.kind, mail.source, mail.bytes, mail.subject);
        session.show(&mail, words)?;
    }
    Ok(Exit::Done)
}

async fn show(session: &Session, id: i64) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    let raw = stray::raw(reader.conn(), id).await?;
    let raw =
        raw.ok_or_else(|| Failure::new(format!("no returned mail {id} is kept"))).fix("see `indicia bounce list`")?;
    session.write(&String::from_utf8_lossy(&raw))?;
    Ok(Exit::Done)
}
