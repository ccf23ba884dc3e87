//! The life of a study's own stream, as a fold: completed when nothing came for a while, reopened when something came after
//! all. DICOM knows no last image, so a completion is a fact about time, with the counts as found (DESIGN §3).
//!
//! One writer, the sweeper. `decide` refuses what stands already, so that a second sweeper, or the same one after a lost
//! answer, adds nothing; `apply` is the same rule read backwards and audits a stored stream.

use uuid::Uuid;

use crate::events::{Decision, Event, EventData, StudyCompleted, StudyReopened, Tag, TagKind, Time};
use crate::ids::{self, DecisionInput, IndexHash, StreamId};

/// The name of the actor that writes the streams of studies: `system:sweeper`.
pub const SWEEPER: &str = "sweeper";

/// How many objects of a study have a stream, by how the stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Ended delivered.
    pub delivered: u64,
    /// Ended quarantined.
    pub quarantined: u64,
    /// Ended failed.
    pub failed: u64,
    /// Without an end.
    pub open: u64,
}

impl Count {
    /// Returns how many there are.
    pub const fn instances(&self) -> u64 {
        self.delivered + self.quarantined + self.failed + self.open
    }
}

/// What a study's own stream says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Study {
    completed: Option<Count>,
    events: u64,
    opened_by: Option<Uuid>,
    last_event: Option<Uuid>,
}

/// What the sweeper asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Every stream has ended and nothing came for this long.
    Complete {
        /// The streams as found.
        found: Count,
        /// How long nothing came, in seconds.
        idle_s: u64,
    },
    /// Something came, or changed, after the study was completed.
    Reopen {
        /// The streams as found.
        found: Count,
    },
}

/// Why a command adds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What stands says the same.
    #[error("already done: the study stands so")]
    AlreadyDone,
    /// A stream has no end yet.
    #[error("not yet: a stream of the study has no end")]
    NotEnded,
    /// The study stands completed with other counts: it is reopened first.
    #[error("out of order: the study stands completed and is reopened first")]
    ReopenFirst,
    /// The study has no object.
    #[error("the study has no object")]
    Empty,
}

impl Study {
    /// Returns the study that these events tell of.
    ///
    /// # Errors
    /// The first event that cannot stand where it does.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, crate::upload::Misplaced> {
        let mut study = Self::default();
        for event in events {
            study.apply(event)?;
        }
        Ok(study)
    }

    /// Returns the counts under which the study stands completed; `None` if it is open.
    pub const fn completed(&self) -> Option<Count> {
        self.completed
    }

    /// Takes in the next event of the stream.
    ///
    /// # Errors
    /// An event that cannot stand here; the study is then unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<(), crate::upload::Misplaced> {
        let misplaced = |why| crate::upload::Misplaced { event_type: event.event_type(), why };
        match &event.data {
            EventData::StudyCompleted(said) => {
                let ended = said.delivered.checked_add(said.quarantined).and_then(|sum| sum.checked_add(said.failed));
                if ended != Some(said.instances) {
                    return Err(misplaced("its counts do not add up"));
                }
                if self.completed.is_some() {
                    return Err(misplaced("the study stands completed"));
                }
                self.completed = Some(Count {
                    delivered: said.delivered,
                    quarantined: said.quarantined,
                    failed: said.failed,
                    open: 0,
                });
            }
            EventData::StudyReopened(said) => match self.completed {
                None => return Err(misplaced("the study is open")),
                Some(count) if count.instances() != said.instances_before => {
                    return Err(misplaced("it names another count than the study was completed with"));
                }
                Some(_) => self.completed = None,
            },
            _ => return Err(misplaced("it is no event of a study")),
        }
        self.events += 1;
        self.opened_by = self.opened_by.or(Some(event.id));
        self.last_event = Some(event.id);
        Ok(())
    }

    /// Returns the command that brings the stream to what was found: `idle_s` is how long nothing came, if that is long
    /// enough to complete the study.
    pub fn due(&self, found: Count, idle_s: Option<u64>) -> Option<Command> {
        match (self.completed, idle_s) {
            (Some(stands), _) if stands != found => Some(Command::Reopen { found }),
            (None, Some(idle_s)) if found.open == 0 && found.instances() > 0 => {
                Some(Command::Complete { found, idle_s })
            }
            _ => None,
        }
    }

    /// Decides on `command` about the study `about`, at `time`.
    ///
    /// # Errors
    /// [`Refusal`], when it adds nothing.
    pub fn decide(
        &self,
        stream: StreamId,
        about: IndexHash,
        command: &Command,
        time: Time,
    ) -> Result<(Uuid, Vec<Event>), Refusal> {
        let tags = vec![Tag { kind: TagKind::Study, hash: about }];
        let (name, data): (_, EventData) = match (command, self.completed) {
            (Command::Complete { found, .. }, _) if found.open > 0 => return Err(Refusal::NotEnded),
            (Command::Complete { found, .. }, _) if found.instances() == 0 => return Err(Refusal::Empty),
            (Command::Complete { found, .. }, Some(stands)) if stands == *found => return Err(Refusal::AlreadyDone),
            (Command::Complete { .. }, Some(_)) => return Err(Refusal::ReopenFirst),
            (Command::Reopen { found }, Some(stands)) if stands == *found => return Err(Refusal::AlreadyDone),
            (Command::Reopen { .. }, None) => return Err(Refusal::AlreadyDone),
            (Command::Complete { found, idle_s }, None) => {
                let Count { delivered, quarantined, failed, .. } = *found;
                let (instances, idle_s) = (found.instances(), *idle_s);
                let said = StudyCompleted { instances, delivered, quarantined, failed, idle_s, tags };
                ("complete_study", said.into())
            }
            (Command::Reopen { .. }, Some(stands)) => {
                ("reopen_study", StudyReopened { instances_before: stands.instances(), tags }.into())
            }
        };
        // The place in the stream is the run: two sweepers that decide on the same state make the same decision.
        let id = ids::decision_id(&DecisionInput {
            stream,
            command: name,
            step: SWEEPER,
            step_version: 1,
            profile_digest: "-",
            input_digest: "-",
            run: &self.events.to_string(),
        });
        let decision = Decision { id, stream, time, correlation_id: self.opened_by, causation_id: self.last_event };
        Ok((id, Event::of(&decision, vec![data])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;
    use crate::ids::KeyedHash;

    const STREAM: StreamId = StreamId(KeyedHash([5; 16]));
    const ABOUT: IndexHash = IndexHash { version: 1, hash: KeyedHash([6; 16]) };
    const THREE: Count = Count { delivered: 2, quarantined: 1, failed: 0, open: 0 };
    const FOUR: Count = Count { delivered: 2, quarantined: 1, failed: 1, open: 0 };

    fn tags() -> Vec<Tag> {
        vec![Tag { kind: TagKind::Study, hash: ABOUT }]
    }

    fn completed(count: Count, idle_s: u64) -> EventData {
        let Count { delivered, quarantined, failed, .. } = count;
        StudyCompleted { instances: count.instances(), delivered, quarantined, failed, idle_s, tags: tags() }.into()
    }

    fn reopened(instances_before: u64) -> EventData {
        StudyReopened { instances_before, tags: tags() }.into()
    }

    fn stored(seq: usize, data: EventData) -> Event {
        let decision = Decision {
            id: Uuid::from_u128(seq as u128),
            stream: STREAM,
            time: Time::from_unix_ms(0),
            correlation_id: None,
            causation_id: None,
        };
        let body = events::body(&Event::of(&decision, vec![data]));
        events::read(&body).expect("a body that was just written reads").remove(0)
    }

    struct Given(Study);

    fn given(data: impl IntoIterator<Item = EventData>) -> Given {
        let events: Vec<_> = data.into_iter().enumerate().map(|(seq, data)| stored(seq, data)).collect();
        Given(Study::of(&events).expect("a test is given events that can stand"))
    }

    impl Given {
        fn when(&self, command: Command) -> Result<Vec<EventData>, Refusal> {
            let decided = self.0.decide(STREAM, ABOUT, &command, Time::from_unix_ms(0));
            decided.map(|(_, events)| events.into_iter().map(|event| event.data).collect())
        }
    }

    const fn complete(found: Count) -> Command {
        Command::Complete { found, idle_s: 600 }
    }

    #[test]
    fn a_study_whose_streams_have_ended_is_completed_with_the_counts_as_found() {
        assert_eq!(given([]).when(complete(FOUR)), Ok(vec![completed(FOUR, 600)]));
    }

    #[test]
    fn a_study_with_an_open_stream_or_without_one_is_not_completed() {
        assert_eq!(given([]).when(complete(Count { open: 1, ..THREE })), Err(Refusal::NotEnded));
        assert_eq!(given([]).when(complete(Count::default())), Err(Refusal::Empty));
    }

    #[test]
    fn what_stands_is_not_said_again() {
        let stands = given([completed(THREE, 600)]);
        assert_eq!(stands.when(complete(THREE)), Err(Refusal::AlreadyDone));
        assert_eq!(stands.when(Command::Reopen { found: THREE }), Err(Refusal::AlreadyDone));
        assert_eq!(given([]).when(Command::Reopen { found: THREE }), Err(Refusal::AlreadyDone));
    }

    #[test]
    fn a_late_object_reopens_the_study_which_is_then_completed_again() {
        let stands = given([completed(THREE, 600)]);
        assert_eq!(stands.when(complete(FOUR)), Err(Refusal::ReopenFirst));
        assert_eq!(stands.when(Command::Reopen { found: FOUR }), Ok(vec![reopened(3)]));
        let open = given([completed(THREE, 600), reopened(3)]);
        assert_eq!(open.when(complete(FOUR)), Ok(vec![completed(FOUR, 600)]));
    }

    #[test]
    fn the_due_command_is_one_that_is_not_refused() {
        let open = Count { open: 1, ..THREE };
        for (stands, found, idle) in [
            (vec![], THREE, Some(600)),
            (vec![completed(THREE, 600)], FOUR, Some(600)),
            (vec![completed(THREE, 600)], open, None),
            (vec![completed(THREE, 600), reopened(3)], FOUR, Some(700)),
        ] {
            let given = given(stands);
            let command = given.0.due(found, idle).expect("something is due");
            assert!(given.when(command).is_ok(), "{command:?}");
        }
        assert_eq!(given([completed(THREE, 600)]).0.due(THREE, Some(900)), None);
        assert_eq!(given([]).0.due(THREE, None), None, "not idle for long enough");
        assert_eq!(given([]).0.due(open, Some(600)), None);
    }

    #[test]
    fn the_same_decision_has_the_same_id_and_the_next_another() {
        let id = |study: &Study, command| study.decide(STREAM, ABOUT, &command, Time::from_unix_ms(0)).expect("due").0;
        let first = given([]).0;
        assert_eq!(id(&first, complete(THREE)), id(&first, complete(FOUR)), "the slot is decided on once");
        let again = given([completed(THREE, 600), reopened(3)]).0;
        assert_ne!(id(&first, complete(THREE)), id(&again, complete(THREE)));
    }

    #[test]
    fn events_that_cannot_stand_are_refused_by_the_fold() {
        let twice = [stored(0, completed(THREE, 1)), stored(1, completed(FOUR, 1))];
        assert_eq!(Study::of(&twice).expect_err("refused").why, "the study stands completed");
        assert_eq!(Study::of(&[stored(0, reopened(3))]).expect_err("refused").why, "the study is open");
        let other = [stored(0, completed(THREE, 1)), stored(1, reopened(4))];
        assert!(Study::of(&other).is_err());
        let wrong = StudyCompleted { instances: 9, delivered: 1, quarantined: 1, failed: 1, idle_s: 0, tags: tags() };
        assert_eq!(Study::of(&[stored(0, wrong.into())]).expect_err("refused").why, "its counts do not add up");
    }
}
