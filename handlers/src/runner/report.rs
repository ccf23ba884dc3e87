//! What a run tells: one report for each object, a summary, and news while it goes on.

use std::collections::HashSet;

use domain::events::{EventData, Modality};
use domain::ids::StreamId;
use domain::upload::{Ended, State};
use domain::workflow::Step;
use domain::workflow::rules::Rule;
use domain::{Reason, Rejection};

use super::turnstile::Place;
use crate::error::Error;
use crate::pipeline::Work;

/// How an object stands when a run lets go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Its key holds the output.
    Delivered,
    /// It was refused.
    Quarantined,
    /// Work on it was given up; a person is called.
    Failed,
    /// It has a stream without an end; the next run goes on with it.
    Pending,
    /// The path could not be read: no stream, no entry.
    Unreadable,
}

impl Outcome {
    /// Returns the word in `--json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What became of one object.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its number in walk order, from 1; none for one that was taken up from an earlier run.
    pub item: Option<u64>,
    /// Its stream; none if it could not be read.
    pub stream: Option<StreamId>,
    /// How it stands.
    pub outcome: Outcome,
    /// The reason class, if it is quarantined.
    pub reason: Option<Reason>,
    /// The rejection in full, if this run refused it; what an earlier run said stands in the history.
    pub rejection: Option<Rejection>,
    /// The code of the failure, if it failed or could not be read.
    pub code: Option<String>,
    /// The key of the output, once it has one.
    pub key: Option<String>,
    /// Its modality, if this run read it.
    pub modality: Option<Modality>,
    /// Whether the same bytes stood under the key before.
    pub already_present: bool,
    /// Whether it had ended before this run, which only repeats the verdict.
    pub repeated: bool,
}

impl Report {
    /// Returns what the stream in hand says.
    pub fn of(work: &Work, item: Option<u64>, repeated: bool) -> Self {
        let upload = &work.upload;
        let (outcome, reason, code) = match upload.ended() {
            Some(Ended::Delivered) => (Outcome::Delivered, None, None),
            Some(Ended::Quarantined(why)) => (Outcome::Quarantined, Some(why.reason), None),
            Some(Ended::Failed(failed)) => (Outcome::Failed, None, Some(failed.code.to_string())),
            None => (Outcome::Pending, None, None),
        };
        let rejection = work.failure.as_ref().and_then(|f| f.rejection.clone()).filter(|r| Some(r.reason) == reason);
        let key = upload.output().filter(|_| outcome == Outcome::Delivered).map(|output| output.key.to_string());
        let stream = (*upload.state() != State::New).then_some(work.stream);
        let already_present = work.already_present;
        let modality = work.modality;
        Self { item, stream, outcome, reason, rejection, code, key, modality, already_present, repeated }
    }

    /// Returns the report of a path that cannot be read.
    pub fn unreadable(item: u64, code: &str) -> Self {
        Self {
            item: Some(item),
            stream: None,
            outcome: Outcome::Unreadable,
            reason: None,
            rejection: None,
            code: Some(code.to_owned()),
            key: None,
            modality: None,
            already_present: false,
            repeated: false,
        }
    }
}

/// What became of all objects of a run.
#[derive(Debug, Default)]
pub struct Summary {
    /// Objects that stand delivered.
    pub delivered: u64,
    /// Objects that stand quarantined.
    pub quarantined: u64,
    /// Objects that stand failed.
    pub failed: u64,
    /// Objects without an end.
    pub pending: u64,
    /// Paths that could not be read.
    pub unreadable: u64,
    /// How many of these an earlier run had begun, and this one took up before its own.
    pub resumed: u64,
    /// What stopped the run, if something did.
    pub stopped_by: Option<Error>,
    /// Whether somebody stopped the run.
    pub interrupted: bool,
    places: Place,
    resumed_streams: HashSet<StreamId>,
}

impl Summary {
    /// Counts a report. An object that this run took up from an earlier one and finds again among its items counts once.
    pub fn add(&mut self, report: &Report) {
        if report.stream.is_some_and(|stream| self.resumed_streams.contains(&stream)) {
            return;
        }
        *match report.outcome {
            Outcome::Delivered => &mut self.delivered,
            Outcome::Quarantined => &mut self.quarantined,
            Outcome::Failed => &mut self.failed,
            Outcome::Pending => &mut self.pending,
            Outcome::Unreadable => &mut self.unreadable,
        } += 1;
    }

    pub(super) fn add_resumed(&mut self, report: &Report) {
        self.add(report);
        self.resumed += 1;
        self.resumed_streams.extend(report.stream);
    }

    /// Lets go of which streams were resumed: a run without an end must not hold them. One that comes in again counts again.
    pub(super) fn forget_resumed(&mut self) {
        self.resumed_streams = HashSet::new();
    }

    pub(super) fn next_place(&mut self) -> Place {
        self.places += 1;
        self.places
    }
}

/// Hears what goes on. Called from worker threads; must not block.
pub trait Observer: Send + Sync {
    /// An object enters a step.
    fn step(&self, _stream: StreamId, _step: Step) {}

    /// An object ended, or stands where the run leaves it. Reports of items come as they end, not in walk order.
    fn ended(&self, _report: &Report) {}

    /// A rule tells an operator of an event.
    fn notified(&self, _stream: StreamId, _rule: &'static Rule, _event: &EventData) {}
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
