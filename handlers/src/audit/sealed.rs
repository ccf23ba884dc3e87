//! One log against its checkpoints and its published tiles, in the same reading in which its entries are verified.
//!
//! Memory: the checkpoints that were given, a page of those that the store keeps, the edge of the tree.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ledger::note::{NOTE_BYTES_MAX, VerifierKey};
use ledger::verify::{Code, Finding, Report};
use ledger::{Frontier, Origin, Peek, RootHash, SealRow, kept_checkpoints, seal_facts};

use super::tiles::{Found, Tiles};
use super::trust::{self, Outside, Signed, Trust};
use crate::commit::ledger_error;
use crate::error::Result;
use crate::sealer::disk::open_plain;

/// Checkpoints of the store that are held in memory at once.
const PAGE: u32 = 256;
/// How many checkpoints the store may keep that are newer than the published one: a sealer keeps one, then publishes it.
const UNPUBLISHED_MAX: u64 = 1;

/// What was seen of the seals of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Size of the published checkpoint, if its signature verified.
    pub published: Option<u64>,
    /// How many checkpoints the store keeps, and the size of the newest.
    pub kept: u64,
    /// Of those, the newest.
    pub kept_newest: Option<u64>,
    /// How many witnesses that are trusted have signed the published checkpoint.
    pub witnesses: usize,
    /// Whether the keys came from outside the store.
    pub keys_given: bool,
    /// What became of each checkpoint that was given for this log: its number (from 0), its size, and whether the log agrees.
    pub given: Vec<(usize, Option<Signed>, bool)>,
    /// How many files of tiles and bundles were compared.
    pub files: u64,
    /// Of which file or checkpoint each finding is; the findings themselves are in the log's report.
    pub about: Vec<(Finding, String)>,
}

/// A size and root that somebody claims.
#[derive(Clone, Debug)]
struct Claim {
    size: u64,
    root: RootHash,
    what: String,
    /// Its place among those that were given.
    given: Option<usize>,
}

/// Compares while the log is read.
#[derive(Debug)]
pub(super) struct Watch {
    plan: Plan,
    seen: Seen,
}

/// What is known before the log is read.
#[derive(Debug)]
struct Plan {
    sealed: Sealed,
    trust: Trust,
    folder: PathBuf,
    /// By size.
    claims: Vec<Claim>,
    published: Option<(u64, RootHash)>,
    store: Option<PathBuf>,
    findings: Vec<Found>,
}

/// One reading.
#[derive(Debug, Default)]
struct Seen {
    next_claim: usize,
    kept: VecDeque<(u64, Option<Vec<u8>>)>,
    kept_from: u64,
    kept_count: u64,
    kept_newer: u64,
    /// The log is as it was sealed below this size.
    agreed: u64,
    differs: bool,
    size: u64,
    given_bad: Vec<usize>,
    tiles: Option<Tiles>,
    findings: Vec<Found>,
}

/// How the row that says how much is sealed is called.
const SEAL_ROW: &str = "the row of the sealed head";

fn whole(code: Code, what: &str) -> Found {
    (Finding { code, leaf_index: None, at_or_after: false }, what.to_owned())
}

impl Watch {
    /// Prepares for the log in the database `store` with this origin, published in `folder`. What is published is looked at before
    /// the log is, so that it is never ahead of it.
    pub(super) fn of_store(
        root: &Path,
        store: &Path,
        origin: &Origin,
        outside: &Outside,
        listed: &[VerifierKey],
    ) -> Result<Self> {
        let folder = crate::sealer::folder_of(root, origin);
        let mut plan = Plan::new(&folder, origin, outside, listed)?;
        let (row, newest) = seal_facts(store).map_err(|error| ledger_error("read how much is sealed", error))?;
        plan.sealed.kept_newest = newest;
        plan.store = Some(store.to_owned());
        match row {
            SealRow::None => {}
            SealRow::Bad => plan.findings.push(whole(Code::SealRow, SEAL_ROW)),
            SealRow::Sealed(size, root) => {
                let what = SEAL_ROW.to_owned();
                if newest.is_some_and(|newest| newest > size) || plan.published.is_some_and(|(at, _)| at > size) {
                    plan.findings.push(whole(Code::SealRow, &what));
                }
                plan.claims.push(Claim { size, root, what, given: None });
            }
        }
        // A checkpoint is kept before it is published.
        if let Some((size, _)) = plan.published.filter(|(size, _)| newest.is_none_or(|newest| newest < *size)) {
            plan.findings.push(whole(Code::CheckpointMissing, &format!("the kept checkpoint of size {size}")));
        }
        if plan.published.is_none() && newest.is_some() && !plan.has_checkpoint() {
            // A sealer that stopped between keeping its first checkpoint and publishing it leaves exactly one.
            let kept =
                kept_checkpoints(store, 0, u64::MAX, 2).map_err(|error| ledger_error("read checkpoints", error))?;
            if kept.len() > 1 {
                plan.findings.push(whole(Code::CheckpointMissing, "the published checkpoint"));
            }
        }
        Ok(Self::begun(plan))
    }

    /// Prepares for a log that is only there as it was published.
    pub(super) fn of_folder(folder: &Path, origin: &Origin, outside: &Outside, listed: &[VerifierKey]) -> Result<Self> {
        Ok(Self::begun(Plan::new(folder, origin, outside, listed)?))
    }

    fn begun(mut plan: Plan) -> Self {
        plan.claims.sort_by_key(|claim| claim.size);
        let mut watch = Self { plan, seen: Seen::default() };
        watch.begin();
        watch
    }

    /// The size and root of the published checkpoint, if it is believed.
    pub(super) fn published(&self) -> Option<(u64, RootHash)> {
        self.plan.published
    }

    /// Reading begins, maybe anew.
    pub(super) fn begin(&mut self) {
        let published = self.plan.published.map_or(0, |(size, _)| size);
        let tiles = self.plan.folder.join("tile").is_dir() || published > 0;
        self.seen = Seen { tiles: tiles.then(|| Tiles::new(&self.plan.folder, published)), ..Seen::default() };
        self.claims_of(&Frontier::new());
    }

    /// Takes the next entry's header and the tree that ends with it.
    pub(super) fn leaf(&mut self, header: &[u8], tree: &Frontier) {
        self.seen.size = tree.size();
        if let Some(tiles) = &mut self.seen.tiles {
            tiles.push(header, tree);
        }
        self.claims_of(tree);
    }

    /// Compares every claim of the tree's size with the tree.
    fn claims_of(&mut self, tree: &Frontier) {
        while let Some(claim) = self.plan.claims.get(self.seen.next_claim).filter(|claim| claim.size == tree.size()) {
            let (size, root, what, given) = (claim.size, claim.root, claim.what.clone(), claim.given);
            self.seen.next_claim += 1;
            // The row of the sealed head accuses itself, not the entries.
            if what == SEAL_ROW && tree.root() != root {
                self.seen.findings.push(whole(Code::SealRow, SEAL_ROW));
            } else if what != SEAL_ROW && !self.seen.claim(size, root, tree, what) {
                self.seen.given_bad.extend(given);
            }
        }
        while let Some((size, note)) = self.next_kept(tree.size()) {
            self.seen.kept_count += 1;
            let published = self.plan.published.map_or(0, |(size, _)| size);
            self.seen.kept_newer += u64::from(size > published);
            let what = format!("the kept checkpoint of size {size}");
            match note.ok_or(Code::CheckpointForm).and_then(|note| self.plan.trust.read_kept(size, &note)) {
                Ok(checkpoint) => drop(self.seen.claim(size, checkpoint.root, tree, what)),
                Err(code) => self.seen.findings.push(whole(code, &what)),
            }
            self.seen.findings.truncate(ledger::verify::FINDINGS_MAX);
        }
    }

    /// The next checkpoint that the store keeps, if it is of this size or a smaller one.
    fn next_kept(&mut self, size: u64) -> Option<(u64, Option<Vec<u8>>)> {
        let newest = self.plan.sealed.kept_newest?;
        if self.seen.kept.is_empty() && self.seen.kept_from <= newest {
            let store = self.plan.store.as_ref()?;
            let page = kept_checkpoints(store, self.seen.kept_from, newest, PAGE).unwrap_or_else(|_| {
                self.seen.findings.push(whole(Code::CheckpointForm, "the checkpoints that are kept"));
                Vec::new()
            });
            self.seen.kept_from = page.last().map_or(newest + 1, |(size, _)| size + 1);
            self.seen.kept.extend(page);
        }
        if self.seen.kept.front()?.0 > size { None } else { self.seen.kept.pop_front() }
    }

    /// Says what was found: in the report, and in words. `report` is that of the entries.
    pub(super) fn finish(mut self, report: &mut Report) -> Sealed {
        let Plan { mut sealed, published, findings, claims, .. } = self.plan;
        let mut found = findings;
        // Where indices are missing nothing can be compared, and that was found.
        let readable = report.root.is_some();
        let rest = claims.iter().skip(self.seen.next_claim);
        for claim in rest.filter(|_| readable) {
            let code = if claim.what == SEAL_ROW { Code::SealRow } else { Code::CheckpointBeyond };
            let finding = Finding { code, leaf_index: Some(report.entries), at_or_after: false };
            found.push((finding, claim.what.clone()));
            self.seen.given_bad.extend(claim.given);
        }
        if readable && let Some(newest) = sealed.kept_newest.filter(|newest| *newest > self.seen.size) {
            let finding =
                Finding { code: Code::CheckpointBeyond, leaf_index: Some(report.entries), at_or_after: false };
            found.push((finding, format!("the kept checkpoint of size {newest}")));
        }
        if published.is_some() && self.seen.kept_newer > UNPUBLISHED_MAX {
            found.push(whole(Code::CheckpointOlder, "the published checkpoint"));
        }
        found.append(&mut self.seen.findings);
        let mut parting = None;
        if let Some(mut tiles) = self.seen.tiles.filter(|_| readable) {
            // Others may have appended and sealed since.
            let now = self.plan.store.and_then(|store| Peek::open(store).ok()).map_or(0, |peek| peek.head.size);
            tiles.finish(now.max(report.entries).max(published.map_or(0, |(size, _)| size)));
            sealed.files = tiles.compared;
            parting = tiles.parting(published.map(|(_, root)| root));
            found.extend(tiles.found);
        }
        found.iter().for_each(|(finding, _)| report.add(*finding));
        if let Some(index) = parting {
            report.pin(index);
        }
        for (number, signed, agrees) in &mut sealed.given {
            *agrees = signed.is_some() && readable && !self.seen.given_bad.contains(number);
        }
        sealed.kept = self.seen.kept_count;
        sealed.about = found;
        sealed.about.truncate(ledger::verify::FINDINGS_MAX);
        sealed
    }
}

impl Seen {
    /// Whether the tree is the one that is claimed.
    fn claim(&mut self, size: u64, root: RootHash, tree: &Frontier, what: String) -> bool {
        if tree.root() == root {
            if !self.differs {
                self.agreed = size;
            }
            return true;
        }
        self.differs = true;
        // Without any entry, no entry is wrong.
        let leaf_index = (size > 0).then_some(self.agreed);
        let finding = Finding { code: Code::CheckpointRoot, leaf_index, at_or_after: size > 0 };
        self.findings.push((finding, what));
        self.findings.truncate(ledger::verify::FINDINGS_MAX);
        false
    }
}

impl Plan {
    fn new(folder: &Path, origin: &Origin, outside: &Outside, listed: &[VerifierKey]) -> Result<Self> {
        let trust = Trust::of(origin, outside, listed);
        let sealed = Sealed { keys_given: !outside.keys.is_empty(), ..Sealed::default() };
        let (published, findings, claims) = (None, Vec::new(), Vec::new());
        let mut plan = Self { sealed, trust, folder: folder.to_owned(), claims, published, store: None, findings };
        let what = "the published checkpoint";
        let bytes = read_note(&folder.join(crate::sealer::folder::CHECKPOINT));
        // Where checkpoints are given, the quorum is asked of those: the published one may be younger than its cosignatures.
        let given = !outside.checkpoints.is_empty();
        let read = |bytes: Vec<u8>| if given { plan.trust.read_published(&bytes) } else { plan.trust.read(&bytes) };
        match bytes.map(read) {
            None => {}
            Some(Err(code)) => plan.findings.push(whole(code, what)),
            Some(Ok(signed)) => {
                let (size, root) = (signed.checkpoint.size, signed.checkpoint.root);
                plan.published = Some((size, root));
                (plan.sealed.published, plan.sealed.witnesses) = (Some(size), signed.witnesses);
                plan.claims.push(Claim { size, root, what: what.to_owned(), given: None });
            }
        }
        for (number, bytes) in outside.checkpoints.iter().enumerate() {
            if trust::origin_of(bytes).as_ref() == Some(origin) {
                plan.given(number, bytes);
            }
        }
        Ok(plan)
    }

    fn given(&mut self, number: usize, bytes: &[u8]) {
        let what = given_name(number);
        let signed = match self.trust.read(bytes) {
            Ok(signed) => signed,
            Err(code) => {
                self.findings.push(whole(code, &what));
                return self.sealed.given.push((number, None, false));
            }
        };
        let (size, root) = (signed.checkpoint.size, signed.checkpoint.root);
        self.claims.push(Claim { size, root, what, given: Some(number) });
        self.sealed.given.push((number, Some(signed), false));
    }

    fn has_checkpoint(&self) -> bool {
        self.folder.join(crate::sealer::folder::CHECKPOINT).exists()
    }
}

/// How a checkpoint that was given is called.
pub(super) fn given_name(number: usize) -> String {
    format!("the checkpoint given as number {}", number + 1)
}

/// Reads a note; one that is too long is cut, and then none. A file that is there and cannot be read is an empty note, which is none.
fn read_note(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match open_plain(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(bytes),
        Ok(file) => {
            let read = file.take(NOTE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
            Some(if read.is_ok() { bytes } else { Vec::new() })
        }
    }
}
