//! The one thread that writes: it takes whatever appends are waiting, commits them together, and answers each.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::connect::{classify, damaged, open_existing};
use super::queue::Queue;
use super::read::{blob32, cached, head, unsigned};
use crate::{Appended, Error, Frontier, Header, LeafHash, Origin, Prepared, Receipt, StreamKey, Tip};

/// Appends of one commit at most.
const BATCH_MAX: usize = 256;
/// How long the thread lets as many appends gather as the last commit held. A commit costs about 100 µs whatever it holds,
/// and on one core the waiters of a batch come back one by one, each after its own work: a shorter time commits each of
/// them alone. Nobody waits for it while as many come as last time, nor with one append at a time.
const GATHER: Duration = Duration::from_millis(4);
/// As many appends are committed without waiting for more: where twice as many are in flight, one half is prepared while the
/// other is written.
const ENOUGH_MAX: usize = BATCH_MAX / 2;
/// Ends of streams kept in memory: more than are in flight, about 0.5 MB.
const ENDS_MAX: usize = 4096;

/// What an append waits for.
pub(super) type Answer = Result<Appended, Error>;

/// One append on its way to the thread.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) tip: Tip,
    pub(super) prepared: Prepared,
    pub(super) answer: oneshot::Sender<Told>,
}

/// An answer, and those of the batch that are not yet given.
pub(super) type Told = (Answer, Arc<Untold>);

/// The answers of one batch on their way. The thread gives them all; a waiter that is woken meanwhile helps it, so that a
/// thread with many waiters is woken from outside once and not for each. Nobody depends on the help.
#[derive(Debug)]
pub(super) struct Untold(Mutex<std::vec::IntoIter<(oneshot::Sender<Told>, Answer)>>);

impl Untold {
    fn tell(self: &Arc<Self>) {
        // Ends with the batch. Nothing can panic while the lock is held.
        loop {
            let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((waiter, answer)) = next else { return };
            // Nobody waits if the caller dropped its future; what stands, stands all the same.
            let _ = waiter.send((answer, Arc::clone(self)));
        }
    }
}

/// The running thread. Dropping it commits what is queued, closes the store and waits for that.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Queue<Job>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread on an open connection to `path`, where it opens another after a failed commit.
    pub(super) fn start(connection: Connection, path: PathBuf, origin: Origin) -> Result<Self, Error> {
        let queue = Queue::new();
        let (jobs, writer) =
            (AbandonedOnExit(queue.clone()), Writer { connection: Some(connection), known: None, path, origin });
        let thread = std::thread::Builder::new().name("ledger-commit".to_owned()).spawn(move || writer.run(&jobs.0));
        let thread = thread.map_err(|error| Error::Unavailable { source: Some(Box::new(error)) })?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Queues a job, at the latest when the future is first polled, and waits for its answer.
    pub(super) async fn commit(&self, tip: Tip, prepared: Prepared) -> Answer {
        self.queue(tip, prepared).answer().await
    }

    /// Queues a job. The entry may be written from here on, whether or not anybody waits.
    pub(super) fn queue(&self, tip: Tip, prepared: Prepared) -> Waiting {
        let (answer, answered) = oneshot::channel();
        let bytes = prepared.entry.body.len();
        Waiting(self.queue.push(Job { tip, prepared, answer }, bytes).then_some(answered))
    }
}

/// A queued job; none if there was no room for it.
pub(super) struct Waiting(Option<oneshot::Receiver<Told>>);

impl Waiting {
    /// Waits for the answer.
    pub(super) async fn answer(self) -> Answer {
        let Some(answered) = self.0 else {
            return Err(Error::Unavailable { source: Some("too many appends wait, or the store is closed".into()) });
        };
        // A thread that died cannot say if the entry was written.
        let Ok((answer, untold)) = answered.await else { return Err(Error::Unknown { cause: None }) };
        untold.tell();
        answer
    }
}

/// However the thread ends, nobody waits for it any more.
struct AbandonedOnExit(Queue<Job>);

impl Drop for AbandonedOnExit {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been answered as `Unknown` to everyone who waited.
            let _ = thread.join();
        }
    }
}

struct Writer {
    /// None after a failed commit, until it is opened anew.
    connection: Option<Connection>,
    /// What the last commit left; none without a connection.
    known: Option<Known>,
    path: PathBuf,
    origin: Origin,
}

/// Why a batch was not answered one by one.
enum Failure {
    /// Nothing of the batch was committed.
    Before(Error),
    /// The commit itself failed: the batch may stand.
    AtCommit(Error),
}

impl Writer {
    fn run(mut self, jobs: &Queue<Job>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut enough = 1;
        // Ends when the queue is closed and empty.
        loop {
            jobs.pop(&mut batch, BATCH_MAX, enough, GATHER);
            if batch.is_empty() {
                return;
            }
            // As many as last time are likely to come again: they are those who were just answered.
            enough = batch.len().min(ENOUGH_MAX);
            self.answer(&mut batch);
        }
    }

    fn answer(&mut self, batch: &mut Vec<Job>) {
        let answers = self.commit(batch).unwrap_or_else(|failure| {
            // Closing rolls back what was begun. The next batch opens the store anew and reads its head again, so
            // nothing that this connection believed is built on.
            self.connection = None;
            batch.iter().map(|_| Err(failure.for_one())).collect()
        });
        let waiters = batch.drain(..).map(|job| job.answer);
        Arc::new(Untold(Mutex::new(waiters.zip(answers).collect::<Vec<_>>().into_iter()))).tell();
    }

    fn commit(&mut self, batch: &[Job]) -> Result<Vec<Answer>, Failure> {
        // Taken, and put back at the end alone: after a failure nothing is known.
        let known = self.known.take();
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open_existing(&self.path).map_err(Failure::Before)?,
        };
        let connection = self.connection.insert(connection);
        run(connection, "BEGIN IMMEDIATE").map_err(Failure::Before)?;
        let known = Known::still(known, connection).map_err(Failure::Before)?;
        let (answers, known, wrote) = write(connection, &self.origin, known, batch).map_err(Failure::Before)?;
        run(connection, if wrote { "COMMIT" } else { "ROLLBACK" }).map_err(Failure::AtCommit)?;
        // Every entry answered as new is durable from here on.
        self.known = Some(known);
        Ok(answers)
    }
}

impl Failure {
    /// Returns the error for one of the waiters.
    fn for_one(&self) -> Error {
        match self {
            Self::Before(error) => copy(error),
            Self::AtCommit(error) => Error::Unknown { cause: Some(Box::new(copy(error))) },
        }
    }
}

/// Errors hold their cause in a box, so each waiter gets the same variant with the cause's text.
fn copy(error: &Error) -> Error {
    let text = |source: &dyn std::error::Error| source.to_string().into();
    match error {
        Error::DiskFull { source } => Error::DiskFull { source: text(source.as_ref()) },
        Error::Unavailable { source } => Error::Unavailable { source: source.as_deref().map(|s| text(s)) },
        Error::NoAccess { source } => Error::NoAccess { source: source.as_deref().map(|s| text(s)) },
        Error::NotALedger { source } => Error::NotALedger { source: source.as_deref().map(|s| text(s)) },
        Error::Missing => Error::Missing,
        Error::SchemaVersion { found, known } => Error::SchemaVersion { found: *found, known: *known },
        Error::Damaged { what, leaf_index, source } => {
            Error::Damaged { what, leaf_index: *leaf_index, source: source.as_deref().map(|s| text(s)) }
        }
        // The rest is answered to one append alone and never fails a batch.
        other => Error::Unavailable { source: Some(text(other)) },
    }
}

/// What a connection need not read again, because it wrote it itself: true while nobody else has changed the store.
struct Known {
    /// SQLite's count of the changes that this connection saw others make.
    data_version: i64,
    frontier: Frontier,
    /// Ends of streams: number of entries and leaf of the last one. At most [`ENDS_MAX`].
    ends: HashMap<StreamKey, (u64, Option<LeafHash>)>,
}

impl Known {
    /// Returns what is still true inside the open transaction, where nobody else writes; read anew if others wrote before.
    fn still(known: Option<Self>, connection: &Connection) -> Result<Self, Error> {
        let mut statement = cached(connection, "PRAGMA data_version")?;
        let data_version = statement.query_row([], |row| row.get(0)).map_err(classify)?;
        if let Some(known) = known.filter(|known| known.data_version == data_version) {
            return Ok(known);
        }
        let frontier = head(connection)?.frontier;
        check_end(connection, &frontier)?;
        Ok(Self { data_version, frontier, ends: HashMap::new() })
    }
}

fn run(connection: &Connection, sql: &str) -> Result<(), Error> {
    cached(connection, sql)?.execute([]).map(drop).map_err(classify)
}

/// Writes what can be written of the batch inside the open transaction.
fn write(
    connection: &Connection,
    origin: &Origin,
    mut known: Known,
    batch: &[Job],
) -> Result<(Vec<Answer>, Known, bool), Error> {
    let before = known.frontier.size();
    let mut statements = Statements::new(connection)?;
    let mut answers = Vec::with_capacity(batch.len());
    for job in batch {
        answers.push(statements.append(origin, &mut known, job)?);
    }
    let frontier = &known.frontier;
    let wrote = frontier.size() > before;
    if wrote {
        let size = signed(frontier.size())?;
        let row = params![size, frontier.root().0, frontier.to_bytes()];
        cached(connection, "UPDATE head SET size = ?, root = ?, frontier = ? WHERE id = 0")?
            .execute(row)
            .map_err(classify)?;
    }
    Ok((answers, known, wrote))
}

/// The last entry must be the one that the head counts last: on a cut log nothing is built.
fn check_end(connection: &Connection, frontier: &Frontier) -> Result<(), Error> {
    let mut last = cached(connection, "SELECT gseq FROM entries ORDER BY gseq DESC LIMIT 1")?;
    let last = last.query_row([], |row| Ok(unsigned(row.get_ref(0)?))).optional().map_err(classify)?;
    let end = match last {
        None => Some(0),
        Some(index) => index.map(|index| index + 1),
    };
    if end == Some(frontier.size()) { Ok(()) } else { Err(damaged("the log does not end where its head says")) }
}

fn signed(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| damaged("the log is longer than a log can be"))
}

/// The statements of one batch, prepared once.
struct Statements<'c> {
    last: rusqlite::CachedStatement<'c>,
    slot: rusqlite::CachedStatement<'c>,
    entry: rusqlite::CachedStatement<'c>,
    tag: rusqlite::CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn new(connection: &'c Connection) -> Result<Self, Error> {
        let insert = "INSERT INTO entries(gseq, stream, seq, leaf, nonce, header, body) VALUES (?, ?, ?, ?, ?, ?, ?)";
        Ok(Self {
            last: cached(connection, "SELECT seq, leaf FROM entries WHERE stream = ? ORDER BY seq DESC LIMIT 1")?,
            slot: cached(connection, "SELECT header, leaf FROM entries WHERE stream = ? AND seq = ?")?,
            entry: cached(connection, insert)?,
            tag: cached(connection, "INSERT INTO tags(hash, kind, version, gseq) VALUES (?, ?, ?, ?)")?,
        })
    }

    /// Compare-and-swap by reading before writing: inside the transaction nobody else writes, and a conflict leaves nothing
    /// to roll back.
    fn append(&mut self, origin: &Origin, known: &mut Known, job: &Job) -> Result<Answer, Error> {
        let Job { tip, prepared, .. } = job;
        let stream = tip.stream;
        let (count, leaf) = match known.ends.get(&stream) {
            Some(end) => *end,
            None => self.end(stream)?,
        };
        if count > tip.count {
            return self.taken(origin, job);
        }
        if count < tip.count || leaf != tip.last.map(|last| last.leaf) {
            return Ok(Err(damaged("the stream does not end as the tip says")));
        }
        let index = signed(known.frontier.size())?;
        let entry = &prepared.entry;
        let header = std::str::from_utf8(&entry.header_bytes).map_err(|_| damaged("a header is no text"))?;
        let row = params![index, stream.0, signed(tip.count)?, entry.leaf.0, entry.nonce.0, header, entry.body];
        self.entry.execute(row).map_err(classify)?;
        for tag in &prepared.tags {
            let row = params![tag.hash.hash, tag.kind.as_str(), tag.hash.version, index];
            self.tag.execute(row).map_err(classify)?;
        }
        known.frontier.push(entry.leaf);
        if known.ends.len() == ENDS_MAX {
            known.ends.clear();
        }
        known.ends.insert(stream, (tip.count + 1, Some(entry.leaf)));
        Ok(Ok(Appended::New(Receipt { header: entry.header.clone(), leaf: entry.leaf })))
    }

    /// Reads the end of a stream: number of entries and leaf of the last one.
    fn end(&mut self, stream: StreamKey) -> Result<(u64, Option<LeafHash>), Error> {
        let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get_ref(0)?), blob32(row.get_ref(1)?)));
        match self.last.query_row([&stream.0[..]], read).optional().map_err(classify)? {
            None => Ok((0, None)),
            Some((Some(seq), Some(leaf))) => Ok((seq + 1, Some(LeafHash(leaf)))),
            Some(_) => Err(damaged("a stream's last row is ill-formed")),
        }
    }

    /// The slot is taken: by this decision, whose stored header is the receipt, or by another.
    fn taken(&mut self, origin: &Origin, job: &Job) -> Result<Answer, Error> {
        let (stream, seq) = (job.tip.stream, job.tip.count);
        let read = |row: &rusqlite::Row<'_>| {
            let header =
                if let rusqlite::types::ValueRef::Text(t) = row.get_ref(0)? { Header::parse(t).ok() } else { None };
            Ok((header, blob32(row.get_ref(1)?)))
        };
        let row = self.slot.query_row(params![stream.0, signed(seq)?], read).optional().map_err(classify)?;
        let Some((Some(header), Some(leaf))) = row else {
            return Ok(Err(damaged("a taken slot is missing or ill-formed")));
        };
        if header.stream != stream || header.seq != seq || header.origin != *origin {
            return Ok(Err(damaged("an entry's columns are not what its header says")));
        }
        if header.decision_id == job.prepared.entry.header.decision_id {
            return Ok(Ok(Appended::Already(Receipt { header, leaf: LeafHash(leaf) })));
        }
        Ok(Err(Error::Conflict { stream, seq }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::connect::create;
    use super::*;
    use crate::{Actor, Decision, EventTypes, Nonce, UtcMillis};

    fn writer(folder: &tempfile::TempDir) -> Writer {
        let origin = Origin::new("medimg", "test", [1; 16]).expect("an origin");
        let path = folder.path().join("ledger.sqlite");
        Writer { connection: Some(create(&path, &origin).expect("created")), known: None, path, origin }
    }

    fn job(writer: &Writer, n: u8) -> (Job, oneshot::Receiver<Told>) {
        let decision = Decision {
            decision_id: uuid::Uuid::from_u128(u128::from(n)),
            types: EventTypes::new(&["a.thing.v1"]).expect("types"),
            subject: None,
            actor: Actor::system("test").expect("a step"),
            body: format!(r#"[{{"type":"a.thing.v1","data":{{"filler":"{}"}}}}]"#, "x".repeat(40_000)),
        };
        let (tip, (answer, answered)) = (Tip::empty(StreamKey([n; 16])), oneshot::channel());
        let prepared = Prepared::new(&writer.origin, &tip, &decision, UtcMillis::from_unix_ms(1), Nonce([n; 16]));
        (Job { tip, prepared: prepared.expect("prepared"), answer }, answered)
    }

    fn answers(writer: &mut Writer, from: u8, count: u8) -> Vec<Answer> {
        let (mut batch, answered): (Vec<Job>, Vec<_>) = (from..from + count).map(|n| job(writer, n)).unzip();
        writer.answer(&mut batch);
        answered.into_iter().map(|mut answered| answered.try_recv().expect("everyone is answered").0).collect()
    }

    #[test]
    fn a_failed_commit_is_unknown_to_every_waiter_and_the_store_is_opened_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = writer(&folder);
        assert!(answers(&mut writer, 0, 2).iter().all(Result::is_ok));
        let refuse = writer.connection.as_mut().expect("open").commit_hook(Some(|| true));
        refuse.expect("a hook");
        let failed = answers(&mut writer, 2, 3);
        assert!(failed.iter().all(|answer| matches!(answer, Err(Error::Unknown { cause: Some(_) }))), "{failed:?}");
        assert!(writer.connection.is_none(), "what the connection believed is forgotten");
        let again = answers(&mut writer, 2, 3);
        assert!(again.iter().all(|answer| matches!(answer, Ok(Appended::New(_)))), "{again:?}");
        assert_eq!(head(writer.connection.as_ref().expect("open")).expect("a head").size, 5);
    }

    #[test]
    fn a_full_store_says_so_to_every_waiter_and_nothing_of_the_batch_stands() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = writer(&folder);
        assert!(answers(&mut writer, 0, 2).iter().all(Result::is_ok));
        let connection = writer.connection.as_ref().expect("open");
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("pages");
        connection.execute_batch(&format!("PRAGMA max_page_count = {}", pages + 6)).expect("a limit");
        let full = answers(&mut writer, 2, 3);
        assert!(full.iter().all(|answer| matches!(answer, Err(Error::DiskFull { .. }))), "{full:?}");
        // The limit was the connection's; the store opened anew has room.
        assert!(answers(&mut writer, 2, 1).iter().all(|answer| matches!(answer, Ok(Appended::New(_)))));
        assert_eq!(head(writer.connection.as_ref().expect("open")).expect("a head").size, 3);
    }

    #[test]
    fn a_conflict_in_a_batch_leaves_the_others_as_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = writer(&folder);
        let (first, mut got_first) = job(&writer, 1);
        let (mut lost, mut got_lost) = job(&writer, 1);
        lost.prepared.entry.header.decision_id = uuid::Uuid::from_u128(99);
        let (same, mut got_same) = job(&writer, 1);
        let (last, mut got_last) = job(&writer, 2);
        writer.answer(&mut vec![first, lost, same, last]);
        assert!(matches!(got_first.try_recv(), Ok((Ok(Appended::New(_)), _))));
        assert!(matches!(got_lost.try_recv(), Ok((Err(Error::Conflict { seq: 0, .. }), _))));
        assert!(matches!(got_same.try_recv(), Ok((Ok(Appended::Already(_)), _))));
        assert!(matches!(got_last.try_recv(), Ok((Ok(Appended::New(_)), _))));
        assert_eq!(head(writer.connection.as_ref().expect("open")).expect("a head").size, 2);
    }

    #[test]
    fn what_others_appended_meanwhile_is_read_although_the_end_was_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ours = writer(&folder);
        let other = open_existing(&ours.path).expect("open");
        let mut other =
            Writer { connection: Some(other), known: None, path: ours.path.clone(), origin: ours.origin.clone() };
        assert!(answers(&mut ours, 1, 1).iter().all(Result::is_ok));
        assert!(answers(&mut other, 2, 2).iter().all(Result::is_ok));
        // Both writers know ends and head by now; each must see what the other wrote since.
        assert!(matches!(answers(&mut ours, 3, 2)[..], [Ok(Appended::Already(_)), Ok(Appended::New(_))]));
        assert!(matches!(answers(&mut other, 4, 2)[..], [Ok(Appended::Already(_)), Ok(Appended::New(_))]));
        assert_eq!(head(ours.connection.as_ref().expect("open")).expect("a head").size, 5);
    }

    #[test]
    fn a_second_entry_on_a_known_end_is_compared_and_swapped() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = writer(&folder);
        let (first, mut answered) = job(&writer, 1);
        writer.answer(&mut vec![first]);
        let Ok((Ok(Appended::New(receipt)), _)) = answered.try_recv() else { panic!("appended") };
        let (mut forked, mut got_forked) = job(&writer, 1);
        forked.tip = receipt.tip();
        forked.tip.last.as_mut().expect("a last entry").leaf = LeafHash([9; 32]);
        let (mut ahead, mut got_ahead) = job(&writer, 1);
        ahead.tip = Tip { count: 2, ..receipt.tip() };
        writer.answer(&mut vec![forked, ahead]);
        assert!(matches!(got_forked.try_recv(), Ok((Err(Error::Damaged { .. }), _))));
        assert!(matches!(got_ahead.try_recv(), Ok((Err(Error::Damaged { .. }), _))));
    }

    #[test]
    fn a_waiter_that_is_gone_or_asleep_holds_up_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = writer(&folder);
        let ((first, gone), (second, _asleep), (third, mut awake)) =
            (job(&writer, 1), job(&writer, 2), job(&writer, 3));
        drop(gone);
        writer.answer(&mut vec![first, second, third]);
        assert!(matches!(awake.try_recv(), Ok((Ok(Appended::New(_)), _))));
    }
}
