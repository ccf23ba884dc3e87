//! What a replay does with one upload: the step at which work begins again, or why the upload stays as it is. The dry run
//! and the run itself ask here, so they cannot differ.

use super::{Command, Ended, State, Upload};
use crate::Reason;
use crate::events::{Digest, ReplayCause, ReplayRequested, ReplayScope, RunId, Tag};
use crate::workflow::Step;

/// Which of the uploads that were named are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those whose work was given up.
    Failed,
    /// Those whose work was given up at this step.
    FailedAt(Step),
}

/// What a person asks of each upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayAsked {
    /// Which uploads are meant.
    pub which: Which,
    /// Where to begin; without it at the step that ended the work.
    pub from_step: Option<Step>,
    /// The run.
    pub run: RunId,
    /// The profile in force now.
    pub profile_digest: Digest,
    /// Whether the person named that profile, or took on the pixels, in the request itself: only then may it differ from
    /// the recorded one.
    pub profile_given: bool,
    /// Who asks.
    pub tags: Vec<Tag>,
}

/// What a replay does with one upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Takes it up again by this command, which [`super::decide`] admits.
    Redo(Box<Command>),
    /// Leaves it as it is.
    Keep(Kept),
}

/// Why an upload stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is none of those that are meant.
    NotMeant,
    /// It is delivered, and no step was asked for.
    AlreadyDone,
    /// It has not ended: the next run goes on with it anyway.
    AlreadyPending,
    /// This very run has worked on it to its end.
    DoneInThisRun,
    /// It was refused for what it is, and no step was asked for; or its pixels wait for a judgement.
    Quarantined(Reason),
    /// The work ended before the step that was asked for.
    StepNotReached {
        /// The step that ended the work.
        reached: Step,
    },
    /// It was worked on under another profile, and the request names none.
    ProfileDiffers {
        /// The profile on record.
        recorded: Digest,
        /// The profile in force.
        current: Digest,
    },
}

impl Kept {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotMeant => "not_meant",
            Self::AlreadyDone => "already_done",
            Self::AlreadyPending => "already_pending",
            Self::DoneInThisRun => "done_in_this_run",
            Self::Quarantined(_) => "still_quarantined",
            Self::StepNotReached { .. } => "step_not_reached",
            Self::ProfileDiffers { .. } => "profile_differs",
        }
    }
}

impl Upload {
    /// Returns what a replay does with this upload.
    pub fn replay(&self, asked: &ReplayAsked) -> Verdict {
        if self.next_step().is_some() {
            return Verdict::Keep(Kept::AlreadyPending);
        }
        if self.has_run(&asked.run) {
            return Verdict::Keep(Kept::DoneInThisRun);
        }
        let meant = match (asked.which, &self.state) {
            (Which::All, _) | (Which::Failed, State::Failed(_)) => true,
            (Which::FailedAt(step), State::Failed(failed)) => failed.step == step,
            _ => false,
        };
        match self.ended().filter(|_| meant) {
            None => Verdict::Keep(Kept::NotMeant),
            Some(Ended::Quarantined(why)) if why.reason == Reason::PixelsNotJudged => self.replay_pixels(asked),
            Some(Ended::Failed(failed)) => self.redo(asked, ReplayCause::FailureRepaired, failed.step),
            Some(Ended::Delivered) if asked.from_step.is_none() => Verdict::Keep(Kept::AlreadyDone),
            Some(Ended::Delivered) => self.redo(asked, ReplayCause::OperatorAsked, Step::Delivery),
            Some(Ended::Quarantined(why)) if asked.from_step.is_none() && !why.reason.may_be_gone() => {
                Verdict::Keep(Kept::Quarantined(why.reason))
            }
            Some(Ended::Quarantined(why)) => self.redo(asked, ReplayCause::OperatorAsked, why.step),
        }
    }

    fn redo(&self, asked: &ReplayAsked, cause: ReplayCause, reached: Step) -> Verdict {
        let from_step = asked.from_step.unwrap_or(reached);
        if from_step > reached {
            return Verdict::Keep(Kept::StepNotReached { reached });
        }
        let current = asked.profile_digest;
        let (from_step, profile_digest) = match self.made_under.filter(|recorded| *recorded != current) {
            None => (from_step, None),
            // Under another profile an output is made anew: what is recorded was made under the old one.
            Some(_) if asked.profile_given => (from_step.min(Step::Deidentification), Some(current)),
            Some(recorded) => return Verdict::Keep(Kept::ProfileDiffers { recorded, current }),
        };
        Verdict::Redo(Box::new(Command::RequestReplay(ReplayRequested {
            scope: ReplayScope::Object,
            cause,
            from_step,
            run: asked.run.clone(),
            profile_digest,
            reason_given: true,
            streams: None,
            note_digest: None,
            tags: asked.tags.clone(),
        })))
    }

    /// Pixels are judged anew under another profile only, in the run that is named after it.
    fn replay_pixels(&self, asked: &ReplayAsked) -> Verdict {
        let current = asked.profile_digest;
        if !self.pixels_may_be_accepted(current) {
            return Verdict::Keep(Kept::Quarantined(Reason::PixelsNotJudged));
        }
        match self.made_under {
            Some(recorded) if !asked.profile_given => Verdict::Keep(Kept::ProfileDiffers { recorded, current }),
            _ => Verdict::Redo(Box::new(Command::accept_pixels(current, true, asked.tags.clone()))),
        }
    }
}
