//! The built-in mailbox: what a demonstration, a trial and a test send to instead of the world. Mails lie in a folder,
//! one `.eml` each beside `index.jsonl`, bounded by count and bytes; the oldest go first.
//!
//! It is fast rather than durable: nothing is synced, so a power cut may cost the last seconds; the death of the
//! process costs nothing that was answered with 250.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use mail_parser::{MessageParser, PartType};
use tokio::sync::{mpsc, oneshot};

use super::listener::{Received, Receiver, Verdict};
use crate::base::World;
use crate::base::text::clean;

/// Mails on their way to the writer; more wait at their sender.
const WAITING_MAX: usize = 256;
/// Longest subject kept in the index, bytes.
const SUBJECT_BYTES_MAX: usize = 500;
/// Index lines of dropped mails that are borne before the index is written anew.
const DEAD_LINES_MAX: usize = 10_000;

/// What a mailbox keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub mails_max: usize,
    pub bytes_max: u64,
}

/// One mail in the index.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// Ascending, never used twice.
    pub id: i64,
    pub received_at_ms: i64,
    /// The envelope's sender and recipients, as they were given.
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub bytes: u64,
}

/// One mail, opened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Letter {
    #[serde(flatten)]
    pub entry: Entry,
    pub html: Option<String>,
    pub text: Option<String>,
    /// The mail as it came, not UTF-8 replaced.
    pub raw: String,
}

/// What kept a mailbox from opening.
#[derive(Debug, thiserror::Error)]
#[error("the mailbox in {} could not be opened: {source}; is the folder ours to write?", .folder.display())]
pub struct MailboxError {
    pub folder: PathBuf,
    pub source: io::Error,
}

/// A handle on the mailbox; its writer is a thread that ends with the last handle.
pub struct Mailbox {
    shared: Arc<Shared>,
    world: World,
    waiting: mpsc::Sender<Job>,
}

struct Shared {
    folder: PathBuf,
    shelf: RwLock<Shelf>,
}

/// What is known of the mails that are there.
#[derive(Default)]
struct Shelf {
    entries: VecDeque<Entry>,
    bytes: u64,
    last_id: i64,
}

struct Job {
    entry: Entry,
    content: Vec<u8>,
    done: oneshot::Sender<bool>,
}

impl Mailbox {
    /// Opens or makes the mailbox in `folder`, and drops what lies beyond `bounds`. Blocking.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    pub fn open(folder: &Path, bounds: Bounds, world: World) -> Result<Mailbox, MailboxError> {
        let failed = |source| MailboxError { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let shelf = Shelf::read(folder).map_err(failed)?;
        let shared = Arc::new(Shared { folder: folder.to_owned(), shelf: RwLock::new(shelf) });
        let mut writer = Writer::new(Arc::clone(&shared), bounds).map_err(failed)?;
        let (waiting, mut jobs) = mpsc::channel(WAITING_MAX);
        let work = move || writer.work(&mut jobs);
        std::thread::Builder::new().name("mailbox".to_owned()).spawn(work).map_err(failed)?;
        Ok(Mailbox { shared, world, waiting })
    }

    /// The newest mails first, at most `limit`; to one recipient, whatever the case of its letters, or to all.
    pub fn list(&self, to: Option<&str>, limit: usize) -> Vec<Entry> {
        let is_wanted =
            |entry: &&Entry| to.is_none_or(|wanted| entry.to.iter().any(|to| to.eq_ignore_ascii_case(wanted.trim())));
        self.shared.shelf().entries.iter().rev().filter(is_wanted).take(limit).cloned().collect()
    }

    /// How many mails are there.
    pub fn count(&self) -> usize {
        self.shared.shelf().entries.len()
    }

    /// How many mails ever came, dropped ones included.
    pub fn count_ever(&self) -> i64 {
        self.shared.shelf().last_id
    }

    /// The mail as it came, or `None` for one that is not (or no more) there.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn get(&self, id: i64) -> io::Result<Option<Vec<u8>>> {
        if self.shared.shelf().find(id).is_none() {
            return Ok(None);
        }
        match tokio::fs::read(mail_path(&self.shared.folder, id)).await {
            Ok(mail) => Ok(Some(mail)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The mail taken apart, or `None` for one that is not (or no more) there.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn open_letter(&self, id: i64) -> io::Result<Option<Letter>> {
        let Some(entry) = self.shared.shelf().find(id).cloned() else { return Ok(None) };
        let Some(mail) = self.get(id).await? else { return Ok(None) };
        let (mut html, mut text) = (None, None);
        if let Some(parsed) = MessageParser::default().parse(&mail) {
            html = parsed.html_bodies().find_map(|part| match &part.body {
                PartType::Html(html) => Some(html.to_string()),
                _ => None,
            });
            text = parsed.text_bodies().find_map(|part| match &part.body {
                PartType::Text(text) => Some(text.to_string()),
                _ => None,
            });
        }
        Ok(Some(Letter { entry, html, text, raw: String::from_utf8_lossy(&mail).into_owned() }))
    }
}

impl Receiver for Mailbox {
    async fn receive(&self, mail: Received) -> Verdict {
        const LATER: Verdict = Verdict::Later("the mailbox cannot write");
        let parsed = MessageParser::new().with_minimal_headers().parse_headers(&mail.content);
        let subject = parsed.as_ref().and_then(|parsed| parsed.subject()).unwrap_or_default();
        let entry = Entry {
            id: 0,
            received_at_ms: self.world.now_ms(),
            from: mail.from,
            to: mail.to,
            subject: clean(subject, SUBJECT_BYTES_MAX),
            bytes: mail.content.len() as u64,
        };
        let (done, is_written) = oneshot::channel();
        if self.waiting.send(Job { entry, content: mail.content, done }).await.is_err() {
            return LATER;
        }
        if is_written.await.unwrap_or(false) { Verdict::Taken } else { LATER }
    }
}

impl Shared {
    fn shelf(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().expect("no panic while shelving")
    }
}

impl Shelf {
    /// What the index says is there and is there. Files that it does not name are removed: their senders got no 250.
    fn read(folder: &Path) -> io::Result<Shelf> {
        let mut files = HashSet::new();
        for found in fs::read_dir(folder)? {
            let name = found?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".eml")?.parse::<i64>().ok());
            files.extend(id);
        }
        let mut shelf = Shelf::default();
        match File::open(index_path(folder)) {
            Ok(index) => shelf.read_index(BufReader::new(index), &mut files)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        for orphan in files {
            let _ = fs::remove_file(mail_path(folder, orphan));
        }
        Ok(shelf)
    }

    fn read_index(&mut self, index: impl io::BufRead, files: &mut HashSet<i64>) -> io::Result<()> {
        for line in index.split(b'\n') {
            // A line cut short by a crash names a mail that was not answered with 250.
            let Ok(entry) = serde_json::from_slice::<Entry>(&line?) else { continue };
            self.last_id = self.last_id.max(entry.id);
            if files.remove(&entry.id) {
                self.put(entry);
            }
        }
        Ok(())
    }

    fn put(&mut self, entry: Entry) {
        self.bytes += entry.bytes;
        self.last_id = self.last_id.max(entry.id);
        self.entries.push_back(entry);
    }

    fn find(&self, id: i64) -> Option<&Entry> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok().map(|at| &self.entries[at])
    }

    /// Takes out the oldest until the rest is within `bounds`; at least one mail stays.
    fn drop_oldest(&mut self, bounds: Bounds) -> Vec<i64> {
        let mut dropped = Vec::new();
        while self.entries.len() > 1 && (self.entries.len() > bounds.mails_max || self.bytes > bounds.bytes_max) {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes -= entry.bytes;
                dropped.push(entry.id);
            }
        }
        dropped
    }
}

/// The thread that writes: a file per mail, one index write for all mails that waited together.
struct Writer {
    shared: Arc<Shared>,
    bounds: Bounds,
    index: File,
    dead_lines: usize,
}

impl Writer {
    fn new(shared: Arc<Shared>, bounds: Bounds) -> io::Result<Writer> {
        let index = rewritten_index(&shared)?;
        let mut writer = Writer { shared, bounds, index, dead_lines: 0 };
        writer.drop_oldest();
        Ok(writer)
    }

    fn work(&mut self, jobs: &mut mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while let Some(first) = jobs.blocking_recv() {
            batch.push(first);
            while let Ok(more) = jobs.try_recv() {
                batch.push(more);
            }
            self.write(&mut batch);
        }
    }

    fn write(&mut self, batch: &mut Vec<Job>) {
        let mut id = self.shared.shelf().last_id;
        let mut lines = Vec::new();
        let mut written = Vec::new();
        for Job { mut entry, content, done } in batch.drain(..) {
            id += 1;
            entry.id = id;
            if fs::write(mail_path(&self.shared.folder, id), &content).is_ok() {
                serde_json::to_writer(&mut lines, &entry).expect("an entry is JSON");
                lines.push(b'\n');
                written.push((entry, done));
            }
        }
        let is_indexed = self.index.write_all(&lines).is_ok();
        let mut shelf = self.shared.shelf.write().expect("no panic while shelving");
        shelf.last_id = id;
        let mut answers = Vec::with_capacity(written.len());
        for (entry, done) in written {
            if is_indexed {
                shelf.put(entry);
            }
            answers.push(done);
        }
        drop(shelf);
        for done in answers {
            let _ = done.send(is_indexed);
        }
        self.drop_oldest();
    }

    fn drop_oldest(&mut self) {
        let dropped = self.shared.shelf.write().expect("no panic while shelving").drop_oldest(self.bounds);
        self.dead_lines += dropped.len();
        for id in dropped {
            let _ = fs::remove_file(mail_path(&self.shared.folder, id));
        }
        if self.dead_lines > DEAD_LINES_MAX
            && let Ok(index) = rewritten_index(&self.shared)
        {
            (self.index, self.dead_lines) = (index, 0);
        }
    }
}

/// Replaces the index by one of what is there, and opens it for more.
///
/// # Crash
/// The old index stands until the new one is whole.
fn rewritten_index(shared: &Shared) -> io::Result<File> {
    let path = index_path(&shared.folder);
    let fresh = path.with_extension("new");
    let mut lines = Vec::new();
    for entry in &shared.shelf().entries {
        serde_json::to_writer(&mut lines, entry)?;
        lines.push(b'\n');
    }
    fs::write(&fresh, &lines)?;
    fs::rename(&fresh, &path)?;
    OpenOptions::new().append(true).open(&path)
}

fn index_path(folder: &Path) -> PathBuf {
    folder.join("index.jsonl")
}

fn mail_path(folder: &Path, id: i64) -> PathBuf {
    folder.join(format!("{id:08}.eml"))
}
