//! The sealer: head -> apply its staged bundle -> sign and publish -> gather -> stage -> swap -> apply -> sign -> publish.
//!
//! Safety is the swap alone. Nothing is signed that was not swapped in before, so two sealers cannot sign two trees; nothing is
//! published whose tiles are not durable; a checkpoint is replaced only by whoever saw it. A sealer that stops anywhere leaves
//! what the next turn does anyway, and one that wakes late finds that its value is not the one any more.

use std::collections::BTreeMap;

use super::{Batch, Bundle, Published, Replaced, SealError, SealHead, Sealed, Signer, Swapped, Unsealed};
use super::{BundleName, consistency_proof};
use crate::note::{Note, SignatureLine};
use crate::proof::verify_consistency;
use crate::tiles::{Edge, edge_of};
use crate::{Checkpoint, Head, Origin};

/// Entries of one turn at most: 8 MiB of headers, so that a turn has a known size whatever waits.
pub const ENTRIES_OF_TURN_MAX: usize = 16_384;
/// Turns of one call: more entries than a log has here.
const TURNS_MAX: u32 = 1 << 20;
/// Rounds against other sealers in which nothing could be done.
const ROUNDS_MAX: u32 = 64;

/// What a turn did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Entries were sealed and their checkpoint is published.
    Sealed {
        /// Size before.
        from: u64,
        /// Size now.
        to: u64,
    },
    /// Another sealer was first; what is there now is for the next turn to see.
    Lost,
    /// Everything is sealed and published; this is the head.
    Idle(Head),
}

/// How the published checkpoint stands to the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is of the head, and signed by the key at hand.
    Current,
    /// It is of the head, and the key at hand has not signed it: the key was changed.
    Unsigned,
    /// It is smaller, or there is none.
    Behind,
}

/// A sealer of one log.
#[derive(Debug)]
pub struct Sealer<H, U, P, S> {
    origin: Origin,
    head: H,
    unsealed: U,
    published: P,
    signer: S,
    entries_max: usize,
}

impl<H: SealHead, U: Unsealed, P: Published, S: Signer> Sealer<H, U, P, S> {
    /// Makes a sealer of the log with this origin.
    pub fn new(origin: Origin, head: H, unsealed: U, published: P, signer: S) -> Self {
        Self { origin, head, unsealed, published, signer, entries_max: ENTRIES_OF_TURN_MAX }
    }

    /// Takes at most so many entries a turn.
    #[must_use]
    pub fn with_entries_max(self, entries_max: usize) -> Self {
        Self { entries_max: entries_max.clamp(1, ENTRIES_OF_TURN_MAX), ..self }
    }

    /// Returns where it publishes.
    pub const fn published(&self) -> &P {
        &self.published
    }

    /// Returns what is not sealed.
    pub const fn unsealed(&self) -> &U {
        &self.unsealed
    }

    /// Returns who signs.
    pub const fn signer(&self) -> &S {
        &self.signer
    }

    /// Turns until everything that stood in the log when it began is sealed and published; returns the last head.
    ///
    /// # Errors
    /// As [`Sealer::turn`]; [`SealError::Unavailable`] when other sealers were first again and again.
    pub async fn seal(&self) -> Result<Head, SealError> {
        let mut lost = 0;
        for _ in 0..TURNS_MAX {
            match self.turn().await? {
                Turn::Idle(head) => return Ok(head),
                Turn::Sealed { .. } => lost = 0,
                Turn::Lost if lost < ROUNDS_MAX => lost += 1,
                Turn::Lost => break,
            }
        }
        Err(SealError::Unavailable { tried: "seal the log beside other sealers", source: None })
    }

    /// One turn.
    ///
    /// # Errors
    /// [`SealError::RolledBack`] and [`SealError::Forked`] when head or log do not go on from what was published,
    /// [`SealError::Damaged`], and what a port says. After an error another turn goes on.
    pub async fn turn(&self) -> Result<Turn, SealError> {
        // The checkpoint first: it is never beyond the head, so one that was read before is not beyond one that is read after.
        let seen = self.published.checkpoint().await?;
        let sealed = self.head.load().await?;
        match self.work(&sealed, seen).await {
            // While others went on, tiles and bundles of the head that was loaded may have gone; what is wrong with the present
            // one, the next turn finds.
            Err(error) if !error.is_transient() && self.head.load().await?.head.size > sealed.head.size => {
                Ok(Turn::Lost)
            }
            done => done,
        }
    }

    async fn work(&self, sealed: &Sealed, seen: Option<Vec<u8>>) -> Result<Turn, SealError> {
        let Some(seen) = self.settle(sealed, seen).await? else { return Ok(Turn::Lost) };
        let batch = self.unsealed.next(&sealed.head, self.entries_max).await?;
        if batch.headers.is_empty() {
            return match batch.end {
                Some(end) if end.root != sealed.head.root => Err(SealError::Forked { size: sealed.head.size }),
                _ => Ok(Turn::Idle(sealed.head.clone())),
            };
        }
        let (bundle, next) = self.stage(sealed, &batch).await?;
        match self.head.swap(sealed, &next).await? {
            Swapped::Done => {}
            Swapped::Lost => return Ok(Turn::Lost),
        }
        // The batch is sealed from here on, in this order and no other, whoever publishes it.
        if self.publish(&bundle, &next, seen).await?.is_none() {
            return Ok(Turn::Lost);
        }
        self.tidy(&next).await;
        Ok(Turn::Sealed { from: sealed.head.size, to: next.head.size })
    }

    /// Adds signatures to a checkpoint: to the one that is kept, and to the published one while it has this text.
    ///
    /// # Errors
    /// What the ports say.
    pub async fn add_signatures(&self, checkpoint: &Note, lines: &[SignatureLine]) -> Result<(), SealError> {
        let parsed = Checkpoint::parse(checkpoint.text()).map_err(|_| SealError::Damaged { what: NO_CHECKPOINT })?;
        let mut all = checkpoint.clone();
        lines.iter().for_each(|line| all.add(line.clone()));
        self.published.keep_checkpoint(parsed.size, all.to_string().as_bytes()).await?;
        for _ in 0..ROUNDS_MAX {
            let Some(seen) = self.published.checkpoint().await? else { return Ok(()) };
            let mut note = parse(&seen)?.0;
            if note.text() != all.text() {
                return Ok(());
            }
            all.signatures().iter().for_each(|line| note.add(line.clone()));
            if note.to_string().as_bytes() == seen {
                return Ok(());
            }
            if self.published.replace_checkpoint(Some(&seen), note.to_string().as_bytes()).await? == Replaced::Done {
                return Ok(());
            }
        }
        Err(SealError::Unavailable { tried: "add signatures to a checkpoint beside others", source: None })
    }

    /// Publishes the head's own checkpoint if it is not published yet. Returns the bytes of what is published then, `Some(None)`
    /// in a log without entries; `None` if another sealer was first.
    async fn settle(&self, sealed: &Sealed, seen: Option<Vec<u8>>) -> Result<Option<Option<Vec<u8>>>, SealError> {
        let newest = seen.as_deref().map(parse).transpose()?;
        match self.standing(newest.as_ref(), &sealed.head)? {
            Standing::Current => Ok(Some(seen)),
            Standing::Behind if sealed.head.size == 0 => Ok(Some(seen)),
            Standing::Unsigned => self.sign(sealed, seen).await,
            Standing::Behind => {
                let Some(name) = &sealed.staged else {
                    return Err(SealError::Damaged { what: "the head names no staged bundle" });
                };
                let Some(bytes) = self.published.staged(name).await? else {
                    return Err(SealError::Damaged { what: "the staged bundle of the head is gone" });
                };
                let bundle = Bundle::decode(&self.origin, sealed, &bytes)?;
                let published = self.publish(&bundle, sealed, seen).await?;
                self.tidy(sealed).await;
                Ok(published)
            }
        }
    }

    fn standing(&self, newest: Option<&(Note, Checkpoint)>, head: &Head) -> Result<Standing, SealError> {
        let Some((note, checkpoint)) = newest else { return Ok(Standing::Behind) };
        if checkpoint.origin != self.origin.as_str() {
            return Err(SealError::Damaged { what: "the published checkpoint is of another log" });
        }
        if checkpoint.size > head.size {
            return Err(SealError::RolledBack { what: "what is sealed", size: head.size, published: checkpoint.size });
        }
        if checkpoint.size < head.size {
            return Ok(Standing::Behind);
        }
        if checkpoint.root != head.root {
            return Err(SealError::Forked { size: checkpoint.size });
        }
        let key = std::slice::from_ref(self.signer.verifier());
        Ok(if note.verify(key).is_ok() { Standing::Current } else { Standing::Unsigned })
    }

    /// Makes the bundle of a batch and stages it. The tiles that it goes on from are read, whoever wrote them.
    async fn stage(&self, sealed: &Sealed, batch: &Batch) -> Result<(Bundle, Sealed), SealError> {
        let mut tiles = BTreeMap::new();
        for path in edge_of(sealed.head.size) {
            if let Some(bytes) = self.published.tile(&path).await? {
                tiles.insert(path, bytes);
            }
        }
        let edge = Edge::read(sealed.head.size, &tiles);
        let edge = edge.ok_or(SealError::Damaged { what: "a tile at the edge is missing or has another form" })?;
        let (bundle, head) = Bundle::grow(&self.origin, &sealed.head, edge, batch)?;
        let (name, bytes) = bundle.encode();
        self.published.stage(&name, &bytes).await?;
        Ok((bundle, Sealed { head, staged: Some(name) }))
    }

    /// Applies the bundle that the head names, signs the head and publishes it in the place of what was seen. Returns the bytes
    /// that are published; `None` if another sealer was first.
    async fn publish(
        &self,
        bundle: &Bundle,
        sealed: &Sealed,
        seen: Option<Vec<u8>>,
    ) -> Result<Option<Option<Vec<u8>>>, SealError> {
        self.published.write_tiles(&bundle.tiles).await?;
        self.unsealed.sealed(&bundle.marks, &sealed.head).await?;
        // Every tile of the head is durable from here on.
        if let Some((_, newest)) = seen.as_deref().map(parse).transpose()? {
            let head = &sealed.head;
            let proof = consistency_proof(&self.published, newest.size, head.size).await?;
            if !verify_consistency(newest.size, &newest.root, head.size, &head.root, &proof) {
                return Err(SealError::Forked { size: newest.size });
            }
        }
        let published = self.sign(sealed, seen).await?;
        if published.is_some() {
            self.published.drop_partials(&bundle.full()).await?;
        }
        Ok(published)
    }

    /// Signs the head and publishes that in the place of what was seen; signatures of the same text stay.
    async fn sign(&self, sealed: &Sealed, seen: Option<Vec<u8>>) -> Result<Option<Option<Vec<u8>>>, SealError> {
        let text = Checkpoint::new(&self.origin, sealed.head.size, sealed.head.root).to_string();
        let line = self.signer.sign(&text).await?;
        let failed = |error| SealError::Signer { source: Some(Box::new(error)) };
        let mut note = Note::new(text, vec![line]).map_err(failed)?;
        note.verify(std::slice::from_ref(self.signer.verifier())).map_err(failed)?;
        if let Some((other, _)) = seen.as_deref().map(parse).transpose()?
            && other.text() == note.text()
        {
            // Ours first: a line under our name that does not verify is left behind.
            other.signatures().iter().for_each(|line| note.add(line.clone()));
        }
        let next = note.to_string().into_bytes();
        self.published.keep_checkpoint(sealed.head.size, &next).await?;
        match self.published.replace_checkpoint(seen.as_deref(), &next).await? {
            Replaced::Done => Ok(Some(Some(next))),
            Replaced::Lost => Ok(None),
        }
    }

    /// Lets bundles go that can be named no more: those that go on from less than the head, without the head's own.
    async fn tidy(&self, sealed: &Sealed) {
        // What stays is found by the next turn that tidies; nothing depends on it.
        let Ok(names) = self.published.staged_names().await else { return };
        let done = |name: &&BundleName| name.from() < sealed.head.size && Some(*name) != sealed.staged.as_ref();
        for name in names.iter().filter(done) {
            if self.published.unstage(name).await.is_err() {
                return;
            }
        }
    }
}

const NO_CHECKPOINT: &str = "the published checkpoint is none";

/// Reads what is published.
fn parse(bytes: &[u8]) -> Result<(Note, Checkpoint), SealError> {
    let damaged = || SealError::Damaged { what: NO_CHECKPOINT };
    let note = Note::parse(bytes).map_err(|_| damaged())?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|_| damaged())?;
    Ok((note, checkpoint))
}
