//! A replay as a run: streams without an end first, as in every run, then each selected stream is reopened by the person
//! and put on the bus; the rule table and the step table do the rest. With the rule off the reopened streams wait.

use domain::events::RunId;
use domain::ids::StreamId;
use domain::upload::{Command, Ended, ReplayAsked, Verdict};
use ledger::Log;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::report::{Report, Summary};
use super::{RESUME_BATCH, Runner, permits};
use crate::commit;
use crate::error::{Error, Result};
use crate::pipeline::Work;
use crate::replay::acting::Acting;
use crate::replay::judge::{Counts, Redo, judge, judge_all};
use crate::replay::select::select;
use crate::replay::{Left, Request, Why};

/// What a stream in work counts at least against the bytes in flight: its structure may outweigh its bytes.
const STREAM_BYTES: u64 = 64 << 10;
/// What one counts at most: larger objects are read in blocks.
const STREAM_BYTES_MAX: u64 = 8 << 20;

/// Streams whose sources are read ahead of the one that is reopened.
const READY_MAX: usize = 64;

/// How a replay went.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The run.
    pub run: RunId,
    /// Whether an earlier call of the same request began it.
    pub continued: bool,
    /// What it did, earlier calls included.
    pub counts: Counts,
    /// Streams that were reopened and have no end yet.
    pub pending: u64,
    /// Streams that were left as they are.
    pub left: Vec<Left>,
    /// Whether the end is recorded; without it the same request goes on.
    pub completed: bool,
    /// The size of the log in which the streams were found.
    pub as_of_size: u64,
}

/// A stream that is ready to be reopened, or is not to be.
struct Ready {
    work: Work,
    /// The request for it, or why it is left.
    command: Result<Result<Box<Command>, Left>>,
    /// Held until the stream has its end: its place among those in flight, and its bytes.
    room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// How a stream stands when the run lets go of it.
struct Stands {
    report: Report,
    ended: Option<Ended>,
    steps: u64,
}

impl Runner {
    /// Takes up every stream that has not ended, then those that the request is about. None for what was done is told when
    /// the run stopped before it knew what to do.
    pub async fn replay(&self, log: &dyn Log, request: &Request) -> (Summary, Option<Replayed>) {
        let mut summary = self.resume().await;
        let mut replayed = None;
        if !self.stops()
            && let Err(error) = self.replay_all(log, request, &mut summary, &mut replayed).await
        {
            self.stop_by(error);
        }
        self.finish(&mut summary);
        (summary, replayed)
    }

    async fn replay_all(
        &self,
        log: &dyn Log,
        request: &Request,
        summary: &mut Summary,
        replayed: &mut Option<Replayed>,
    ) -> Result<()> {
        let p = &self.shared.pipeline;
        let mut acting = Acting::begin(p, request).await?;
        let selected = select(log, request, acting.continued.then_some(&acting.run)).await?;
        let asked = request.asked(p, acting.run.clone());
        let judged = judge_all(p, selected.streams, &asked).await?;
        acting.record_request(p, request, &judged).await?;
        let (run, continued, as_of_size) = (acting.run.clone(), acting.continued, selected.as_of_size);
        let (counts, pending, left) = (judged.done, judged.pending, judged.left);
        let told = replayed.insert(Replayed { run, continued, counts, pending, left, completed: false, as_of_size });
        for batch in judged.redo.chunks(RESUME_BATCH) {
            if self.stops() {
                break;
            }
            self.replay_batch(batch, &asked, summary, told).await?;
            self.note_ended();
        }
        // What is pending, or was not reached, is this run's still: the same request goes on with it.
        if !self.stops() && told.pending == 0 {
            acting.record_end(p, request, &told.counts, &told.left).await?;
            told.completed = true;
        }
        Ok(())
    }

    /// Reads the sources of a batch side by side, reopens its streams one after the other in the order of receipt, and
    /// follows them side by side. Wherever this stops, those reopened are the first received, so that whoever goes on
    /// finds the lowest of conflicting objects first.
    async fn replay_batch(
        &self,
        batch: &[Redo],
        asked: &ReplayAsked,
        summary: &mut Summary,
        told: &mut Replayed,
    ) -> Result<()> {
        // Before any is reopened: should we stop in between, the next start looks at them and finds each as it stands.
        let streams: Vec<StreamId> = batch.iter().map(|redo| redo.stream).collect();
        self.shared.pipeline.sources.set_ended(&streams, false)?;
        let (sent, mut ready) = mpsc::channel(READY_MAX);
        let reader = tokio::spawn(self.clone().make_ready(batch.to_vec(), asked.clone(), sent));
        let mut followed = Vec::with_capacity(batch.len());
        while let Some(next) = ready.recv().await {
            match next.await {
                Err(_) => self.stop_by(Error::broken("task_panicked", "make a stream ready for a replay")),
                Ok(ready) if !self.stops() => followed.extend(self.reopen_ready(ready, summary, told).await),
                Ok(_) => {}
            }
        }
        for task in followed {
            match task.await {
                Err(_) => self.stop_by(Error::broken("task_panicked", "replay an object")),
                Ok(Stands { report, ended, steps }) => {
                    summary.add(&report);
                    told.counts.end(ended.as_ref(), report.already_present, steps);
                    told.pending += u64::from(ended.is_none());
                }
            }
        }
        if reader.await.is_err() {
            self.stop_by(Error::broken("task_panicked", "make streams ready for a replay"));
        }
        Ok(())
    }

    /// Starts to make each stream ready as soon as there is room for it, in order.
    async fn make_ready(self, batch: Vec<Redo>, asked: ReplayAsked, sent: mpsc::Sender<JoinHandle<Ready>>) {
        for Redo { stream, size_bytes, .. } in batch {
            let Some(room) = self.room_for(size_bytes).await.filter(|_| !self.stops()) else { return };
            let (runner, asked) = (self.clone(), asked.clone());
            let task = tokio::spawn(async move {
                let mut work = Work::new(stream);
                let command = runner.request_for(&mut work, &asked).await;
                Ready { work, command, room }
            });
            if sent.send(task).await.is_err() {
                return;
            }
        }
    }

    async fn room_for(&self, size_bytes: u64) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let flight = self.shared.flights.clone().acquire_owned().await.ok()?;
        let held = size_bytes.clamp(STREAM_BYTES, STREAM_BYTES_MAX).min(self.shared.limits.in_flight_bytes_max);
        let bytes = self.shared.bytes.clone().acquire_many_owned(permits(held)).await.ok()?;
        Some((flight, bytes))
    }

    /// Returns the request by which the stream is taken up, or why it is left: an object whose source is gone or changed
    /// keeps its end.
    async fn request_for(&self, work: &mut Work, asked: &ReplayAsked) -> Result<Result<Box<Command>, Left>> {
        let (p, stream) = (&self.shared.pipeline, work.stream);
        let command = match judge(p, work, asked).await? {
            Verdict::Redo(command) => command,
            Verdict::Keep(kept) => return Ok(Err(Left { stream, why: Why::Kept(kept) })),
        };
        p.check_source(work).await?;
        Ok(Ok(command))
    }

    /// Records that the stream is taken up again, and lets it go its way.
    async fn reopen_ready(
        &self,
        ready: Ready,
        summary: &mut Summary,
        told: &mut Replayed,
    ) -> Option<JoinHandle<Stands>> {
        let Ready { mut work, command, room } = ready;
        let stream = work.stream;
        let reopened = match command {
            Ok(Ok(command)) => commit::commit(&self.shared.pipeline, &mut work, &command).await.map(|_| None),
            Ok(Err(left)) => Ok(Some(left)),
            Err(error) => Err(error),
        };
        let left = match reopened {
            Ok(None) => None,
            Ok(left) => left,
            Err(error) if error.stops_the_run() => {
                self.stop_by(error);
                return None;
            }
            Err(error) => Some(Left { stream, why: Why::Failed(error.code()) }),
        };
        if let Some(left) = left {
            self.note_end(stream);
            told.left.push(left);
            return None;
        }
        // From here on the stream is open: whoever starts next goes on with it.
        let opened_by = work.opened_by.clone()?;
        let place = summary.next_place();
        self.shared.turnstile.admit(place);
        let runner = self.clone();
        Some(tokio::spawn(async move {
            let before = work.tip.count();
            let report = runner.follow(&mut work, opened_by, place, None, false).await;
            drop(room);
            Stands { report, ended: work.upload.ended(), steps: work.tip.count() - before }
        }))
    }
}
