//! The workflow as two constant tables: the steps, and the rules that say which event starts or resumes them. The embedded
//! runner walks them; Step Functions, EventBridge and Lambda get them rendered (`asl`, `rules`, `functions`). Nothing else knows
//! the order.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub mod asl;
pub mod functions;
pub mod rules;

pub use rules::{Action, RULES, Rule};

/// A step: also the name of its function and its actor (`system:ingestion`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Pins the object's version and digest before a byte is parsed. Not a state of the machine: it starts it.
    Intake,
    /// Scans the structure and reads the identity.
    Ingestion,
    /// Checks completeness, identity and the attributes of the IOD.
    Validation,
    /// Makes the de-identified object and stages it.
    Deidentification,
    /// Makes the staged object visible.
    Delivery,
    /// Records a rejection.
    Quarantine,
    /// Records that retries are exhausted or something is broken.
    RecordFailure,
}

/// Where the work ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The object is delivered.
    Delivered,
    /// The object is quarantined: an orderly end.
    Quarantined,
    /// The failure is recorded; a person is called.
    Failed,
    /// Not even the failure could be recorded: the stream stays open, and the sweeper finds it.
    NotRecorded,
}

impl End {
    /// Every end.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Quarantined, Self::Failed, Self::NotRecorded];

    /// Returns the name of the state.
    pub const fn state(self) -> &'static str {
        match self {
            Self::Delivered => "Delivered",
            Self::Quarantined => "Quarantined",
            Self::Failed => "Failed",
            Self::NotRecorded => "NotRecorded",
        }
    }

    /// Whether the execution counts as succeeded.
    pub const fn succeeded(self) -> bool {
        matches!(self, Self::Delivered | Self::Quarantined)
    }
}

/// Where the work goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To a step.
    Step(Step),
    /// To an end.
    End(End),
}

/// The three kinds of failure; the kind alone decides what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// The data: recorded, quarantined, never retried.
    Rejected,
    /// The surroundings: retried with backoff, up to a limit.
    Transient,
    /// Us, or a chain that does not verify: stop and call a person.
    Broken,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Rejected, Self::Transient, Self::Broken];

    /// Returns the error name that functions fail with and Step Functions matches.
    pub const fn error_name(self) -> &'static str {
        match self {
            Self::Rejected => "Rejected",
            Self::Transient => "Transient",
            Self::Broken => "Broken",
        }
    }

    /// Returns the word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Transient => "transient",
            Self::Broken => "broken",
        }
    }

    /// Returns the kind of an error by the name that Step Functions reports: one of ours, or one of the service's own.
    pub fn of_error_name(name: &str) -> Self {
        match name {
            "Rejected" => Self::Rejected,
            name if name == "Transient" || SERVICE_ERRORS.contains(&name) => Self::Transient,
            _ => Self::Broken,
        }
    }
}

/// Errors of Step Functions and Lambda themselves that pass: retried like `Transient`. All others count as `Broken`.
pub const SERVICE_ERRORS: &[&str] = &[
    "States.Timeout",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
    "Sandbox.Timedout",
];

/// How often and how fast a transient failure is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many times after the first try.
    pub retries_max: u32,
    /// Wait before the first retry in milliseconds; whole seconds, since Step Functions knows no less.
    pub interval_ms: u64,
    /// Each wait is this many times the one before.
    pub backoff: u64,
    /// No wait is longer, in milliseconds; whole seconds.
    pub interval_ms_max: u64,
}

impl Retry {
    /// Returns the wait before retry number `retry` (from 1) in milliseconds. On AWS a random part of it is taken
    /// (`JitterStrategy` FULL); a runner may do so too.
    pub const fn delay_ms(&self, retry: u32) -> u64 {
        let factor = self.backoff.saturating_pow(retry.saturating_sub(1));
        let delay = self.interval_ms.saturating_mul(factor);
        if delay < self.interval_ms_max { delay } else { self.interval_ms_max }
    }
}

/// One row of the step table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRow {
    /// The step.
    pub step: Step,
    /// Its word: the function's, the actor's and the event's name for it.
    pub name: &'static str,
    /// Name of its state in the state machine; `None` for intake, which starts the machine.
    pub state: Option<&'static str>,
    /// The command that it gives, as the decision id spells it.
    pub command: &'static str,
    /// Version of the step's code: part of the decision id. Raised when the same input may lead to another event.
    pub version: u32,
    /// Where the work goes when it is done.
    pub next: Next,
    /// Where a rejection goes.
    pub on_rejected: Next,
    /// Where exhausted retries and everything broken go.
    pub on_failed: Next,
    /// How a transient failure is retried.
    pub retry: Retry,
    /// How long one try may take, in seconds.
    pub timeout_s: u32,
    /// Whether the step is told why it was entered (`$.failure`).
    pub takes_failure: bool,
}

/// Short steps, which read or write a few kilobytes.
const RETRY: Retry = Retry { retries_max: 5, interval_ms: 1_000, backoff: 2, interval_ms_max: 30_000 };
/// The two steps that must not be lost: what they record is the only trace of why an object is not delivered.
const RETRY_RECORD: Retry = Retry { retries_max: 8, interval_ms: 2_000, backoff: 2, interval_ms_max: 60_000 };

const fn work(
    step: Step,
    name: &'static str,
    state: Option<&'static str>,
    command: &'static str,
    next: Next,
    timeout_s: u32,
) -> StepRow {
    let (on_rejected, on_failed) = (Next::Step(Step::Quarantine), Next::Step(Step::RecordFailure));
    StepRow {
        step,
        name,
        state,
        command,
        version: 1,
        next,
        on_rejected,
        on_failed,
        retry: RETRY,
        timeout_s,
        takes_failure: false,
    }
}

const fn record(
    step: Step,
    name: &'static str,
    state: &'static str,
    command: &'static str,
    next: Next,
    on_failed: Next,
) -> StepRow {
    // A rejection here would be ours: there are no data left to refuse.
    let (on_rejected, retry) = (on_failed, RETRY_RECORD);
    StepRow {
        step,
        name,
        state: Some(state),
        command,
        version: 1,
        next,
        on_rejected,
        on_failed,
        retry,
        timeout_s: 60,
        takes_failure: true,
    }
}

/// The step table: THE workflow. In the order of the work.
pub const STEPS: &[StepRow] = &[
    work(Step::Intake, "intake", None, "receive", Next::Step(Step::Ingestion), 300),
    work(Step::Ingestion, "ingestion", Some("Ingest"), "ingest", Next::Step(Step::Validation), 300),
    work(Step::Validation, "validation", Some("Validate"), "validate", Next::Step(Step::Deidentification), 300),
    work(Step::Deidentification, "deidentification", Some("Deidentify"), "deidentify", Next::Step(Step::Delivery), 900),
    work(Step::Delivery, "delivery", Some("Deliver"), "deliver", Next::End(End::Delivered), 300),
    record(
        Step::Quarantine,
        "quarantine",
        "Quarantine",
        "quarantine",
        Next::End(End::Quarantined),
        Next::Step(Step::RecordFailure),
    ),
    record(
        Step::RecordFailure,
        "record-failure",
        "RecordFailure",
        "record_failure",
        Next::End(End::Failed),
        Next::End(End::NotRecorded),
    ),
];

/// The first step of the state machine.
pub const FIRST: Step = Step::Ingestion;

impl Step {
    /// Every step, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Intake,
        Self::Ingestion,
        Self::Validation,
        Self::Deidentification,
        Self::Delivery,
        Self::Quarantine,
        Self::RecordFailure,
    ];

    /// Returns the row of the step table.
    pub const fn row(self) -> &'static StepRow {
        &STEPS[self as usize]
    }

    /// Returns the step's word, `ingestion`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the step that `name` names.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

    /// Returns the actor in headers, `system:ingestion`.
    pub fn actor(self) -> String {
        format!("system:{}", self.name())
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| serde::de::Error::custom("unknown step"))
    }
}

impl Serialize for FailureKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for FailureKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(|| serde::de::Error::custom("unknown kind"))
    }
}

/// One try of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// The step.
    pub step: Step,
    /// Which try, from 1.
    pub attempt: u32,
}

impl Try {
    /// Returns the first try of a step.
    pub const fn first(step: Step) -> Self {
        Self { step, attempt: 1 }
    }
}

/// How a try ended: done (also when it was done before, or the stream has ended), or failed.
pub type Outcome = Result<(), FailureKind>;

/// What follows a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The first try of another step, at once.
    Go(Step),
    /// The same step again after a wait.
    Again {
        /// The try that follows.
        next: Try,
        /// How long to wait before it, in milliseconds.
        delay_ms: u64,
    },
    /// Nothing more.
    End(End),
}

/// Returns what follows a try that ended so. Every walk ends: steps only lead forward, and retries are bounded.
pub const fn walk(done: Try, outcome: Outcome) -> Move {
    let row = done.step.row();
    let next = match outcome {
        Ok(()) => row.next,
        Err(FailureKind::Transient) if done.attempt <= row.retry.retries_max => {
            let next = Try { step: done.step, attempt: done.attempt + 1 };
            return Move::Again { next, delay_ms: row.retry.delay_ms(done.attempt) };
        }
        Err(FailureKind::Rejected) => row.on_rejected,
        Err(FailureKind::Transient | FailureKind::Broken) => row.on_failed,
    };
    match next {
        Next::Step(step) => Move::Go(step),
        Next::End(end) => Move::End(end),
    }
}

/// Returns the longest time in seconds that an execution can take: every step of the longest way, every try to its
/// timeout, every wait.
pub fn worst_case_s() -> u64 {
    STEPS
        .iter()
        .filter(|row| row.state.is_some())
        .map(|row| {
            let tries = u64::from(row.retry.retries_max) + 1;
            let waits: u64 = (1..=row.retry.retries_max).map(|retry| row.retry.delay_ms(retry)).sum();
            tries * u64::from(row.timeout_s) + waits.div_ceil(1_000)
        })
        .sum()
}

/// Returns the text of a rendered file: keys sorted, so that it does not depend on how serde_json was built.
fn rendered_text(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(&Sorted(document)).expect("values serialise");
    text.push('\n');
    text
}

struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let sorted: BTreeMap<&String, Sorted<'_>> =
                    fields.iter().map(|(name, value)| (name, Sorted(value))).collect();
                serializer.collect_map(sorted)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            plain => plain.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests;
