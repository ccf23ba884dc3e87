//! The life of one upload, as a fold over its stream: `apply` says what an event changed, `decide` what a command may add.
//!
//! Steps may run twice, late or out of order: `decide` refuses what is done already or not yet due, whatever the state
//! machine says. `apply` refuses an event that cannot stand there, so that the same fold audits a stored stream.

use uuid::Uuid;

use crate::Reason;
use crate::events::{
    Code, Decision, Detail, Digest, Event, EventData, InstanceDeidentified, InstanceDelivered, InstanceIngested,
    InstanceQuarantined, InstanceValidated, ObjectReceived, Place, ProcessedKey, ProcessingFailed, ReplayCause,
    ReplayRequested, ReplayScope, RunId, StageToken, Tag, TagKind, Time,
};
use crate::ids::{self, DecisionInput, IndexHash, StreamId};
use crate::workflow::{FailureKind, Step};

mod decide;
mod replay;

pub use decide::decide;
pub use replay::{Kept, ReplayAsked, Verdict, Which};

/// Where an upload stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum State {
    /// The stream is empty.
    #[default]
    New,
    /// Pinned; nothing was parsed.
    Received,
    /// Scanned; the identity is known.
    Ingested,
    /// Complete and held against its IOD.
    Validated,
    /// The output is staged; its key and digest are fixed.
    Deidentified,
    /// Ended: the key holds the output.
    Delivered,
    /// Ended, unless a run under another profile takes it up again.
    Quarantined(Quarantined),
    /// Ended, until a replay after a repair.
    Failed(Failed),
}

/// Why and where an upload was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The reason class.
    pub reason: Reason,
    /// The step that refused it.
    pub step: Step,
    /// The profile in force, where the refusal depends on it.
    pub profile_digest: Option<Digest>,
}

/// Why and where the work on an upload was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The step that was due; the same step stands next if the work is taken up again.
    pub step: Step,
    /// `Transient` or `Broken`.
    pub kind: FailureKind,
    /// Code of the error.
    pub code: Code,
}

/// How an upload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Delivered.
    Delivered,
    /// Quarantined.
    Quarantined(Quarantined),
    /// Failed.
    Failed(Failed),
}

/// The pinned source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// SHA-256 of the object at its source.
    pub sha256: Digest,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Whether the store holds a copy.
    pub raw_copied: bool,
}

/// The staged or delivered output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The final key.
    pub key: ProcessedKey,
    /// SHA-256 of the output.
    pub sha256: Digest,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Where it waits.
    pub stage: StageToken,
    /// The profile under which it was made.
    pub profile_digest: Digest,
}

/// What a stream says about one upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    state: State,
    source: Option<Source>,
    output: Option<Output>,
    made_under: Option<Digest>,
    delivered: Option<(ProcessedKey, Digest)>,
    study: Option<IndexHash>,
    run: RunId,
    runs: Vec<RunId>,
    opened_by: Option<Uuid>,
    last_event: Option<Uuid>,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            state: State::New,
            source: None,
            output: None,
            made_under: None,
            delivered: None,
            study: None,
            run: RunId::FIRST,
            runs: Vec::new(),
            opened_by: None,
            last_event: None,
        }
    }
}

/// What a step asks for. Each carries what its event will say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Intake saw the object.
    Receive(ObjectReceived),
    /// The scan went through.
    Ingest(InstanceIngested),
    /// Nothing that quarantines was found.
    Validate(InstanceValidated),
    /// The output is staged.
    Deidentify(InstanceDeidentified),
    /// The output is visible.
    Deliver(InstanceDelivered),
    /// A step refused the object.
    Quarantine(InstanceQuarantined),
    /// A step gave up.
    RecordFailure(ProcessingFailed),
    /// Somebody wants an ended upload taken up again.
    RequestReplay(ReplayRequested),
}

impl Command {
    /// Returns the command that records a rejection by `step`.
    pub fn quarantine(
        step: Step,
        rejection: &crate::Rejection,
        profile_digest: Option<Digest>,
        tags: Vec<Tag>,
    ) -> Self {
        Self::Quarantine(InstanceQuarantined {
            reason: rejection.reason,
            step,
            detail: Detail::of(&rejection.detail),
            at: rejection.at.as_deref().and_then(Place::parse),
            profile_digest,
            tags,
        })
    }

    /// Returns the command that takes up again an object quarantined as `pixels_not_judged`, under a profile that
    /// accepts pixels; the run is made from its digest.
    pub fn accept_pixels(profile_digest: Digest, reason_given: bool, tags: Vec<Tag>) -> Self {
        Self::RequestReplay(ReplayRequested {
            scope: ReplayScope::Object,
            cause: ReplayCause::PixelsAccepted,
            from_step: Step::Deidentification,
            run: RunId::pixels(profile_digest),
            profile_digest: Some(profile_digest),
            reason_given,
            streams: None,
            note_digest: None,
            tags,
        })
    }

    /// Returns the command's name, as the decision id spells it.
    pub const fn name(&self) -> &'static str {
        match self.step() {
            Some(step) => step.row().command,
            None => "request_replay",
        }
    }

    /// Returns the step that gives the command; a replay is asked for by a person, not by a step.
    pub const fn step(&self) -> Option<Step> {
        Some(match self {
            Self::Receive(_) => Step::Intake,
            Self::Ingest(_) => Step::Ingestion,
            Self::Validate(_) => Step::Validation,
            Self::Deidentify(_) => Step::Deidentification,
            Self::Deliver(_) => Step::Delivery,
            Self::Quarantine(_) => Step::Quarantine,
            Self::RecordFailure(_) => Step::RecordFailure,
            Self::RequestReplay(_) => return None,
        })
    }
}

/// Why a command adds nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The step is done; what stands is in the [`Upload`]. The caller goes on as if it had just done it.
    #[error("already done: the upload stands at or behind it")]
    AlreadyDone(State),
    /// Another step is due first.
    #[error("out of order: {expected} is due")]
    OutOfOrder {
        /// The step that is due.
        expected: Step,
    },
    /// The upload has ended; the caller repeats the verdict.
    #[error("the upload has ended")]
    Ended(Ended),
    /// The command contradicts what stands or itself: `Broken`.
    #[error("contradiction: {0}")]
    Contradicts(&'static str),
}

/// A decision, ready to be appended as one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Its id: the same for a retry, another for a replay.
    pub id: Uuid,
    /// Its events, in order; [`crate::events::body`] makes the entry's body of them.
    pub events: Vec<Event>,
    /// The study that the entry is about, as far as it is known with these events: the `subject` of the header.
    pub study: Option<IndexHash>,
}

/// An event that cannot stand where it does: the stream was not written by this program, or is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event_type} cannot follow here: {why}")]
pub struct Misplaced {
    /// Type of the event.
    pub event_type: &'static str,
    /// What does not fit.
    pub why: &'static str,
}

impl Upload {
    /// Returns the upload that these events tell of.
    ///
    /// # Errors
    /// [`Misplaced`] names the first event that cannot stand where it does.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, Misplaced> {
        let mut upload = Self::default();
        for event in events {
            upload.apply(event)?;
        }
        Ok(upload)
    }

    /// Takes in the next event of the stream. Facts about the upload that do not move it (a review) change nothing.
    ///
    /// # Errors
    /// [`Misplaced`], if the event cannot stand here; the upload is then unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misplaced> {
        // The same rules that let a step write an event judge whether a stored one may stand: one fact, one place.
        if let Some(command) = command_of(&event.data) {
            decide(self, &command).map_err(|refusal| Misplaced {
                event_type: event.event_type(),
                why: match refusal {
                    Refusal::AlreadyDone(_) => "its step is done already",
                    Refusal::OutOfOrder { .. } => "another step is due first",
                    Refusal::Ended(_) => "the upload has ended",
                    Refusal::Contradicts(why) => why,
                },
            })?;
        } else if !matches!(event.data, EventData::ReviewDecided(_)) {
            return Err(Misplaced { event_type: event.event_type(), why: "it is no event of an upload" });
        }
        self.take_in(&event.data);
        if matches!(event.data, EventData::ObjectReceived(_) | EventData::ReplayRequested(_)) {
            self.opened_by = Some(event.id);
        }
        self.last_event = Some(event.id);
        Ok(())
    }

    fn take_in(&mut self, data: &EventData) {
        self.study = study_of(data.tags()).or(self.study);
        match data {
            EventData::ObjectReceived(said) => {
                self.source =
                    Some(Source { sha256: said.sha256, size_bytes: said.size_bytes, raw_copied: said.raw_copied });
                self.state = State::Received;
            }
            EventData::InstanceIngested(_) => self.state = State::Ingested,
            EventData::InstanceValidated(_) => self.state = State::Validated,
            EventData::InstanceDeidentified(said) => {
                self.output = Some(Output {
                    key: said.key.clone(),
                    sha256: said.sha256,
                    size_bytes: said.size_bytes,
                    stage: said.stage.clone(),
                    profile_digest: said.profile_digest,
                });
                self.made_under = Some(said.profile_digest);
                self.state = State::Deidentified;
            }
            EventData::InstanceDelivered(said) => {
                self.delivered = Some((said.key.clone(), said.sha256));
                self.state = State::Delivered;
            }
            EventData::InstanceQuarantined(said) => {
                let (reason, step, profile_digest) = (said.reason, said.step, said.profile_digest);
                self.made_under = profile_digest.or(self.made_under);
                self.state = State::Quarantined(Quarantined { reason, step, profile_digest });
            }
            EventData::ProcessingFailed(said) => {
                self.state = State::Failed(Failed { step: said.step, kind: said.kind, code: said.code.clone() });
            }
            EventData::ReplayRequested(said) => self.reopen(said),
            _ => {}
        }
    }

    /// Goes back to where `from_step` is due. An output that will be made again is forgotten.
    fn reopen(&mut self, said: &ReplayRequested) {
        self.state = match said.from_step {
            Step::Validation => State::Ingested,
            Step::Deidentification => State::Validated,
            Step::Delivery => State::Deidentified,
            _ => State::Received,
        };
        if said.from_step <= Step::Deidentification {
            self.output = None;
        }
        self.runs.push(std::mem::replace(&mut self.run, said.run.clone()));
    }

    /// Returns where the upload stands.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Returns the step that is due; `None` if the upload has ended.
    pub const fn next_step(&self) -> Option<Step> {
        match self.state {
            State::New => Some(Step::Intake),
            State::Received => Some(Step::Ingestion),
            State::Ingested => Some(Step::Validation),
            State::Validated => Some(Step::Deidentification),
            State::Deidentified => Some(Step::Delivery),
            State::Delivered | State::Quarantined(_) | State::Failed(_) => None,
        }
    }

    /// Returns how the upload ended, if it did.
    pub fn ended(&self) -> Option<Ended> {
        match &self.state {
            State::Delivered => Some(Ended::Delivered),
            State::Quarantined(quarantined) => Some(Ended::Quarantined(*quarantined)),
            State::Failed(failed) => Some(Ended::Failed(failed.clone())),
            _ => None,
        }
    }

    /// Returns the pinned source.
    pub const fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Returns the output, once it is staged.
    pub const fn output(&self) -> Option<&Output> {
        self.output.as_ref()
    }

    /// Returns the profile that was in force when the output was last made or refused under one. It outlives the output,
    /// which a replay forgets.
    pub const fn made_under(&self) -> Option<Digest> {
        self.made_under
    }

    /// Returns key and digest of what any run delivered last: a key keeps its bytes for ever.
    pub const fn delivered(&self) -> Option<&(ProcessedKey, Digest)> {
        self.delivered.as_ref()
    }

    /// Returns the study's index hash, the `subject` of headers, once it is known.
    pub const fn study(&self) -> Option<IndexHash> {
        self.study
    }

    /// Returns the run that works on the upload.
    pub const fn run(&self) -> &RunId {
        &self.run
    }

    /// Whether a run of this id has worked on the upload, or does.
    pub fn has_run(&self, run: &RunId) -> bool {
        self.run == *run || self.runs.contains(run)
    }

    /// Whether a run under this profile, which accepts pixels, may take the upload up again.
    pub fn pixels_may_be_accepted(&self, profile_digest: Digest) -> bool {
        decide(self, &Command::accept_pixels(profile_digest, false, Vec::new())).is_ok()
    }

    /// Decides on `command` at `time` and gives its events their ids and causes.
    ///
    /// # Errors
    /// As [`decide`].
    pub fn decide(&self, stream: StreamId, command: &Command, time: Time) -> Result<Decided, Refusal> {
        let data = decide(self, command)?;
        let id = self.decision_id(stream, command);
        let (correlation_id, causation_id) = self.correlation(command);
        let events = Event::of(&Decision { id, stream, time, correlation_id, causation_id }, data);
        let mut after = self.study;
        for tags in events.iter().map(|event| event.data.tags()) {
            after = study_of(tags).or(after);
        }
        Ok(Decided { id, events, study: after })
    }

    /// Returns what the events of the next decision have in common with the stream: `opened_by` and the last event, for
    /// [`crate::events::Decision`]. A replay opens a run of its own.
    pub const fn correlation(&self, command: &Command) -> (Option<Uuid>, Option<Uuid>) {
        match command {
            Command::RequestReplay(_) => (None, self.last_event),
            _ => (self.opened_by, self.last_event),
        }
    }

    /// Returns the id of the decision that `command` leads to on this upload: the same for a retry, another for a replay.
    pub fn decision_id(&self, stream: StreamId, command: &Command) -> Uuid {
        let received = match command {
            Command::Receive(said) => Some(said.sha256),
            _ => self.source.map(|source| source.sha256),
        };
        let (profile, input, run) = match command {
            Command::Deidentify(said) => (Some(said.profile_digest), received, &self.run),
            // What is delivered is the output; its profile made it.
            Command::Deliver(said) => (self.output.as_ref().map(|o| o.profile_digest), Some(said.sha256), &self.run),
            Command::Quarantine(said) => (said.profile_digest, received, &self.run),
            Command::RequestReplay(said) => (said.profile_digest, received, &said.run),
            _ => (None, received, &self.run),
        };
        let spell = |digest: Option<Digest>| digest.map_or_else(|| "-".to_owned(), |d| d.to_string());
        let step = command.step();
        ids::decision_id(&DecisionInput {
            stream,
            command: command.name(),
            step: step.map_or("operator", Step::name),
            step_version: step.map_or(1, |step| step.row().version),
            profile_digest: &spell(profile),
            input_digest: &spell(input),
            run: run.as_str(),
        })
    }
}

fn study_of(tags: &[Tag]) -> Option<IndexHash> {
    tags.iter().find(|tag| tag.kind == TagKind::Study).map(|tag| tag.hash)
}

/// The command that would have led to this event.
fn command_of(data: &EventData) -> Option<Command> {
    Some(match data.clone() {
        EventData::ObjectReceived(said) => Command::Receive(said),
        EventData::InstanceIngested(said) => Command::Ingest(said),
        EventData::InstanceValidated(said) => Command::Validate(said),
        EventData::InstanceDeidentified(said) => Command::Deidentify(said),
        EventData::InstanceDelivered(said) => Command::Deliver(said),
        EventData::InstanceQuarantined(said) => Command::Quarantine(said),
        EventData::ProcessingFailed(said) => Command::RecordFailure(said),
        EventData::ReplayRequested(said) => Command::RequestReplay(said),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
