//! Gathering a compliance report: one reading of the store verifies every entry and feeds the report's fold, so the verdict in
//! the report is about the very entries that it counts.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use compliance::report::sealing::CHECKPOINTS_MAX;
use compliance::report::{Finding, Fold, Integrity, Report, Sampled, Scope, Sealing};
use domain::Phi;
use domain::events::{Digest, EventData, ReportExported, ReportFormat, ReportScope, Tag, TagKind};
use domain::ids::IndexHash;
use ledger::note::VerifierKey;
use ledger::{Peek, StreamKey, verify};

use crate::acting::{self, Person};
use crate::ask;
use crate::audit::{Audit, audit_with};
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::sealer;
use crate::store::Store;
use crate::surroundings::Surroundings;

/// Verifies the store at `root` and returns the report of its first `as_of` entries; `None` for all that there are.
/// The headers of the sample are still empty: see [`fill_sample`].
///
/// # Errors
/// When the verification did not take place, and `as_of_beyond` when the log has fewer entries.
pub fn gather(root: &Path, scope: Scope, as_of: Option<u64>) -> Result<Report> {
    let kept = Kept::of(root, as_of)?;
    let mut fold = Fold::new(scope, as_of).with_root_at(kept.newest.as_ref().map(|(size, _)| *size));
    // An entry whose events this program cannot read is a finding of the audit; the fold counts it in the chain.
    let audit = audit_with(root, &mut |index, header, events| fold.push(index, header, events.unwrap_or_default()))?;
    let sealing = kept.sealing(&fold, as_of.unwrap_or(u64::MAX).min(audit.ledger.entries))?;
    let report = fold.finish(integrity(&audit), sealing);
    match as_of {
        Some(wanted) if audit.is_sound() && report.seal.size < wanted => {
            Err(Error::broken("as_of_beyond", "make a report of more entries than the log has"))
        }
        _ => Ok(report),
    }
}

/// The checkpoints that a store keeps of its present log.
struct Kept {
    peek: Option<Peek>,
    /// The newest up to the size that the report is of.
    newest: Option<(u64, String)>,
    keys: Vec<VerifierKey>,
}

impl Kept {
    fn of(root: &Path, as_of: Option<u64>) -> Result<Self> {
        // What cannot be looked at is told by the verification.
        let peek = Peek::open(root.join("ledger.sqlite")).ok();
        let up_to = peek.as_ref().map_or(0, |peek| peek.head.size.min(as_of.unwrap_or(u64::MAX)));
        let newest = match &peek {
            Some(peek) => checkpoints(peek, 1..=up_to, 1)?.1.pop(),
            None => None,
        };
        let origin = peek.as_ref().map(|peek| peek.origin.as_str());
        let mut keys = sealer::verifier_keys(root)?;
        keys.retain(|key| origin == Some(key.name()));
        Ok(Self { peek, newest, keys })
    }

    /// Says how far the entries that the fold has read are sealed; listed are the checkpoints that seal those in scope.
    fn sealing(self, fold: &Fold, size: u64) -> Result<Sealing> {
        let sealed = self.newest.as_ref().map_or(0, |(sealed, _)| *sealed);
        let (count, notes) = match (&self.peek, fold.leaves()) {
            (Some(peek), Some((first, last))) if first < sealed => {
                // Up to the one that seals the last entry in scope.
                let end = peek.checkpoint_of(last).map_err(unread)?.unwrap_or(sealed).min(sealed);
                checkpoints(peek, first + 1..=end, CHECKPOINTS_MAX)?
            }
            _ => (0, Vec::new()),
        };
        Ok(Sealing::of(size, (count, &notes), self.newest, fold.root_at(), &self.keys))
    }
}

fn checkpoints(peek: &Peek, sizes: RangeInclusive<u64>, limit: usize) -> Result<(u64, Vec<(u64, String)>)> {
    peek.checkpoints(sizes, limit).map_err(unread)
}

fn unread(error: ledger::Error) -> Error {
    ledger_error("read the checkpoints of the log", error)
}

fn integrity(audit: &Audit) -> Integrity {
    let misstep = audit
        .misstep
        .iter()
        .map(|misstep| Finding::step_order(misstep.leaf_index, misstep.why).of_log(misstep.log.clone()));
    let of_past = |(log, report): &(String, verify::Report)| {
        report.findings.iter().map(|found| Finding::from(found).of_log(Some(log.clone()))).collect::<Vec<_>>()
    };
    let past = audit.past.iter().flat_map(of_past);
    Integrity {
        sound: audit.is_sound(),
        verified: audit.ledger.entries,
        proved_below: audit.ledger.proved_below,
        findings_count: audit.ledger.findings_count
            + u64::from(audit.misstep.is_some())
            + audit.past.iter().map(|(_, report)| report.findings_count).sum::<u64>(),
        findings: past.chain(audit.ledger.findings.iter().map(Finding::from)).chain(misstep).collect(),
    }
}

/// Returns the scope of one study, named as `medimg history` takes it, and the study's keyed hash.
///
/// # Errors
/// `study_unknown`, `study_ambiguous`; what the ledger says otherwise.
pub async fn study(store: &Store, name: &Phi<String>) -> Result<(Scope, Option<IndexHash>)> {
    let (entries, about) = ask::study(store, name).await?;
    let firsts = entries.iter().filter_map(|stream| stream.first());
    let streams: BTreeSet<StreamKey> = firsts.map(|entry| entry.header.stream).collect();
    Ok((Scope::Study { streams, subject: about.map(|hash| hash.to_string()) }, about))
}

/// Reads the headers of the drawn entries. One that cannot be read back stays empty, and the page says so.
pub async fn fill_sample(store: &Store, report: &mut Report) {
    for Sampled { leaf_index, header, leaf, .. } in &mut report.sample.entries {
        let page = ask::page(store, *leaf_index, *leaf_index + 1).await.unwrap_or_default();
        if let Some(row) = page.into_iter().find(|row| row.leaf_index == *leaf_index) {
            *leaf = row.entry.leaf.base64();
            *header = String::from_utf8(row.entry.header_bytes).unwrap_or_default();
        }
    }
}

/// A report as a file, whole and durable, not yet under its name.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Its form.
    pub format: ReportFormat,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// How many bytes.
    pub size_bytes: u64,
    /// The size of the log that it is of.
    pub as_of_size: u64,
}

/// Records that a person made a report; `about` is the study, if it is of one. A report that cannot be recorded is not given.
///
/// # Errors
/// What the ledger says.
pub async fn record(
    store: &Store,
    surroundings: &dyn Surroundings,
    person: Person,
    made: &Made,
    (scope, about): (ReportScope, Option<IndexHash>),
) -> Result<()> {
    let Made { format, sha256, size_bytes, as_of_size } = *made;
    let study = about.map(|hash| Tag { kind: TagKind::Study, hash });
    let tags = [person.tag()].into_iter().chain(study).collect();
    let did = EventData::from(ReportExported { format, scope, as_of_size, sha256, size_bytes, tags });
    acting::record(store.ledger.as_ref(), &store.keys, surroundings, person, about, did).await
}
