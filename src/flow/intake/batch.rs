//! The way of a file: a thread reads, batches are written, the size of a batch follows how long the last one took.

use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::lines::Lines;
use super::rejects::Rejects;
use super::table::{Numbered, Row, Table};
use super::{Fault, Import, IntakeError, Summary};
use crate::base::World;
use crate::store::{Conn, Db, Lane, StoreError};

/// How long one transaction should hold the writer of a SQLite file, milliseconds.
pub const BATCH_MS: i64 = 10;
/// Most rows of one transaction.
pub const BATCH_ROWS_MAX: usize = 4000;
const BATCH_ROWS_FIRST: usize = 200;
const BATCH_ROWS_MIN: usize = 20;
/// Rows handed over at once, and how many such blocks may wait: what bounds the memory of an import.
const BLOCK_ROWS: usize = 256;
const BLOCKS_MAX: usize = 16;
/// How often a batch is tried that met another writer.
const TRIES_MAX: u32 = 5;

/// How far an import has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub read_bytes: u64,
    pub file_bytes: u64,
    pub rows: u64,
    pub rejected: u64,
    /// A strict import looks at everything first.
    pub rehearsal: bool,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Inserted,
    Updated,
    Unchanged,
    Rejected(Fault),
}

/// Judges rows by themselves, on the reading thread.
pub(super) trait Door: Send + 'static {
    type Item: Send + Sync + 'static;

    fn parse(&mut self, row: &Row) -> Result<Self::Item, Fault>;
}

/// Matches parsed rows against the database and writes them, within the caller's transaction.
pub(super) trait Desk: Send {
    type Item;

    /// One outcome for each item, in order. It must change nothing in `self` that a rollback would make untrue, or
    /// undo it in [`Desk::forget`].
    fn write(
        &mut self,
        conn: Conn<'_>,
        items: &[&Self::Item],
        now_ms: i64,
    ) -> impl Future<Output = Result<Vec<Outcome>, StoreError>> + Send;

    /// The last write was rolled back: forget the ids it made.
    fn forget(&mut self);
}

struct Entry<T> {
    line: u64,
    raw: String,
    item: Result<T, Fault>,
}

/// Runs an import: once, or in the strict case once without committing and then for real.
pub(super) async fn run<A, B>(
    db: &Db,
    world: &World,
    import: &Import,
    door: impl Fn() -> A,
    desk: impl Fn() -> B,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Summary, IntakeError>
where
    A: Door,
    B: Desk<Item = A::Item>,
{
    if import.strict {
        let rehearsed = Pass { db, world, import, progress, rehearsal: true }.run(door(), desk()).await?;
        if rehearsed.rejected > 0 {
            let Summary { read, rejected, rejected_file, .. } = rehearsed;
            return Ok(Summary { read, rejected, rejected_file, refused: true, ..Summary::default() });
        }
    }
    Pass { db, world, import, progress, rehearsal: false }.run(door(), desk()).await
}

struct Pass<'a> {
    db: &'a Db,
    world: &'a World,
    import: &'a Import,
    progress: &'a (dyn Fn(Progress) + Sync),
    /// Every batch is rolled back.
    rehearsal: bool,
}

impl Pass<'_> {
    async fn run<A, B>(&self, door: A, mut desk: B) -> Result<Summary, IntakeError>
    where
        A: Door,
        B: Desk<Item = A::Item>,
    {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let file_bytes = std::fs::metadata(&self.import.path).map_or(0, |meta| meta.len());
        let (table, mut rejects) = (self.open(read_bytes.clone())?, Rejects::beside(&self.import.path)?);
        let (send, mut blocks) = mpsc::channel(BLOCKS_MAX);
        let reader = tokio::task::spawn_blocking(move || read(table, door, &send));
        let mut summary = Summary::default();
        let mut waiting: VecDeque<Entry<A::Item>> = VecDeque::new();
        let mut rows_max = BATCH_ROWS_FIRST;
        let mut ended = false;
        while !ended || !waiting.is_empty() {
            while !ended && waiting.len() < rows_max {
                match blocks.recv().await {
                    Some(block) => waiting.extend::<Vec<Entry<A::Item>>>(block),
                    None => ended = true,
                }
            }
            let batch: Vec<Entry<A::Item>> = waiting.drain(..rows_max.min(waiting.len())).collect();
            let took_ms = self.batch(&mut desk, &batch, &mut summary, &mut rejects).await?;
            rows_max = next_size(rows_max, took_ms);
            (self.progress)(Progress {
                read_bytes: read_bytes.load(Ordering::Relaxed),
                file_bytes,
                rows: summary.read,
                rejected: rejects.len(),
                rehearsal: self.rehearsal,
            });
        }
        reader.await.map_err(|_| IntakeError::Reader)??;
        summary.rejected = rejects.len();
        summary.rejected_file = rejects.finish()?;
        Ok(summary)
    }

    fn open(&self, read_bytes: Arc<AtomicU64>) -> Result<Table, IntakeError> {
        let path: &Path = &self.import.path;
        let lines = Lines::open(path, self.import.encoding.as_deref(), read_bytes)?;
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        Table::new(lines, self.import.kind, &extension, &self.import.renames)
    }

    /// Writes one batch and says how long the writer was held, milliseconds.
    async fn batch<T: Send + Sync, B: Desk<Item = T>>(
        &self,
        desk: &mut B,
        batch: &[Entry<T>],
        summary: &mut Summary,
        rejects: &mut Rejects,
    ) -> Result<i64, IntakeError> {
        let items: Vec<&T> = batch.iter().filter_map(|entry| entry.item.as_ref().ok()).collect();
        let (outcomes, took_ms) = if items.is_empty() { (Vec::new(), 0) } else { self.commit(desk, &items).await? };
        let mut outcomes = outcomes.into_iter();
        for Entry { line, raw, item } in batch {
            summary.read += 1;
            let outcome = match item {
                Err(fault) => Outcome::Rejected(fault.clone()),
                Ok(_) => outcomes.next().expect("a desk answers for every item"),
            };
            match outcome {
                Outcome::Inserted => summary.inserted += 1,
                Outcome::Updated => summary.updated += 1,
                Outcome::Unchanged => summary.unchanged += 1,
                Outcome::Rejected(fault) => rejects.add(*line, &fault, raw)?,
            }
        }
        Ok(took_ms)
    }

    async fn commit<T: Send + Sync, B: Desk<Item = T>>(
        &self,
        desk: &mut B,
        items: &[&T],
    ) -> Result<(Vec<Outcome>, i64), StoreError> {
        let mut tries = 0;
        loop {
            let mut tx = self.db.begin_by_key(Lane::Bulk).await?;
            let started_ms = self.world.boot_ms();
            let written = desk.write(tx.conn(), items, self.world.now_ms()).await;
            let written = match written {
                Ok(outcomes) if self.rehearsal => {
                    drop(tx);
                    desk.forget();
                    Ok(outcomes)
                }
                Ok(outcomes) => tx.commit().await.map(|()| outcomes),
                Err(error) => Err(error),
            };
            match written {
                Ok(outcomes) => return Ok((outcomes, self.world.boot_ms() - started_ms)),
                Err(error) => {
                    desk.forget();
                    tries += 1;
                    // A unique violation: another import inserted the same row since we looked.
                    if tries == TRIES_MAX || !(error.is_passing() || error.is_unique_violation()) {
                        return Err(error);
                    }
                }
            }
        }
    }
}

fn next_size(rows: usize, took_ms: i64) -> usize {
    let next = match took_ms {
        ..BATCH_MS if took_ms * 3 < BATCH_MS * 2 => rows + rows / 4,
        ..=BATCH_MS => rows,
        _ => rows - rows / 4,
    };
    next.clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX)
}

fn read<A: Door>(mut table: Table, mut door: A, blocks: &mpsc::Sender<Vec<Entry<A::Item>>>) -> Result<(), IntakeError> {
    let mut last = 0;
    loop {
        let mut block = Vec::with_capacity(BLOCK_ROWS);
        let mut ended = false;
        while block.len() < BLOCK_ROWS {
            let Some(Numbered { line, raw, row }) =
                table.next().map_err(|source| IntakeError::Read { line: last, source })?
            else {
                ended = true;
                break;
            };
            last = line;
            block.push(Entry { line, raw, item: row.and_then(|row| door.parse(&row)) });
        }
        // The other side is gone when it met an error of its own, which is the one to tell.
        if (!block.is_empty() && blocks.blocking_send(block).is_err()) || ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_they_are_quick_and_shrink_when_they_hold_others_up() {
        assert_eq!(next_size(200, 2), 250);
        assert_eq!(next_size(200, 8), 200);
        assert_eq!(next_size(200, 30), 150);
        assert_eq!(next_size(BATCH_ROWS_MAX, 0), BATCH_ROWS_MAX);
        assert_eq!(next_size(BATCH_ROWS_MIN, 500), BATCH_ROWS_MIN);
    }
}
