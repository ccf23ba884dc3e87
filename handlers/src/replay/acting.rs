//! The stream of a replay itself: its first entry says who asked for what, its last how it came out.

use domain::events::{
    Digest, Event, EventData, ReplayCause, ReplayCompleted, ReplayRequested, ReplayScope, RunId, Tag, TagKind, Time,
};
use domain::ids::{self, DecisionInput, StreamId};
use domain::workflow::Step;
use ledger::{Nonce, StreamKey, Tip, UtcMillis};
use uuid::Uuid;

use super::judge::{Counts, Judged};
use super::{Left, Request, skipped};
use crate::acting::Person;
use crate::commit::{ledger_decision, ledger_error};
use crate::error::{Error, Result};
use crate::pipeline::Pipeline;

/// How often a lost answer is asked for again; the same decision finds its own entry.
const TRIES_MAX: u32 = 3;

/// A replay that is under way.
#[derive(Clone, Debug)]
pub struct Acting {
    id: Uuid,
    /// The id of the run, as events spell it.
    pub run: RunId,
    /// Whether an earlier call of the same request began it.
    pub continued: bool,
    stream: StreamId,
    tip: Tip,
    requested: Option<Uuid>,
}

impl Acting {
    /// Begins a replay, or goes on with the one that the same person asked for in the same words for the same reason and
    /// that did not come to its end.
    ///
    /// # Errors
    /// What the ledger and `sources` say.
    pub async fn begin(pipeline: &Pipeline, request: &Request) -> Result<Self> {
        for id in pipeline.sources.open_replays(request.digest(pipeline.profile_digest))? {
            let mut acting = Self::of(pipeline, id);
            let loaded = pipeline.ledger.load(acting.tip.stream()).await;
            let loaded = loaded.map_err(|error| ledger_error("load the stream of a replay", error))?;
            match loaded.entries.as_slice() {
                // Never recorded: the call was stopped before. What it noted is nobody's.
                [] => {
                    pipeline.sources.erase_notes(&[id])?;
                    pipeline.sources.end_replay(id)?;
                }
                [_] if pipeline.sources.note(id)?.is_none_or(|reason| reason != request.reason) => {}
                [requested] => {
                    acting.continued = true;
                    acting.requested = Some(ids::event_id(requested.header.decision_id, 0));
                    acting.tip = loaded.tip();
                    return Ok(acting);
                }
                _ => pipeline.sources.end_replay(id)?,
            }
        }
        let mut random = [0; 10];
        pipeline.surroundings.random(&mut random);
        let id = uuid::Builder::from_unix_timestamp_millis(pipeline.surroundings.now_ms(), &random).into_uuid();
        Ok(Self::of(pipeline, id))
    }

    fn of(pipeline: &Pipeline, id: Uuid) -> Self {
        let run = RunId::replay(id);
        let stream = pipeline.keys.run_stream(run.as_str());
        let tip = Tip::empty(StreamKey(stream.0.0));
        Self { id, run, continued: false, stream, tip, requested: None }
    }

    /// Records who asked for what, before anything is done, unless an earlier call did.
    ///
    /// # Errors
    /// What the ledger and `sources` say.
    pub async fn record_request(&mut self, pipeline: &Pipeline, request: &Request, judged: &Judged) -> Result<()> {
        if self.requested.is_some() {
            return Ok(());
        }
        let mut salt = [0; 16];
        pipeline.surroundings.random(&mut salt);
        pipeline.sources.begin_replay(self.id, request.digest(pipeline.profile_digest))?;
        let note_digest = pipeline.sources.keep_note(self.id, &request.reason, salt)?;
        // From here on the same request knows this replay again.
        let study = request.selection.study.as_ref();
        let about = study.and_then(|study| study.about);
        let mut tags: Vec<Tag> = pipeline.operator.iter().map(Person::tag).collect();
        tags.extend(about.map(|hash| Tag { kind: TagKind::Study, hash }));
        let first = judged.redo.iter().map(|redo| redo.from_step).min();
        let said = ReplayRequested {
            scope: if study.is_some() { ReplayScope::Study } else { ReplayScope::Selection },
            cause: ReplayCause::OperatorAsked,
            from_step: request.from_step.or(first).unwrap_or(Step::Ingestion),
            run: self.run.clone(),
            profile_digest: request.profile_given.then_some(pipeline.profile_digest),
            reason_given: true,
            streams: Some(judged.redo.len() as u64),
            note_digest: Some(note_digest),
            tags,
        };
        let profile = said.profile_digest;
        let decision = self.append(pipeline, "request_replay", profile, about, said.into()).await?;
        self.requested = Some(ids::event_id(decision, 0));
        Ok(())
    }

    /// Records how the replay came out.
    ///
    /// # Errors
    /// What the ledger and `sources` say.
    pub async fn record_end(
        &mut self,
        pipeline: &Pipeline,
        request: &Request,
        counts: &Counts,
        left: &[Left],
    ) -> Result<()> {
        let said = ReplayCompleted {
            run: self.run.clone(),
            streams: counts.streams,
            delivered: counts.delivered,
            quarantined: counts.quarantined,
            failed: counts.failed,
            already_done: Some(counts.already_done),
            steps: Some(counts.steps),
            skipped: skipped(left),
        };
        let about = request.selection.study.as_ref().and_then(|study| study.about);
        self.append(pipeline, "complete_replay", None, about, said.into()).await?;
        pipeline.sources.end_replay(self.id)
    }

    async fn append(
        &mut self,
        pipeline: &Pipeline,
        command: &str,
        profile: Option<Digest>,
        about: Option<ids::IndexHash>,
        data: EventData,
    ) -> Result<Uuid> {
        let profile = profile.map_or_else(|| "-".to_owned(), |digest| digest.to_string());
        let id = ids::decision_id(&DecisionInput {
            stream: self.stream,
            command,
            step: "operator",
            step_version: 1,
            profile_digest: &profile,
            input_digest: "-",
            run: self.run.as_str(),
        });
        let now_ms = pipeline.surroundings.now_ms();
        let said = domain::events::Decision {
            id,
            stream: self.stream,
            time: Time::from_unix_ms(i64::try_from(now_ms).unwrap_or(i64::MAX)),
            correlation_id: self.requested,
            causation_id: self.requested,
        };
        let actor = pipeline.operator.as_ref().map(Person::actor);
        let actor = actor.or_else(|| ledger::Actor::system(Step::Intake.name()));
        let actor = actor.ok_or_else(|| Error::broken("event_types", "name who asks for a replay"))?;
        let decision = ledger_decision(id, &Event::of(&said, vec![data]), about, actor)?;
        let mut lost = None;
        for _ in 0..TRIES_MAX {
            let (at, nonce) = (UtcMillis::from_unix_ms(now_ms), Nonce(pipeline.surroundings.nonce()));
            match pipeline.ledger.append(&self.tip, &decision, at, nonce).await {
                Ok(appended) => {
                    self.tip = appended.receipt().tip();
                    return Ok(id);
                }
                Err(error @ ledger::Error::Unknown { .. }) if !error.is_disk_full() => lost = Some(error),
                Err(error) => return Err(ledger_error("record a replay", error)),
            }
        }
        let gone = || Error::lost("ledger_unknown", "record a replay", "the ledger did not answer three times");
        Err(lost.map_or_else(gone, |error| ledger_error("record a replay", error)))
    }
}
