//! Walks the step table for one object.

use std::time::Duration;

use domain::workflow::{Move, Step, Try, walk};

use super::{Runner, is_recorded};
use crate::commit;
use crate::error::{Error, Result};
use crate::pipeline::{Failure, Raw, Work};
use crate::steps::{self, Turn};

impl Runner {
    /// Runs steps until the table says that the work ends.
    ///
    /// # Errors
    /// What stops the run: the stream stays open, and the next run takes it up.
    pub(super) async fn walk(&self, work: &mut Work, start: Step, turn: Turn<'_>) -> Result<()> {
        let mut attempt = Try::first(start);
        // Steps of an object in memory take less than a commit of the ledger: their entries go in together, and what the
        // steps made of the object is let go before anybody waits.
        work.holds = matches!(work.raw, Some(Raw::Memory(_)));
        // Bounded: steps only lead forward, and the table bounds the retries of each; held entries fall behind once.
        loop {
            if self.stops() {
                // What is decided is recorded if it can be, so that nobody does it again.
                return match commit::settle(&self.shared.pipeline, work).await {
                    Err(error) if error.stops_the_run() => Err(error),
                    _ => Ok(()),
                };
            }
            self.shared.observer.step(work.stream, attempt.step);
            let outcome = match steps::run(&self.shared.pipeline, work, attempt.step, turn).await {
                Ok(()) => Ok(()),
                Err(error) if error.stops_the_run() => return Err(error),
                Err(error) => {
                    let kind = error.kind();
                    work.failure = Some(failure(&error, attempt));
                    tracing::debug!(stream = %work.stream, step = attempt.step.name(), code = error.code(), "step failed");
                    Err(kind)
                }
            };
            self.tell_operators(work);
            if std::mem::take(&mut work.behind) {
                match work.upload.next_step() {
                    Some(due) => attempt = Try::first(due),
                    None => return Ok(()),
                }
                continue;
            }
            match walk(attempt, outcome) {
                Move::Go(step) => attempt = Try::first(step),
                Move::Again { next, delay_ms } => {
                    let delay_ms = delay_ms.min(self.shared.limits.retry_delay_ms_max);
                    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                    attempt = next;
                }
                Move::End(end) if is_recorded(end) => return Ok(()),
                Move::End(_) => return Err(Error::damaged("not_recorded", "record that an object failed", None)),
            }
        }
    }

    /// Rules that only notify are set off by what the last step recorded.
    fn tell_operators(&self, work: &mut Work) {
        for event in std::mem::take(&mut work.news) {
            self.started_step(work, &event);
        }
    }
}

fn failure(error: &Error, attempt: Try) -> Failure {
    let rejection = match error {
        Error::Rejected(rejection) => Some(rejection.clone()),
        _ => None,
    };
    Failure { step: attempt.step, kind: error.kind(), code: error.code(), rejection, attempts: attempt.attempt }
}
