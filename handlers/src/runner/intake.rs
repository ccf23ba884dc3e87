//! How the items of a run come in: read and hashed side by side, received in walk order.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use domain::Phi;
use domain::events::{Digest, Intake};
use domain::ids::Location;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::items::{self, Item};
use super::report::{Report, Summary};
use super::{Runner, permits};
use crate::error::{Error, Result};
use crate::objects::folder::FILE_BUCKET;
use crate::pipeline::{Raw, Work};
use crate::reading;
use crate::sources::SourceRow;
use crate::steps::intake::{Seen, receive};

/// Rows of `sources` that share one transaction, and objects whose receipt shares a group commit.
const BATCH_MAX: usize = 64;
/// What an object that is not held in memory counts against the bytes in flight: its blocks and its structure.
const LARGE_OBJECT_BYTES: u64 = 2 << 20;
/// What a small object counts at least: its structure may outweigh its bytes.
const SMALL_OBJECT_BYTES: u64 = 64 << 10;

/// An item that was read, or could not be.
struct ReadItem {
    number: u64,
    seen: Result<(Work, SourceRow, Digest)>,
    _flight: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// Takes in the items in walk order and follows each to its end.
pub(super) async fn take_in(runner: &Runner, items: Vec<Item>, summary: &mut Summary) {
    let (read, mut reads) = mpsc::channel(BATCH_MAX);
    let reader = tokio::spawn(read_all(runner.clone(), items, read));
    let mut objects = Vec::new();
    let mut waiting: Option<JoinHandle<Option<ReadItem>>> = None;
    while let Some(batch) = next_batch(&mut reads, &mut waiting).await {
        receive_batch(runner, batch, &mut objects, summary).await;
        let (ended, open): (Vec<_>, Vec<_>) = objects.into_iter().partition(JoinHandle::is_finished);
        objects = open;
        for object in ended {
            count(runner, object, summary).await;
        }
        runner.note_ended_now_and_then();
    }
    for object in objects {
        count(runner, object, summary).await;
    }
    if reader.await.is_err() {
        runner.stop_by(Error::broken("task_panicked", "read the items of a run"));
    }
}

async fn count(runner: &Runner, object: JoinHandle<Report>, summary: &mut Summary) {
    match object.await {
        Ok(report) => summary.add(&report),
        Err(_) => runner.stop_by(Error::broken("task_panicked", "process an object")),
    }
}

/// Starts to read each item as soon as there is room for it. Room is given in walk order, so the lowest object in flight
/// never waits for a higher one.
async fn read_all(runner: Runner, items: Vec<Item>, read: mpsc::Sender<JoinHandle<Option<ReadItem>>>) {
    for item in items {
        if runner.stops() {
            return;
        }
        let shared = &runner.shared;
        let Ok(flight) = shared.flights.clone().acquire_owned().await else { return };
        let size = item.size_bytes;
        let held = if size > reading::IN_MEMORY_MAX { LARGE_OBJECT_BYTES } else { size.max(SMALL_OBJECT_BYTES) };
        let held = permits(held.min(shared.limits.in_flight_bytes_max));
        let Ok(bytes) = shared.bytes.clone().acquire_many_owned(held).await else { return };
        let reading = runner.clone();
        let task = tokio::spawn(async move {
            if reading.stops() {
                return None;
            }
            let number = item.number;
            let seen = reading.read(item).await;
            Some(ReadItem { number, seen, _flight: flight, _bytes: bytes })
        });
        if read.send(task).await.is_err() {
            return;
        }
    }
}

/// Waits for the next item in walk order and takes with it those behind it that are read already.
async fn next_batch(
    reads: &mut mpsc::Receiver<JoinHandle<Option<ReadItem>>>,
    waiting: &mut Option<JoinHandle<Option<ReadItem>>>,
) -> Option<Vec<ReadItem>> {
    let first = match waiting.take() {
        Some(first) => first,
        None => reads.recv().await?,
    };
    let mut batch: Vec<ReadItem> = first.await.ok().flatten().into_iter().collect();
    while batch.len() < BATCH_MAX {
        match reads.try_recv() {
            Ok(next) if next.is_finished() => batch.extend(next.await.ok().flatten()),
            Ok(next) => {
                *waiting = Some(next);
                break;
            }
            Err(_) => break,
        }
    }
    Some(batch)
}

/// Makes the places of a batch durable, then receives its objects in order and lets each go its way.
async fn receive_batch(
    runner: &Runner,
    batch: Vec<ReadItem>,
    objects: &mut Vec<JoinHandle<Report>>,
    summary: &mut Summary,
) {
    let rows: Vec<SourceRow> =
        batch.iter().filter_map(|item| item.seen.as_ref().ok().map(|(_, row, _)| row.clone())).collect();
    if let Err(error) = runner.shared.pipeline.sources.put(&rows) {
        return runner.stop_by(error);
    }
    for ReadItem { number, seen, _flight, _bytes } in batch {
        let (mut work, row, sha256) = match seen {
            Ok(seen) => seen,
            Err(error) if error.stops_the_run() => return runner.stop_by(error),
            Err(error) => {
                let report = Report::unreadable(number, error.code());
                runner.shared.observer.ended(&report);
                summary.add(&report);
                continue;
            }
        };
        let place = summary.next_place();
        runner.shared.turnstile.admit(place);
        let runner = runner.clone();
        let seen = Seen { sha256, size_bytes: row.size_bytes, intake: Intake::Process, raw_copied: row.copied };
        let mut object = Box::pin(async move {
            let committed = receive(&runner.shared.pipeline, &mut work, seen).await;
            let report = runner.receive(work, committed, place, number).await;
            drop((_flight, _bytes));
            report
        });
        // The first poll hands the entry to the ledger, whose order is that of first polls: receipt is in walk order.
        match futures::poll!(object.as_mut()) {
            std::task::Poll::Ready(report) => summary.add(&report),
            std::task::Poll::Pending => objects.push(tokio::spawn(object)),
        }
    }
}

impl Runner {
    /// Reads and hashes one item: from here on its stream id is known.
    async fn read(&self, item: Item) -> Result<(Work, SourceRow, Digest)> {
        if let Some(kind) = item.unreadable {
            return Err(Error::source("list a path", kind.into()));
        }
        let p = &self.shared.pipeline;
        let key = Phi::new(items::key_bytes(&item.path));
        let mut location = Location { bucket: FILE_BUCKET.to_owned(), key, version: String::new() };
        let mut source = p.objects.open(&location).await?;
        let size_bytes = source.size_bytes();
        let (raw, digest) = if size_bytes <= reading::IN_MEMORY_MAX {
            let (buffer, digest) = reading::read_small(source.as_mut()).await?;
            (Raw::Memory(buffer), digest)
        } else {
            (Raw::AtSource, reading::hash_large(source.as_mut()).await?)
        };
        location.version = digest.to_string();
        let stream = p.keys.object_stream(&location);
        let copied = match &self.shared.intake.copy_raw_to {
            // Of an object that was forgotten no copy is kept again.
            Some(_) if p.sources.is_forgotten(stream)? => false,
            Some(folder) => copy_raw(&item.path, folder, &stream.to_string()).map(|()| true)?,
            None => false,
        };
        let mut work = Work::new(stream);
        work.location = Some(location.clone());
        work.raw = Some(raw);
        Ok((work, SourceRow { stream, location, size_bytes, copied }, digest))
    }

    fn note_ended_now_and_then(&self) {
        let due = self.shared.ended.lock().is_ok_and(|ended| ended.len() >= 4 * BATCH_MAX);
        if due {
            self.note_ended();
        }
    }
}

/// Keeps a copy of an original, whole or not at all, readable by the operator alone.
fn copy_raw(path: &Path, folder: &Path, stream: &str) -> Result<()> {
    let (whole, part) = (folder.join(format!("{stream}.dcm")), folder.join(format!("{stream}.part")));
    if whole.exists() {
        return Ok(());
    }
    let failed = |error| Error::store("keep a copy of an original", error);
    let mut from = fs::File::open(path).map_err(|error| Error::source("copy a source", error))?;
    let mut options = fs::OpenOptions::new();
    let mut to = options.write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(failed)?;
    io::copy(&mut from, &mut to).and_then(|_| to.sync_all()).and_then(|()| fs::rename(&part, &whole)).map_err(|error| {
        fs::remove_file(&part).ok();
        failed(error)
    })
}
