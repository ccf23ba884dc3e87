//! The steps, one a file. Each reads what it needs, asks `domain` what follows, and records it; doing one twice equals
//! doing it once.

use domain::workflow::Step;

use crate::error::Result;
use crate::pipeline::{Pipeline, Work};
use crate::runner::turnstile::{Place, Turnstile};

pub mod deidentification;
pub mod delivery;
pub mod ingestion;
pub mod intake;
pub mod quarantine;
pub mod record_failure;
pub mod validation;

/// The place of an object in the order of delivery of its run.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// The order.
    pub turnstile: &'a Turnstile,
    /// The object's place in it.
    pub place: Place,
}

/// Runs one try of a step on the work in hand, unless the stream says that it is done.
///
/// # Errors
/// What the step table's `walk` decides on: a rejection, a transient failure, or something broken.
pub async fn run(pipeline: &Pipeline, work: &mut Work, step: Step, turn: Turn<'_>) -> Result<()> {
    match step {
        Step::Quarantine => return quarantine::run(pipeline, work).await,
        Step::RecordFailure => return record_failure::run(pipeline, work).await,
        _ => {}
    }
    // A step that is done answers at once; one that is not due is refused where it would be recorded.
    if work.upload.next_step().is_none_or(|due| due > step) {
        return Ok(());
    }
    match step {
        Step::Ingestion => ingestion::run(pipeline, work).await,
        Step::Validation => validation::run(pipeline, work).await,
        Step::Deidentification => deidentification::run(pipeline, work).await,
        Step::Delivery => delivery::run(pipeline, work, turn).await,
        Step::Intake | Step::Quarantine | Step::RecordFailure => Ok(()),
    }
}
