//! From a folder to a published version: read, judged, rendered once in a process of its own, then written in one
//! transaction. Any fault in any template of a push, and nothing is changed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::domain::template::Source;
use crate::render::{Compiled, Fault, TRIAL_CPU_S, TRIAL_MEMORY_BYTES, check, from_files, trial};
use crate::store::template::{self, Published};
use crate::store::{Db, Lane, StoreError};

/// Longest answer of a trial that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Most files of one folder.
const FILES_MAX: usize = 200;
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("{}", lines(.0))]
    Faults(Vec<Fault>),
    #[error("could not read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path} is no template folder and holds none: a template folder has a template.toml")]
    NoTemplate { path: String },
    #[error("could not start the trial rendering: {0}")]
    Trial(std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
}

/// A template folder that was read and found good.
pub struct Checked {
    pub folder: PathBuf,
    pub compiled: Compiled,
    pub warnings: Vec<Fault>,
}

/// What a trial answers.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Answer {
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

/// Reads and judges `folder`, a template folder or a folder of them. `program` is this program: it is started again,
/// limited, for the trial rendering.
///
/// # Errors
/// Every fault of every template, with its file's path.
pub fn check_folder(folder: &Path, program: &Path) -> Result<Vec<Checked>, PublishError> {
    let mut checked = Vec::new();
    let mut faults = Vec::new();
    for folder in template_folders(folder)? {
        let within = |mut fault: Fault| {
            fault.file = folder.join(&fault.file).display().to_string();
            fault
        };
        match judge(&folder, program) {
            Ok((compiled, warnings)) => {
                let warnings = warnings.into_iter().map(within).collect();
                checked.push(Checked { folder: folder.clone(), compiled, warnings });
            }
            Err(PublishError::Faults(found)) => faults.extend(found.into_iter().map(within)),
            Err(other) => return Err(other),
        }
    }
    if faults.is_empty() { Ok(checked) } else { Err(PublishError::Faults(faults)) }
}

fn judge(folder: &Path, program: &Path) -> Result<(Compiled, Vec<Fault>), PublishError> {
    let unread = |source| PublishError::Read { path: folder.display().to_string(), source };
    let whole = folder.canonicalize().map_err(unread)?;
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let source = from_files(&name, &read_files(folder)?).map_err(PublishError::Faults)?;
    let compiled = check(&source).map_err(PublishError::Faults)?;
    let answer = try_out(&source, program)?;
    if answer.faults.is_empty() { Ok((compiled, answer.warnings)) } else { Err(PublishError::Faults(answer.faults)) }
}

/// Publishes what was checked: all in one transaction.
///
/// # Errors
/// When the database fails; nothing is changed then.
///
/// # Crash
/// Every version, or none.
pub async fn publish(db: &Db, checked: &[Checked], now_ms: i64) -> Result<Vec<Published>, PublishError> {
    let mut tx = db.begin(Lane::Bulk).await?;
    let mut published = Vec::with_capacity(checked.len());
    for Checked { compiled, .. } in checked {
        published.push(template::publish(tx.conn(), &compiled.source, &compiled.links, now_ms).await?);
    }
    tx.commit().await?;
    Ok(published)
}

/// The template folders of `folder`: itself, or those in it, by name.
fn template_folders(folder: &Path) -> Result<Vec<PathBuf>, PublishError> {
    let unread = |source| PublishError::Read { path: folder.display().to_string(), source };
    if folder.join("template.toml").is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = std::fs::read_dir(folder).map_err(unread)?;
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.join("template.toml").is_file()).collect();
    folders.sort();
    if folders.is_empty() {
        return Err(PublishError::NoTemplate { path: folder.display().to_string() });
    }
    Ok(folders)
}

fn read_files(folder: &Path) -> Result<BTreeMap<String, String>, PublishError> {
    let unread = |path: &Path, source| PublishError::Read { path: path.display().to_string(), source };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unread(folder, error))?.flatten().take(FILES_MAX) {
        let path = entry.path();
        let ours =
            path.extension().is_some_and(|kind| ["html", "mjml", "txt", "toml"].iter().any(|ours| kind == *ours));
        if !ours || !path.is_file() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.metadata().is_ok_and(|data| data.len() > FILE_BYTES_MAX) {
            let what = format!("is longer than {FILE_BYTES_MAX} bytes");
            return Err(PublishError::Faults(vec![Fault::of(&name, "too_long", what, "shorten it")]));
        }
        let bytes = std::fs::read(&path).map_err(|error| unread(&path, error))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let good = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
            PublishError::Faults(vec![Fault::at(&name, &good, at, "not_utf8", "is not UTF-8", "save it as UTF-8")])
        })?;
        files.insert(name, text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text));
    }
    Ok(files)
}

/// Renders `source` with sample members in a process of its own.
fn try_out(source: &Source, program: &Path) -> Result<Answer, PublishError> {
    let mut child = Command::new(program)
        .arg("render-trial")
        .env_clear()
        .env(crate::FRUGAL.0, crate::FRUGAL.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(PublishError::Trial)?;
    let json = serde_json::to_vec(source).expect("texts are JSON");
    // It reads everything before it answers; when it dies instead, its status says why.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(&json));
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        use std::io::Read as _;
        let _ = stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    }
    let status = child.wait().map_err(PublishError::Trial)?;
    if let Ok(answer) = serde_json::from_slice(&answer)
        && status.success()
    {
        return Ok(answer);
    }
    let what = match status.signal() {
        Some(9 | 24) => format!("the trial rendering did not end within {TRIAL_CPU_S} seconds"),
        Some(6 | 11) => format!("the trial rendering needed more than {} MB of memory", TRIAL_MEMORY_BYTES >> 20),
        _ => format!("the trial rendering failed ({status})"),
    };
    let fix = "look for loops over long lists and for text that is put together in them";
    Ok(Answer { faults: vec![Fault::of("template.toml", "runaway", what, fix)], warnings: Vec::new() })
}

/// The other side of [`check_folder`]: what `render-trial` does. Reads a source from `input`, writes the answer.
///
/// # Errors
/// When the limits cannot be set, or the input is no source.
pub fn run_trial(mut input: impl std::io::Read, mut output: impl std::io::Write) -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::As, limit(TRIAL_MEMORY_BYTES))?;
    setrlimit(Resource::Cpu, limit(TRIAL_CPU_S))?;
    setrlimit(Resource::Core, limit(0))?;
    let mut json = Vec::new();
    input.read_to_end(&mut json)?;
    let source: Source = serde_json::from_slice(&json)?;
    let (faults, warnings) = trial(&source);
    serde_json::to_writer(&mut output, &Answer { faults, warnings })?;
    output.flush()
}
