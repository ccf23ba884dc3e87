//! The dry run that reads no object: the same selection, the same judgement, `decide` and `apply` on what the ledger says,
//! the rule table for what the request would set off and the step table for the steps behind it. Sources are looked at
//! (is it there, has it the size that was received), not read. What a step would find in the bytes is not foretold.

use domain::events::{RunId, Time};
use domain::upload::{Command, Kept};
use domain::workflow::{Move, Step, Try, walk};
use ledger::Log;

use super::judge::{Judged, in_order_of_receipt};
use super::select::select;
use super::{Left, Request, Why};
use crate::bus::Bus;
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Work};

/// Streams without an end that are counted; a store that was stopped has no more than were in flight.
const UNFINISHED_MAX: usize = 1_000_000;

/// What a replay would do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The size of the log that this is of.
    pub as_of_size: u64,
    /// Streams without an end, which a run would take up first.
    pub unfinished: u64,
    /// Streams that would be taken up again.
    pub streams: u64,
    /// Steps that would be done again, if each goes through.
    pub steps: u64,
    /// Objects that would be delivered, if each step goes through.
    pub deliver: u64,
    /// Objects that would not be delivered again: their keys hold the same bytes.
    pub already_done: u64,
    /// Objects that were delivered under another profile: other bytes under their keys would be refused as `dup_conflict`.
    pub may_conflict: u64,
    /// Of the streams, those that would wait because the rule is switched off.
    pub waiting: u64,
    /// Streams that would stay as they are, with the cause.
    pub left: Vec<Left>,
}

/// Returns what this request would do. Writes nothing.
///
/// # Errors
/// What the ledger and `sources` say.
pub async fn plan(pipeline: &Pipeline, bus: &Bus, log: &dyn Log, request: &Request) -> Result<Plan> {
    let unfinished = pipeline.sources.open_streams(UNFINISHED_MAX)?.len() as u64;
    let selected = select(log, request, None).await?;
    // The run that would be: no stream knows it.
    let run = RunId::replay(uuid::Uuid::nil());
    let asked = request.asked(pipeline, run);
    let mut judged = Judged::default();
    let mut plan = Plan { as_of_size: selected.as_of_size, unfinished, ..Plan::default() };
    for stream in in_order_of_receipt(pipeline, selected.streams)? {
        let mut work = Work::new(stream);
        let Some(command) = judged.judge(pipeline, &mut work, &asked).await? else { continue };
        match plan.foresee(pipeline, bus, work, &command).await {
            Err(error) if error.stops_the_run() => return Err(error),
            Err(error) => judged.left.push(Left { stream, why: Why::Failed(error.code()) }),
            Ok(()) => {}
        }
    }
    plan.left = judged.left;
    plan.already_done += plan.left.iter().filter(|left| left.why == Why::Kept(Kept::AlreadyDone)).count() as u64;
    Ok(plan)
}

impl Plan {
    async fn foresee(&mut self, pipeline: &Pipeline, bus: &Bus, mut work: Work, command: &Command) -> Result<()> {
        pipeline.look_at_source(&mut work).await?;
        let delivered = work.upload.delivered().is_some();
        let same_profile = work.upload.made_under().is_none_or(|recorded| recorded == pipeline.profile_digest);
        let refused = |_| Error::broken("contradiction", "decide on a replay that was judged to be admitted");
        let decided = work.upload.decide(work.stream, command, Time::from_unix_ms(0)).map_err(refused)?;
        let mut begun = None;
        for event in &decided.events {
            work.take_in(event).map_err(|misplaced| Error::broken("contradiction", misplaced.to_string()))?;
            begun = begun.or(bus.begins(&event.data, work.upload.next_step()));
        }
        self.streams += 1;
        let Some(begun) = begun else {
            self.waiting += 1;
            return Ok(());
        };
        self.steps += steps_from(begun);
        match (delivered, same_profile) {
            (false, _) => self.deliver += 1,
            (true, true) => self.already_done += 1,
            (true, false) => self.may_conflict += 1,
        }
        Ok(())
    }
}

/// Returns how many steps the table walks from `step` to the end if each goes through.
fn steps_from(step: Step) -> u64 {
    let (mut at, mut steps) = (step, 1);
    // Bounded: steps only lead forward.
    while let Move::Go(next) = walk(Try::first(at), Ok(())) {
        (at, steps) = (next, steps + 1);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_behind_a_step_are_those_of_the_table() {
        let steps = [Step::Ingestion, Step::Validation, Step::Deidentification, Step::Delivery].map(steps_from);
        assert_eq!(steps, [4, 3, 2, 1]);
    }
}
