//! Which streams a request means, read from the log page by page: only the headers' types and times are looked at here.

use std::collections::HashSet;

use domain::events::RunId;
use domain::ids::{KeyedHash, StreamId};
use domain::upload::Which;
use ledger::{Entry, Log, READ_ENTRIES_MAX, StreamKey};

use super::{Request, Span};
use crate::commit::ledger_error;
use crate::error::{Error, Result};

/// Streams that one replay may mean.
pub const SELECTED_MAX: usize = 1_000_000;

/// The streams found, in no order, and how much of the log they were found in.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The streams of objects.
    pub streams: Vec<StreamId>,
    /// The size of the log.
    pub as_of_size: u64,
}

/// Returns the streams that the request may be about, and those on which `run` has worked already.
///
/// # Errors
/// `selection_too_large`, and what the ledger says.
pub async fn select(log: &dyn Log, request: &Request, run: Option<&RunId>) -> Result<Selected> {
    let selection = &request.selection;
    let as_of_size = log.head().await.map_err(|error| ledger_error("read the head of the ledger", error))?.size;
    let wants_failed = selection.failed || request.which() != Which::All;
    // A study's streams are known; which of them failed, and which a run that goes on has done, is judged one by one.
    if let (Some(study), None) = (&selection.study, selection.span) {
        return Ok(Selected { streams: study.streams.clone(), as_of_size });
    }
    let mut seen = Seen::default();
    let mut from = 0;
    while from < as_of_size {
        let limit = usize::try_from(as_of_size - from).unwrap_or(usize::MAX).min(READ_ENTRIES_MAX);
        let page = log.entries(from, limit).await.map_err(|error| ledger_error("read the ledger", error))?;
        let Some(last) = page.last() else { break };
        from = last.leaf_index + 1;
        for row in &page {
            seen.take_in(&row.entry, selection.span, run);
        }
        if seen.failed.len().max(seen.in_span.len()).max(seen.of_run.len()) > SELECTED_MAX {
            let tried = format!("select streams for a replay: more than {SELECTED_MAX} are meant");
            return Err(Error::damaged("selection_too_large", tried, None));
        }
    }
    let mut found = match (selection.span.is_some(), wants_failed) {
        (true, true) => seen.in_span.intersection(&seen.failed).copied().collect(),
        (true, false) => seen.in_span,
        (false, _) => seen.failed,
    };
    found.extend(seen.of_run);
    if let Some(study) = &selection.study {
        let of_study: HashSet<StreamKey> = study.streams.iter().map(|stream| StreamKey(stream.0.0)).collect();
        found.retain(|stream| of_study.contains(stream));
    }
    Ok(Selected { streams: found.into_iter().map(|stream| StreamId(KeyedHash(stream.0))).collect(), as_of_size })
}

/// What was read of the log so far. What failed and was taken up again is failed no more.
#[derive(Debug, Default)]
struct Seen {
    failed: HashSet<StreamKey>,
    in_span: HashSet<StreamKey>,
    of_run: HashSet<StreamKey>,
}

impl Seen {
    fn take_in(&mut self, entry: &Entry, span: Option<Span>, run: Option<&RunId>) {
        let header = &entry.header;
        let mut marks = false;
        for event_type in header.types.iter() {
            match event_type {
                "imaging.processing.failed.v1" => {
                    self.failed.insert(header.stream);
                    marks = true;
                }
                "imaging.object.received.v1" | "imaging.instance.delivered.v1" | "imaging.instance.quarantined.v1" => {
                    marks = true;
                }
                // The first entry of a stream is never an object's: there it is the request as a whole.
                "imaging.replay.requested.v1" if header.seq > 0 => {
                    self.failed.remove(&header.stream);
                    if run.is_some_and(|run| entry.body.contains(run.as_str())) {
                        self.of_run.insert(header.stream);
                    }
                }
                _ => {}
            }
        }
        let at_ms = header.recorded_at.unix_ms();
        if marks && span.is_some_and(|span| (span.from_ms..span.to_ms).contains(&at_ms)) {
            self.in_span.insert(header.stream);
        }
    }
}
