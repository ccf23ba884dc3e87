//! What becomes of each selected stream: loaded from the ledger and judged by `domain`, in the order of receipt, so that of
//! conflicting objects the lowest received is delivered in a replay too.

use domain::events::{self, EventData, RunId};
use domain::ids::StreamId;
use domain::upload::{Command, Ended, Kept, ReplayAsked, Verdict};
use domain::workflow::Step;
use ledger::StreamKey;

use super::{Left, Why};
use crate::commit::{self, ledger_error};
use crate::error::Result;
use crate::pipeline::{Pipeline, Work};

/// A stream that is taken up again.
#[derive(Clone, Copy, Debug)]
pub struct Redo {
    /// The stream.
    pub stream: StreamId,
    /// The first step that is done again.
    pub from_step: Step,
    /// Size of its source in bytes: how much room it will need.
    pub size_bytes: u64,
}

/// How the streams ended on which the run worked before it was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Streams that were taken up.
    pub streams: u64,
    /// Steps that were done again.
    pub steps: u64,
    /// Ended delivered.
    pub delivered: u64,
    /// Of these, stood under their keys already.
    pub already_done: u64,
    /// Ended quarantined.
    pub quarantined: u64,
    /// Failed again.
    pub failed: u64,
}

/// What becomes of all of them.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Taken up again, in the order of receipt.
    pub redo: Vec<Redo>,
    /// Left as they are.
    pub left: Vec<Left>,
    /// Done by this very run before.
    pub done: Counts,
    /// Reopened by this very run before, and without an end yet.
    pub pending: u64,
}

/// Loads a stream and returns what a replay does with it. `work` then holds what the stream says.
///
/// # Errors
/// What the ledger says; `stream_unreadable`.
pub async fn judge(pipeline: &Pipeline, work: &mut Work, asked: &ReplayAsked) -> Result<Verdict> {
    commit::reload(pipeline, work).await?;
    Ok(work.upload.replay(asked))
}

/// Judges the streams.
///
/// # Errors
/// What stops a run; a stream that alone cannot be read is left with its code.
pub async fn judge_all(pipeline: &Pipeline, streams: Vec<StreamId>, asked: &ReplayAsked) -> Result<Judged> {
    let mut judged = Judged::default();
    for stream in in_order_of_receipt(pipeline, streams)? {
        let mut work = Work::new(stream);
        let Some(command) = judged.judge(pipeline, &mut work, asked).await? else { continue };
        let Command::RequestReplay(said) = *command else { continue };
        let size_bytes = work.upload.source().map_or(0, |source| source.size_bytes);
        judged.redo.push(Redo { stream, from_step: said.from_step, size_bytes });
    }
    Ok(judged)
}

impl Judged {
    /// Judges one stream: returns the request by which it is taken up, or counts why it is not.
    ///
    /// # Errors
    /// What stops a run.
    pub async fn judge(
        &mut self,
        pipeline: &Pipeline,
        work: &mut Work,
        asked: &ReplayAsked,
    ) -> Result<Option<Box<Command>>> {
        let stream = work.stream;
        match judge(pipeline, work, asked).await {
            Err(error) if error.stops_the_run() => return Err(error),
            Err(error) => self.left.push(Left { stream, why: Why::Failed(error.code()) }),
            Ok(Verdict::Redo(command)) => return Ok(Some(command)),
            Ok(Verdict::Keep(Kept::NotMeant)) => {}
            Ok(Verdict::Keep(Kept::DoneInThisRun)) => self.done.add(pipeline, work, &asked.run).await?,
            Ok(Verdict::Keep(Kept::AlreadyPending)) if *work.upload.run() == asked.run => self.pending += 1,
            Ok(Verdict::Keep(kept)) => self.left.push(Left { stream, why: Why::Kept(kept) }),
        }
        Ok(None)
    }
}

/// Returns the streams in the order of receipt; those that `sources` no longer knows come last.
///
/// # Errors
/// What `sources` says.
pub fn in_order_of_receipt(pipeline: &Pipeline, streams: Vec<StreamId>) -> Result<Vec<StreamId>> {
    let mut placed = Vec::with_capacity(streams.len());
    for stream in streams {
        placed.push((pipeline.sources.order(stream)?.unwrap_or(i64::MAX), stream));
    }
    placed.sort_unstable();
    placed.dedup();
    Ok(placed.into_iter().map(|(_, stream)| stream).collect())
}

impl Counts {
    /// Counts how a stream came out of this run.
    pub fn end(&mut self, ended: Option<&Ended>, already_present: bool, steps: u64) {
        self.streams += 1;
        self.steps += steps;
        match ended {
            Some(Ended::Delivered) => {
                self.delivered += 1;
                self.already_done += u64::from(already_present);
            }
            Some(Ended::Quarantined(_)) => self.quarantined += 1,
            Some(Ended::Failed(_)) => self.failed += 1,
            None => {}
        }
    }

    async fn add(&mut self, pipeline: &Pipeline, work: &Work, run: &RunId) -> Result<()> {
        let stream = StreamKey(work.stream.0.0);
        let loaded = pipeline.ledger.load(stream).await.map_err(|error| ledger_error("load a stream", error))?;
        let opens = |body: &str| {
            let events = events::read(body.as_bytes()).unwrap_or_default();
            events.iter().any(|event| matches!(&event.data, EventData::ReplayRequested(said) if said.run == *run))
        };
        let opened = loaded.entries.iter().position(|entry| opens(&entry.body));
        let steps = opened.map_or(0, |at| loaded.entries.len() - at - 1);
        self.end(work.upload.ended().as_ref(), work.already_present, steps as u64);
        Ok(())
    }
}
