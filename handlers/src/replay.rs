//! Replay: work on ended streams begins again. A request selects streams (`select`), each is judged by `domain` (`judge`),
//! the run reopens them and lets the rule table do the work (`runner/replay.rs`), and a stream of its own says who asked for
//! what and how it came out (`acting`). A dry run is the same without effect: counted from the entries (`plan`), or the
//! whole run on ports that keep nothing (`dry`).

use std::collections::BTreeMap;

use domain::Phi;
use domain::events::{Code, Digest, RunId, SKIPPED_MAX, Skipped};
use domain::ids::{IndexHash, StreamId};
use domain::upload::{Kept, ReplayAsked, Which};
use domain::workflow::Step;
use sha2::{Digest as _, Sha256};

use crate::acting::Person;
use crate::pipeline::Pipeline;

pub mod acting;
pub mod dry;
pub mod judge;
pub mod plan;
pub mod select;

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which streams.
    pub selection: Selection,
    /// How the person said the span of time, so that `1d` ago is the same request a minute later; empty without a span.
    pub span_said: String,
    /// Where to begin; without it at the step that ended the work.
    pub from_step: Option<Step>,
    /// Whether the request itself names the profile or takes on the pixels; only then may it differ from the recorded one.
    pub profile_given: bool,
    /// Why; free text, kept beside the sources.
    pub reason: Phi<String>,
}

/// Which streams are meant: those to which everything that is given applies.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those whose work was given up.
    pub failed: bool,
    /// Those of one study.
    pub study: Option<StudyStreams>,
    /// Those that were received or ended in this span.
    pub span: Option<Span>,
}

/// The streams of a study, as [`crate::ask::streams_of_study`] finds them.
#[derive(Clone, Debug)]
pub struct StudyStreams {
    /// The study, where an entry says so.
    pub about: Option<IndexHash>,
    /// The streams of its objects.
    pub streams: Vec<StreamId>,
}

/// A span of time in milliseconds since 1970-01-01T00:00:00Z, from the first to before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first millisecond that belongs to it.
    pub from_ms: u64,
    /// The first that does not.
    pub to_ms: u64,
}

impl Request {
    /// Returns which of the selected uploads are meant: a step that nothing else is said with means what failed at it.
    pub const fn which(&self) -> Which {
        match (self.selection.failed, self.from_step) {
            (true, _) => Which::Failed,
            (false, Some(step)) if self.selection.study.is_none() && self.selection.span.is_none() => {
                Which::FailedAt(step)
            }
            _ => Which::All,
        }
    }

    /// Returns what is asked of each upload, in this run.
    pub fn asked(&self, pipeline: &Pipeline, run: RunId) -> ReplayAsked {
        ReplayAsked {
            which: self.which(),
            from_step: self.from_step,
            run,
            profile_digest: pipeline.profile_digest,
            profile_given: self.profile_given,
            tags: pipeline.operator.iter().map(Person::tag).collect(),
        }
    }

    /// Returns a digest by which the same request is known again; of the reason it says nothing.
    fn digest(&self, profile_digest: Digest) -> Digest {
        let Selection { failed, study, .. } = &self.selection;
        let study = study.as_ref().map(|study| match study.about {
            Some(about) => about.to_string(),
            None => study.streams.iter().map(|stream| format!("{stream} ")).collect(),
        });
        let span = &self.span_said;
        let step = self.from_step.map(Step::name);
        let text = format!(
            "medimg replay v1\nfailed {failed}\nstudy {study:?}\nspan {span:?}\nstep {step:?}\nprofile {profile_digest} {}\n",
            self.profile_given
        );
        Digest(Sha256::digest(text).into())
    }
}

/// Why a selected stream was not taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The upload is not to be.
    Kept(Kept),
    /// It could not be: its source is gone or changed, or its stream cannot be read.
    Failed(&'static str),
}

/// A stream that a replay left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The stream.
    pub stream: StreamId,
    /// Why.
    pub why: Why,
}

impl Left {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self.why {
            Why::Kept(kept) => kept.code(),
            Why::Failed(code) => code,
        }
    }

    /// Whether a person has to look: the request cannot be met for this stream.
    pub const fn needs_a_person(&self) -> bool {
        match self.why {
            Why::Kept(kept) => !matches!(kept, Kept::AlreadyDone | Kept::AlreadyPending | Kept::DoneInThisRun),
            Why::Failed(_) => true,
        }
    }
}

/// Returns how many streams were left for each cause, by code in alphabetical order.
pub fn skipped(left: &[Left]) -> Vec<Skipped> {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for left in left {
        *counts.entry(left.code()).or_default() += 1;
    }
    let coded = counts.into_iter().filter_map(|(code, count)| Some(Skipped { code: Code::parse(code)?, count }));
    coded.take(SKIPPED_MAX).collect()
}
