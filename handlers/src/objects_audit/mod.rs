//! The audit of the objects: is what lies in the store what the entries say, and does an entry name everything that lies there?
//! Every byte is read again. Writes nothing into the store, and needs no key (docs/adr/0012-objects-against-entries.md).
//!
//! Order: the entries first, as one state; then the listings, each name held against the entries; then what the entries call
//! delivered and no listing named. What was appended meanwhile is read before anything is called unknown.

mod bits;
mod claims;
mod report;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use domain::ids::StreamId;
use futures::stream::{FuturesUnordered, StreamExt as _};
use ledger::StreamKey;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use bits::Bits;
pub use claims::Claims;
use claims::{At, Claim};
pub use report::{Code, FINDINGS_MAX, Finding, Named, Remark, Report};

use crate::error::{Error, Result};
use crate::objects::stored::StoredFolders;
use crate::ports::objects::OutputKey;
use crate::ports::stored::{Area, Listed, Standing, Stored, StoredName};
use crate::pump::BLOCK;

/// Files that are read at a time for each worker: one is hashed while another waits for its disk.
const READS_PER_WORKER: usize = 2;

/// How far the audit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Files that were read.
    pub files: u64,
    /// Files that are to be read, if everything is as it was written.
    pub expected: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

/// Who is told how far the audit has come.
pub type Watch<'a> = dyn FnMut(Progress) + Send + 'a;

/// Holds the objects of the store at `root` against the claims of its log, with a runtime of its own. The claims took in every
/// entry of the log; of entries that do not verify nothing is claimed.
///
/// # Errors
/// When the audit did not take place: `store_io`, `scratch_io`, what the ledger says.
pub fn audit(claims: Claims, root: &Path, workers: usize, watch: &mut Watch<'_>) -> Result<Report> {
    let stored = Arc::new(StoredFolders::new(root)?);
    let failed = |error| Error::lost("scratch_io", "start the threads that read objects", error);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(workers.max(1)).build().map_err(failed)?;
    runtime.block_on(hold(claims, stored, workers, watch))
}

/// As [`audit`], on any store and inside a runtime.
///
/// # Errors
/// As [`audit`].
pub async fn hold(
    mut claims: Claims,
    stored: Arc<dyn Stored>,
    workers: usize,
    watch: &mut Watch<'_>,
) -> Result<Report> {
    claims.settle()?;
    let report = Report::of(claims.entries());
    let progress = Progress { files: 0, expected: claims.expected()?, bytes: 0 };
    let reads_max = workers.max(1) * READS_PER_WORKER;
    let (seen, reads) = ([Bits::default(), Bits::default()], FuturesUnordered::new());
    let mut audit = Held { claims, stored, report, progress, reads_max, seen, reads, followed: false, watch };
    for area in [Area::Processed, Area::Raw, Area::Staging] {
        audit.list(area).await?;
    }
    audit.settle().await?;
    for area in [Area::Processed, Area::Raw] {
        audit.missing(area).await?;
    }
    audit.settle().await?;
    Ok(audit.report)
}

/// What was read of a file.
struct Read {
    area: Area,
    name: StoredName,
    number: Option<u64>,
    /// What the entries say of it.
    claims: Vec<Claim>,
    /// Digest and size, or why it could not be read.
    found: Result<([u8; 32], u64)>,
}

struct Held<'w, 'f> {
    claims: Claims,
    stored: Arc<dyn Stored>,
    report: Report,
    progress: Progress,
    reads_max: usize,
    /// Claims about objects, and about copies of originals, whose name was listed.
    seen: [Bits; 2],
    reads: FuturesUnordered<JoinHandle<Read>>,
    /// Whether the log was followed since the present page of a listing came.
    followed: bool,
    watch: &'w mut Watch<'f>,
}

impl Held<'_, '_> {
    async fn list(&mut self, area: Area) -> Result<()> {
        let mut listing = self.stored.list(area, None).await?;
        loop {
            let page = listing.next().await?;
            if page.is_empty() {
                return Ok(());
            }
            self.followed = false;
            for listed in page {
                match area {
                    Area::Processed => self.processed(listed).await?,
                    Area::Raw => self.raw(listed).await?,
                    Area::Staging => self.staged(&listed)?,
                }
            }
        }
    }

    /// Takes in what was appended until after the present page was listed.
    fn follow(&mut self) -> Result<()> {
        if !self.followed {
            self.claims.follow()?;
            self.followed = true;
        }
        Ok(())
    }

    async fn processed(&mut self, listed: Listed) -> Result<()> {
        let key = listed.name.text().and_then(OutputKey::parse).map(|key| key.as_str().to_owned());
        let Some(key) = key else {
            let code = match listed.standing {
                Standing::FolderUnreadable => Code::ObjectUnreadable,
                _ => Code::ObjectForeign,
            };
            self.stranger(code, Area::Processed, &listed);
            return Ok(());
        };
        let mut claims = self.claims.of_key(&key)?;
        if claims.is_empty() {
            self.follow()?;
            claims = self.claims.of_key(&key)?;
        }
        claims.iter().for_each(|claim| self.seen[0].set(claim.id));
        match listed.standing {
            Standing::File if claims.is_empty() && !self.report.has_room() => {
                self.stranger(Code::ObjectUnknown, Area::Processed, &listed);
                Ok(())
            }
            Standing::File => self.read(Area::Processed, listed, claims).await,
            standing => {
                let code = if standing == Standing::Link { Code::ObjectLink } else { Code::ObjectForeign };
                let at = first(&claims).map(|claim| claim.at);
                self.find(code, Area::Processed, at, Some(key), listed.number);
                Ok(())
            }
        }
    }

    async fn raw(&mut self, listed: Listed) -> Result<()> {
        let text = listed.name.text().unwrap_or_default();
        let whole = text.strip_suffix(".dcm").and_then(StreamId::parse);
        let part = text.strip_suffix(".part").and_then(StreamId::parse).filter(|_| listed.standing == Standing::File);
        if part.is_some() {
            self.report.remark(Remark::RawUnexplained);
            return Ok(());
        }
        let Some(stream) = whole.map(|stream| StreamKey(stream.0.0)) else {
            self.stranger(Code::RawForeign, Area::Raw, &listed);
            return Ok(());
        };
        let mut claim = self.claims.of_stream(stream)?;
        if claim.is_none() {
            self.follow()?;
            claim = self.claims.of_stream(stream)?;
        }
        let Some(claim) = claim else {
            // The copy is made before the entry: a run that was cut short leaves it.
            self.report.remark(Remark::RawUnexplained);
            return Ok(());
        };
        self.seen[1].set(claim.id);
        if self.claims.is_forgotten(stream, claim.at)? {
            self.report.remark(Remark::RawNotErased);
        }
        self.read(Area::Raw, listed, vec![claim]).await
    }

    fn staged(&mut self, listed: &Listed) -> Result<()> {
        let stream = listed.name.text().and_then(|name| StreamId::parse(name.split('-').next()?));
        let is_open = |claims: &Claims| stream.is_some_and(|stream| claims.is_open(StreamKey(stream.0.0)));
        if !is_open(&self.claims) {
            self.follow()?;
            if !is_open(&self.claims) {
                self.report.remark(Remark::StagingUnexplained);
            }
        }
        Ok(())
    }

    /// Reads what the entries call standing and no listing named: it is gone, or came while we listed.
    async fn missing(&mut self, area: Area) -> Result<()> {
        let outputs = area == Area::Processed;
        let (mut behind, which) = (0, usize::from(!outputs));
        loop {
            let page = self.claims.standing(outputs, behind)?;
            let Some(last) = page.last() else { return Ok(()) };
            behind = last.id;
            for claim in page {
                if self.seen[which].has(claim.id) {
                    continue;
                }
                // Of several entries that name one key the first stands for all.
                let (name, claims) = match outputs {
                    true => (claim.name.clone(), self.claims.of_key(&claim.name)?),
                    false => (format!("{}.dcm", claim.name), vec![claim]),
                };
                claims.iter().for_each(|claim| self.seen[which].set(claim.id));
                let name = StoredName(name.into_bytes());
                self.read(area, Listed { name, standing: Standing::File, number: None }, claims).await?;
            }
        }
    }

    /// Hands a file to a worker, and judges what others have read if there is no room.
    async fn read(&mut self, area: Area, listed: Listed, claims: Vec<Claim>) -> Result<()> {
        while self.reads.len() >= self.reads_max {
            self.judge_next().await?;
        }
        let stored = Arc::clone(&self.stored);
        self.reads.push(tokio::spawn(async move {
            let found = digest(stored.as_ref(), area, &listed.name).await;
            Read { area, name: listed.name, number: listed.number, claims, found }
        }));
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        while !self.reads.is_empty() {
            self.judge_next().await?;
        }
        Ok(())
    }

    async fn judge_next(&mut self) -> Result<()> {
        let Some(read) = self.reads.next().await else { return Ok(()) };
        let read = read.map_err(|_| Error::broken("task_panicked", "read an object"))?;
        if let Ok((_, size_bytes)) = &read.found {
            self.progress.bytes += size_bytes;
            self.report.bytes += size_bytes;
            match read.area {
                Area::Processed => self.report.objects += 1,
                Area::Raw | Area::Staging => self.report.copies += 1,
            }
        }
        self.progress.files += 1;
        (self.watch)(self.progress);
        self.judge(read)
    }

    fn judge(&mut self, read: Read) -> Result<()> {
        let area = read.area;
        let is_raw = area == Area::Raw;
        let name = read.name.text().map(str::to_owned);
        let at = first(&read.claims).map(|claim| claim.at);
        let (sha256, size_bytes) = match read.found {
            Ok(found) => found,
            Err(error) => {
                let gone = error.code() == "source_gone";
                let code = match (error.code(), is_raw) {
                    ("source_link", false) => Code::ObjectLink,
                    ("source_link", true) => Code::RawForeign,
                    ("source_changed", false) => Code::ObjectChanged,
                    ("source_changed", true) => Code::RawChanged,
                    ("source_gone", false) => Code::ObjectMissing,
                    ("source_gone", true) => Code::RawMissing,
                    (_, false) => Code::ObjectUnreadable,
                    (_, true) => Code::RawUnreadable,
                };
                if gone && !self.must_stand(area, &read.claims)? {
                    return Ok(());
                }
                self.find(code, area, at, name, read.number);
                return Ok(());
            }
        };
        let delivered = || read.claims.iter().filter(|claim| claim.stands || is_raw);
        let differs = |claim: &&Claim| claim.sha256 != sha256;
        // Every delivery must hold; without one any entry that named these bytes explains them.
        let bad = match delivered().next() {
            Some(_) => delivered().find(differs),
            None if read.claims.iter().any(|claim| claim.sha256 == sha256) => {
                self.report.remark(Remark::Pending);
                return Ok(());
            }
            None => first(&read.claims),
        };
        let (code, at, sizes) = match bad {
            Some(claim) if is_raw => (Code::RawChanged, Some(claim.at), Some((claim.size_bytes, size_bytes))),
            Some(claim) => (Code::ObjectChanged, Some(claim.at), Some((claim.size_bytes, size_bytes))),
            None if read.claims.is_empty() => (Code::ObjectUnknown, None, None),
            None => return Ok(()),
        };
        let of = if is_raw || !self.report.has_room() { None } else { self.claims.of_digest(&sha256)? };
        let bytes_of = of.filter(|of| Some(*of) != at).map(|of| self.named(of));
        let (at, number) = (at.map(|at| self.named(at)), None);
        self.report.add(Finding { at, code, area, name, number, size_bytes: sizes, bytes_of });
        Ok(())
    }

    /// Whether what is not there has to be: it is delivered, or a copy that was kept and not forgotten.
    fn must_stand(&mut self, area: Area, claims: &[Claim]) -> Result<bool> {
        let Some(claim) = claims.iter().find(|claim| claim.stands) else { return Ok(false) };
        if area != Area::Raw {
            return Ok(true);
        }
        let Some(stream) = StreamId::parse(&claim.name).map(|stream| StreamKey(stream.0.0)) else { return Ok(true) };
        // That it is forgotten is recorded before it is erased.
        if !self.claims.is_forgotten(stream, claim.at)? {
            self.claims.follow()?;
        }
        Ok(!self.claims.is_forgotten(stream, claim.at)?)
    }

    /// Finds something that is named by no entry, perhaps by a name that must not be told.
    fn stranger(&mut self, code: Code, area: Area, listed: &Listed) {
        let told = match code {
            Code::ObjectUnknown => listed.name.text().map(str::to_owned),
            _ => None,
        };
        self.find(code, area, None, told, listed.number);
    }

    fn find(&mut self, code: Code, area: Area, at: Option<At>, name: Option<String>, number: Option<u64>) {
        let at = at.map(|at| self.named(at));
        self.report.add(Finding { at, code, area, name, number, size_bytes: None, bytes_of: None });
    }

    fn named(&self, at: At) -> Named {
        Named::of(at, self.claims.log_name(at.log))
    }
}

/// The claim that a finding is told about: the first that says that the object is delivered, else the first.
fn first(claims: &[Claim]) -> Option<&Claim> {
    claims.iter().find(|claim| claim.stands).or(claims.first())
}

async fn digest(stored: &dyn Stored, area: Area, name: &StoredName) -> Result<([u8; 32], u64)> {
    let mut source = stored.read(area, name).await?;
    let (mut hasher, mut block, mut offset) = (Sha256::new(), vec![0; BLOCK], 0);
    let size_bytes = source.size_bytes();
    // Whether the file changed meanwhile is not asked: letting go of its stage does, and its digest says what was read.
    while offset < size_bytes {
        let len = usize::try_from(size_bytes - offset).unwrap_or(usize::MAX).min(BLOCK);
        source.read_at(offset, &mut block[..len]).await?;
        hasher.update(&block[..len]);
        offset += len as u64;
    }
    Ok((hasher.finalize().into(), size_bytes))
}
