//! The runner: the embedded twin of Step Functions. Events drive it through the in-process bus and the rule table; many
//! objects are in flight on few threads, bounded in number and bytes; their entries share the ledger's group commits.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::StreamId;
use domain::upload::{Command, Ended, State};
use domain::workflow::rules::Action;
use domain::workflow::{End, Step};
use tokio::sync::Semaphore;

use crate::acting::Person;
use crate::bus::Bus;
use crate::commit::{self, Committed};
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Work};
use crate::runner::items::Item;
use crate::runner::report::{Observer, Outcome, Report, Summary};
use crate::runner::turnstile::{Place, Turnstile};
use crate::steps::Turn;

pub mod intake;
pub mod items;
pub mod replay;
pub mod report;
#[cfg(test)]
pub(crate) mod tests;
pub mod turnstile;
mod walk;

/// How many streams a resuming run takes up at once.
const RESUME_BATCH: usize = 1_024;

/// What a run may use.
#[derive(Clone, Copy, Debug)]
pub struct RunLimits {
    /// Objects in flight.
    pub in_flight_max: usize,
    /// Raw bytes held in memory by objects in flight.
    pub in_flight_bytes_max: u64,
    /// No wait before a retry is longer than this many milliseconds; Step Functions waits as long as the table says.
    pub retry_delay_ms_max: u64,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self { in_flight_max: 40, in_flight_bytes_max: 12 << 20, retry_delay_ms_max: 500 }
    }
}

/// How an object comes in.
#[derive(Clone, Debug, Default)]
pub struct IntakeOptions {
    /// Keep a copy of every original in this folder, named by stream.
    pub copy_raw_to: Option<PathBuf>,
}

/// Processes objects of one store. Clones share everything.
#[derive(Clone)]
pub struct Runner {
    shared: Arc<Shared>,
}

struct Shared {
    pipeline: Pipeline,
    bus: Bus,
    limits: RunLimits,
    intake: IntakeOptions,
    observer: Arc<dyn Observer>,
    turnstile: Turnstile,
    flights: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    stopping: AtomicBool,
    stopped_by: Mutex<Option<Error>>,
    ended: Mutex<Vec<StreamId>>,
}

impl Runner {
    /// Makes a runner of a pipeline and its bus.
    pub fn new(
        pipeline: Pipeline,
        bus: Bus,
        limits: RunLimits,
        intake: IntakeOptions,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let flights = Arc::new(Semaphore::new(limits.in_flight_max.max(1)));
        let bytes = Arc::new(Semaphore::new(permits(limits.in_flight_bytes_max) as usize));
        let shared = Shared {
            pipeline,
            bus,
            limits,
            intake,
            observer,
            turnstile: Turnstile::default(),
            flights,
            bytes,
            stopping: AtomicBool::new(false),
            stopped_by: Mutex::default(),
            ended: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Lets objects in flight come to an end and takes up no more.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
    }

    /// Takes up every stream that has not ended, in the order of receipt, then the items, in theirs.
    pub async fn process(&self, items: Vec<Item>) -> Summary {
        let mut summary = self.resume().await;
        if !self.stops() {
            intake::take_in(self, items, &mut summary).await;
        }
        self.finish(&mut summary);
        summary
    }

    /// Takes up the stream that `event`, put on the bus by hand, is about.
    ///
    /// # Errors
    /// What stops a run. An event that sets off no rule changes nothing; the report then says where the stream stands.
    pub async fn put(&self, stream: StreamId, event: &domain::events::EventData) -> Summary {
        let mut summary = Summary::default();
        let mut work = Work::new(stream);
        let known = commit::reload(&self.shared.pipeline, &mut work).await;
        match known {
            Err(error) => self.stop_by(error),
            Ok(()) if *work.upload.state() == State::New => {
                let tried = format!("put an event on the bus: the ledger has no stream {stream}");
                self.stop_by(Error::damaged("stream_unknown", tried, None));
            }
            Ok(()) => {
                self.shared.turnstile.admit(0);
                let repeated = work.upload.ended().is_some();
                summary.add(&self.follow(&mut work, event.clone(), 0, None, repeated).await);
            }
        }
        self.finish(&mut summary);
        summary
    }

    /// Streams that were received and have no end are put on the bus once more; steps that are done answer at once.
    async fn resume(&self) -> Summary {
        let mut summary = Summary::default();
        let mut seen = HashSet::new();
        loop {
            let open = match self.shared.pipeline.sources.open_streams(seen.len() + RESUME_BATCH) {
                Ok(open) => open,
                Err(error) => {
                    self.stop_by(error);
                    return summary;
                }
            };
            let fresh: Vec<StreamId> = open.into_iter().filter(|stream| seen.insert(*stream)).collect();
            if fresh.is_empty() || self.stops() {
                return summary;
            }
            self.resume_batch(&fresh, &mut summary).await;
            self.note_ended();
        }
    }

    async fn resume_batch(&self, streams: &[StreamId], summary: &mut Summary) {
        let mut tasks = Vec::with_capacity(streams.len());
        for stream in streams {
            let place = summary.next_place();
            self.shared.turnstile.admit(place);
            let (runner, stream) = (self.clone(), *stream);
            tasks.push(tokio::spawn(async move {
                let _flight = runner.shared.flights.acquire().await;
                runner.resume_one(stream, place).await
            }));
        }
        for task in tasks {
            match task.await {
                Ok(Some(report)) => summary.add_resumed(&report),
                Ok(None) => {}
                Err(_) => self.stop_by(Error::broken("task_panicked", "resume an object")),
            }
        }
    }

    async fn resume_one(&self, stream: StreamId, place: Place) -> Option<Report> {
        let mut work = Work::new(stream);
        let loaded = if self.stops() { Ok(()) } else { commit::reload(&self.shared.pipeline, &mut work).await };
        let report = match (loaded, work.opened_by.clone()) {
            (Err(error), _) => {
                self.stop_by(error);
                None
            }
            // A row without an entry: the process stopped between the two. The object was not received.
            (Ok(()), None) => None,
            (Ok(()), Some(_)) if work.upload.ended().is_some() => {
                self.note_end(stream);
                None
            }
            (Ok(()), Some(opened_by)) => return Some(self.follow(&mut work, opened_by, place, None, false).await),
        };
        self.shared.turnstile.leave(place);
        report
    }

    /// Puts the event that opened the present run on the bus and follows what it sets off to its end.
    async fn follow(
        &self,
        work: &mut Work,
        opened_by: domain::events::EventData,
        place: Place,
        number: Option<u64>,
        repeated: bool,
    ) -> Report {
        let step = self.started_step(work, &opened_by);
        let end = match step {
            // What has ended keeps its verdict: no step is due, and none is shown as work.
            Some(step) if !self.stops() && work.upload.ended().is_none() => {
                self.walk(work, step, Turn { turnstile: &self.shared.turnstile, place }).await
            }
            _ => Ok(()),
        };
        // In this order: should the run stop here, a higher object of the same key must not take this one's turn.
        if let Err(error) = end {
            self.stop_by(error);
        }
        self.shared.turnstile.leave(place);
        let report = Report::of(work, number, repeated);
        if report.outcome != Outcome::Pending {
            self.note_end(work.stream);
        }
        self.shared.observer.ended(&report);
        report
    }

    fn started_step(&self, work: &Work, event: &domain::events::EventData) -> Option<Step> {
        for rule in self.shared.bus.matches(event).filter(|rule| rule.action == Action::Notify) {
            self.shared.observer.notified(work.stream, rule, event);
        }
        self.shared.bus.begins(event, work.upload.next_step())
    }

    /// Follows an object that was just received, or was known: an ended one repeats its verdict, unless this run's profile
    /// may take it up again.
    async fn receive(&self, mut work: Work, committed: Result<Committed>, place: Place, number: u64) -> Report {
        let fresh = matches!(committed, Ok(Committed::Recorded(_)));
        let ready = match committed {
            Ok(_) if fresh => Ok(()),
            // Known: what stands is read, whatever we hold in hand.
            Ok(_) => self.reopen(&mut work).await,
            Err(error) => Err(error),
        };
        match (ready, work.opened_by.clone()) {
            (Ok(()), Some(opened_by)) => {
                let repeated = !fresh && work.upload.ended().is_some();
                self.follow(&mut work, opened_by, place, Some(number), repeated).await
            }
            (ready, _) => {
                self.stop_by(ready.err().unwrap_or_else(|| Error::broken("not_received", "receive an object")));
                self.shared.turnstile.leave(place);
                let report = Report::of(&work, Some(number), false);
                self.shared.observer.ended(&report);
                report
            }
        }
    }

    /// Takes up again an object whose pixels nobody had judged, if this run's profile accepts them.
    async fn reopen(&self, work: &mut Work) -> Result<()> {
        let p = &self.shared.pipeline;
        let accepts = p.profile.accepts_pixels() && work.upload.pixels_may_be_accepted(p.profile_digest);
        if accepts && matches!(work.upload.ended(), Some(Ended::Quarantined(_))) {
            p.sources.set_ended(&[work.stream], false)?;
            commit::commit(
                p,
                work,
                &Command::accept_pixels(p.profile_digest, false, p.operator.iter().map(Person::tag).collect()),
            )
            .await?;
        }
        Ok(())
    }

    fn stops(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    /// Stops the run because of what every object needs; the first cause is told.
    fn stop_by(&self, error: Error) {
        self.stop();
        self.shared.turnstile.stop();
        tracing::error!(code = error.code(), "the run stops");
        let mut stopped_by = self.shared.stopped_by.lock().unwrap_or_else(PoisonError::into_inner);
        stopped_by.get_or_insert(error);
    }

    fn note_end(&self, stream: StreamId) {
        self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    }

    /// Writes down which streams ended. Should it fail, the next start looks at them once more.
    fn note_ended(&self) {
        let ended = std::mem::take(&mut *self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner));
        if !ended.is_empty()
            && let Err(error) = self.shared.pipeline.sources.set_ended(&ended, true)
        {
            tracing::warn!(code = error.code(), "could not note which streams ended");
        }
    }

    fn finish(&self, summary: &mut Summary) {
        self.note_ended();
        summary.stopped_by = self.shared.stopped_by.lock().unwrap_or_else(PoisonError::into_inner).take();
        summary.interrupted = self.stops() && summary.stopped_by.is_none();
    }
}

/// Bytes as permits of a semaphore: one for each KiB begun.
fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX >> 4)
}

/// Whether a walk came to an end that the stream records.
fn is_recorded(end: End) -> bool {
    end != End::NotRecorded
}
