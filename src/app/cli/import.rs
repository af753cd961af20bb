//! `indicia import members|products|orders|events|suppressions FILE`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Exit, Failure, Session};
use crate::app::routes::provider_table;
use crate::flow::intake::{self, Import, IntakeError, Kind, Progress, Summary};

/// Import members, products, orders, events or suppressions from CSV or JSON lines
#[derive(Debug, clap::Args)]
pub struct Command {
    /// What the file holds: members, products, orders, events or suppressions
    kind: Kind,
    /// The file: CSV with a header row, or JSON lines
    file: PathBuf,
    /// Read the column THEIRS as OURS; may be given often
    #[arg(long = "map", value_name = "THEIRS=OURS", value_parser = rename)]
    renames: Vec<(String, String)>,
    /// The file's encoding, as in gb18030 or windows-1251 [default: UTF-8]
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Give every member of the file this tag
    #[arg(long, value_name = "NAME")]
    tag: Option<String>,
    /// Import nothing if a single row is rejected
    #[arg(long)]
    strict: bool,
}

fn rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((theirs, ours)) if !theirs.trim().is_empty() && !ours.trim().is_empty() => {
            Ok((theirs.trim().to_owned(), ours.trim().to_owned()))
        }
        _ => Err("write THEIRS=OURS, as in Mail=email".to_owned()),
    }
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    let Command { kind, file, renames, encoding, tag, strict } = command;
    let import = Import { renames, encoding, tag, strict, ..Import::new(kind, file, Arc::default()) };
    run_import(import, session).await
}

/// Runs an import with a bar, shows what became of the file, and says where the rejected rows are.
pub async fn run_import(import: Import, session: &Session) -> Result<Exit, Failure> {
    let providers = Arc::new(provider_table(&session.config)?);
    let (kind, import) = (import.kind, Import { providers, ..import });
    let bar = bar();
    let shown = |progress: Progress| show(&bar, progress);
    let imported = intake::import(&session.db, &session.world, &import, &shown).await;
    bar.finish_and_clear();
    let summary = imported.map_err(|error| failure(&import.path, error))?;
    session.show(&summary, words(kind, &summary))?;
    Ok(tell_rejected(session, &summary))
}

/// A bar on stderr where that is a terminal, and nothing anywhere else.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = "{msg} {wide_bar} {percent:>3} %  {elapsed} left {eta}";
    bar.set_style(ProgressStyle::with_template(style).expect("a template that is right"));
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.file_bytes);
    bar.set_position(progress.read_bytes.min(progress.file_bytes));
    let doing = if progress.rehearsal { "checking" } else { "importing" };
    let rejected = if progress.rejected > 0 { format!(", {} rejected", progress.rejected) } else { String::new() };
    bar.set_message(format!("{doing}: {} rows{rejected}", progress.rows));
}

fn failure(file: &Path, error: IntakeError) -> Failure {
    let fix = match &error {
        IntakeError::File { .. } => {
            "check the path, and that the folder may be written to: rejected rows go beside the file"
        }
        IntakeError::Header(_) | IntakeError::Encoding { .. } | IntakeError::Option { .. } => {
            return Failure::new(format!("{}: {error}", file.display()));
        }
        _ => "run the same command again: rows that are in already change nothing",
    };
    Failure::new(format!("{}: {error}", file.display())).fix(fix)
}

fn words(kind: Kind, summary: &Summary) -> String {
    let Summary { read, inserted, updated, unchanged, rejected, .. } = summary;
    format!(
        "{kind}: {read} rows read, {inserted} inserted, {updated} updated, {unchanged} unchanged, {rejected} rejected"
    )
}

fn tell_rejected(session: &Session, summary: &Summary) -> Exit {
    if summary.rejected == 0 {
        return Exit::Done;
    }
    let list = summary.rejected_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    if summary.refused {
        session.say(format!("error: nothing was imported, because of --strict; rejected rows: {}", summary.rejected));
        session
            .say(format!("  fix: mend the rows listed in {list}, with the reason for each, and import the file again"));
        return Exit::Failed;
    }
    session.say(format!("rejected rows: {}, all others are in; {list} has the reason for each", summary.rejected));
    Exit::Done
}
