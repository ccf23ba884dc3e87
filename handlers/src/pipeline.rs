//! What every step is given: the ports and values of a pipeline, and the work in hand on one stream.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use domain::dicom::deidentify::Profile;
use domain::dicom::identity::Identity;
use domain::dicom::limits::Limits;
use domain::dicom::scan::scan_slice;
use domain::dicom::skeleton::Skeleton;
use domain::events::{Code, Digest, Event, EventData};
use domain::ids::{Keys, Location, StreamId};
use domain::upload::{Misplaced, Upload};
use domain::workflow::{FailureKind, Step};
use domain::{Phi, Rejection};
use ledger::{Ledger, StreamKey, Tip};

use crate::acting::Person;
use crate::buffers::Buffer;
use crate::commit::Held;
use crate::error::{Error, Result, Scope};
use crate::objects::folder::FILE_BUCKET;
use crate::ports::objects::Objects;
use crate::reading::{self, Sequential};
use crate::sources::Sources;
use crate::surroundings::Surroundings;

/// The ports, keys and values that the steps of one pipeline share.
pub struct Pipeline {
    /// Where decisions are recorded.
    pub ledger: Arc<dyn Ledger>,
    /// Where objects are read, staged and published.
    pub objects: Arc<dyn Objects>,
    /// Where each object lies.
    pub sources: Arc<Sources>,
    /// The keys of the store.
    pub keys: Keys,
    /// The de-identification profile in force.
    pub profile: Profile,
    /// SHA-256 of the profile, its name and its edition, as events spell them.
    pub profile_digest: Digest,
    /// Name of the profile.
    pub profile_name: Code,
    /// Edition of PS3.15.
    pub edition: Code,
    /// What one object may cost at most.
    pub limits: Limits,
    /// Clock and random source.
    pub surroundings: Arc<dyn Surroundings>,
    /// Who started the run, if it was a person: the actor of what only a person may ask for.
    pub operator: Option<Person>,
    /// Where the store keeps copies of originals, read when a source is gone; none if it keeps none.
    pub copies: Option<PathBuf>,
}

/// A failed try, for the step that records it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The step that failed.
    pub step: Step,
    /// What kind of failure it was.
    pub kind: FailureKind,
    /// Its stable code.
    pub code: &'static str,
    /// The rejection, if it was one.
    pub rejection: Option<Rejection>,
    /// How often the step was tried.
    pub attempts: u32,
}

/// The raw bytes of an object while it is worked on.
#[derive(Debug)]
pub enum Raw {
    /// The whole object, hashed when it was read.
    Memory(Buffer),
    /// Too large for memory: read again for each purpose.
    AtSource,
}

/// What is in hand of one stream. Everything but the first three can be made again from the ledger and the source.
#[derive(Debug)]
pub struct Work {
    /// The stream.
    pub stream: StreamId,
    /// What the stream says.
    pub upload: Upload,
    /// The end of the stream as we know it.
    pub tip: Tip,
    /// The event that opened the present run of the work: `object.received` or `replay.requested`.
    pub opened_by: Option<EventData>,
    /// Where the object lies, once looked up.
    pub location: Option<Location>,
    /// The raw bytes, once read.
    pub raw: Option<Raw>,
    /// The scan, once done; with the inflated data set of a small deflated object.
    pub scan: Option<Scan>,
    /// Why the last try failed.
    pub failure: Option<Failure>,
    /// Whether delivery found the same bytes under the key.
    pub already_present: bool,
    /// What was recorded and not yet shown to the rules.
    pub news: Vec<EventData>,
    /// Whether decisions may be held back to be recorded together with the next one.
    pub holds: bool,
    /// Decisions held back; `upload` counts them as taken.
    pub held: Vec<Held>,
    /// Set when held decisions were not recorded as they were: the step in hand is no longer the one that is due.
    pub behind: bool,
}

/// A scan and what was read from it.
#[derive(Debug)]
pub struct Scan {
    /// The structure.
    pub skeleton: Skeleton,
    /// The inflated data set of a small deflated object; its first byte has the logical offset `skeleton.data_set`.
    pub inflated: Option<Vec<u8>>,
    /// Which object it is.
    pub identity: Identity,
}

impl Work {
    /// Returns work on a stream that is not known to have entries.
    pub fn new(stream: StreamId) -> Self {
        let tip = Tip::empty(StreamKey(stream.0.0));
        Self {
            stream,
            upload: Upload::default(),
            tip,
            opened_by: None,
            location: None,
            raw: None,
            scan: None,
            failure: None,
            already_present: false,
            news: Vec::new(),
            holds: false,
            held: Vec::new(),
            behind: false,
        }
    }

    /// Lets go of the object's bytes and structure; whoever needs them again reads the source again.
    pub fn let_go(&mut self) {
        self.raw = None;
        self.scan = None;
    }

    /// Takes in the next event of the stream.
    ///
    /// # Errors
    /// The event cannot stand here; nothing is changed.
    pub fn take_in(&mut self, event: &Event) -> std::result::Result<(), Misplaced> {
        self.upload.apply(event)?;
        match &event.data {
            EventData::ObjectReceived(_) | EventData::ReplayRequested(_) => self.opened_by = Some(event.data.clone()),
            EventData::InstanceDelivered(said) => self.already_present = said.already_present,
            _ => {}
        }
        Ok(())
    }
}

impl Pipeline {
    /// Joins ports, keys and profile.
    ///
    /// # Errors
    /// `profile_damaged` when the profile cannot be named in events.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        objects: Arc<dyn Objects>,
        sources: Arc<Sources>,
        keys: Keys,
        profile: Profile,
        limits: Limits,
        surroundings: Arc<dyn Surroundings>,
    ) -> Result<Self> {
        let damaged = || Error::damaged("profile_damaged", "name the profile and its edition in events", None);
        let profile_digest = Digest::parse(profile.digest()).ok_or_else(damaged)?;
        let profile_name = Code::parse(profile.name()).ok_or_else(damaged)?;
        let edition = Code::parse(&format!("PS3.15-{}", profile.edition())).ok_or_else(damaged)?;
        Ok(Self {
            ledger,
            objects,
            sources,
            keys,
            profile,
            profile_digest,
            profile_name,
            edition,
            limits,
            surroundings,
            operator: None,
            copies: None,
        })
    }

    /// Reads the copies of originals in this folder where a source is gone.
    #[must_use]
    pub fn with_copies(mut self, folder: PathBuf) -> Self {
        self.copies = Some(folder);
        self
    }

    /// Names the person who starts the run.
    #[must_use]
    pub fn by(mut self, person: Person) -> Self {
        self.operator = Some(person);
        self
    }

    /// Returns the location of the object in hand.
    ///
    /// # Errors
    /// `source_unknown` when `sources` does not know it: forgotten, or the table was lost.
    pub fn location<'w>(&self, work: &'w mut Work) -> Result<&'w Location> {
        if work.location.is_none() {
            let row = self.sources.get(work.stream, &self.keys)?;
            work.location = Some(row.ok_or_else(|| reading::source_unknown(work.stream))?.location);
        }
        Ok(work.location.as_ref().expect("it was set above"))
    }

    /// Makes sure that the object in hand is scanned, reading it if it is not in memory, and returns the scan.
    ///
    /// # Errors
    /// The rejection of the scan; `source_changed` when the bytes are not those that were received.
    pub async fn scan<'w>(&self, work: &'w mut Work) -> Result<&'w Scan> {
        if work.scan.is_none() {
            self.read(work).await?;
            let (skeleton, inflated) = match &work.raw {
                Some(Raw::Memory(bytes)) => guarded(|| scan_slice(bytes, self.limits))??,
                _ => (reading::scan_source(self.objects.as_ref(), self.location(work)?, self.limits).await?, None),
            };
            let identity = guarded(|| Identity::read(&skeleton))??;
            work.scan = Some(Scan { skeleton, inflated, identity });
        }
        Ok(work.scan.as_ref().expect("it was set above"))
    }

    /// Makes sure that the object in hand is what was received, reading it whole: its source, or else the store's copy.
    ///
    /// # Errors
    /// `source_*`: neither is there, or neither holds the bytes that were received.
    pub async fn check_source(&self, work: &mut Work) -> Result<()> {
        self.read(work).await?;
        if matches!(work.raw, Some(Raw::Memory(_))) {
            return Ok(());
        }
        match self.hash_there(work).await {
            Err(error) if is_of_source(&error) && self.turn_to_copy(work)? => {
                self.hash_there(work).await.map_err(|_| self.turn_back(work, error))
            }
            other => other,
        }
    }

    /// Looks whether the object in hand can be opened and has the size that was received; its bytes are not read.
    ///
    /// # Errors
    /// `source_*`: neither the source nor the store's copy is such.
    pub async fn look_at_source(&self, work: &mut Work) -> Result<()> {
        match self.look_there(work).await {
            Err(error) if is_of_source(&error) && self.turn_to_copy(work)? => {
                self.look_there(work).await.map_err(|_| self.turn_back(work, error))
            }
            other => other,
        }
    }

    async fn look_there(&self, work: &mut Work) -> Result<()> {
        let location = self.location(work)?.clone();
        let size_bytes = self.objects.open(&location).await?.size_bytes();
        if work.upload.source().is_none_or(|received| received.size_bytes != size_bytes) {
            return Err(Error::source_changed("look at an object again: it has another size than was received"));
        }
        Ok(())
    }

    async fn hash_there(&self, work: &mut Work) -> Result<()> {
        let location = self.location(work)?.clone();
        let digest = reading::hash_large(self.objects.open(&location).await?.as_mut()).await?;
        if work.upload.source().is_none_or(|received| received.sha256 != digest) {
            return Err(Error::source_changed("read an object again: its bytes are not those that were received"));
        }
        Ok(())
    }

    /// Makes sure that a small object is in memory and is the one that was received. A large one is checked by the pump.
    async fn read(&self, work: &mut Work) -> Result<()> {
        if work.raw.is_some() {
            return Ok(());
        }
        match self.read_there(work).await {
            Err(error) if is_of_source(&error) && self.turn_to_copy(work)? => {
                self.read_there(work).await.map_err(|_| self.turn_back(work, error))
            }
            other => other,
        }
    }

    async fn read_there(&self, work: &mut Work) -> Result<()> {
        let location = self.location(work)?.clone();
        let mut source = self.objects.open(&location).await?;
        if source.size_bytes() > reading::IN_MEMORY_MAX {
            work.raw = Some(Raw::AtSource);
            return Ok(());
        }
        let (buffer, digest) = reading::read_small(source.as_mut()).await?;
        if work.upload.source().is_none_or(|received| received.sha256 != digest) {
            return Err(Error::source_changed("read an object again: its bytes are not those that were received"));
        }
        work.raw = Some(Raw::Memory(buffer));
        Ok(())
    }

    /// Goes over to the store's copy of the original, if there is one; its digest is held against the same record.
    fn turn_to_copy(&self, work: &mut Work) -> Result<bool> {
        let Some(folder) = &self.copies else { return Ok(false) };
        if !self.sources.get(work.stream, &self.keys)?.is_some_and(|row| row.copied) {
            return Ok(false);
        }
        let path = folder.join(format!("{}.dcm", work.stream));
        let key = Phi::new(path.into_os_string().into_vec());
        work.location = Some(Location { bucket: FILE_BUCKET.to_owned(), key, version: String::new() });
        work.raw = None;
        tracing::debug!(stream = %work.stream, "reads the copy of a source that is gone or changed");
        Ok(true)
    }

    /// The copy is no better: the next try begins at the source again, and what ailed the source is told.
    fn turn_back(&self, work: &mut Work, error: Error) -> Error {
        work.location = None;
        error
    }

    /// Returns a reader of the object in hand from front to back that ends with a check of its digest.
    pub async fn sequential(&self, work: &mut Work) -> Result<Sequential> {
        let expected = work.upload.source().map(|received| received.sha256);
        let deflated_from = work.scan.as_ref().filter(|s| s.skeleton.syntax.deflated).map(|s| s.skeleton.data_set);
        let location = self.location(work)?.clone();
        Ok(Sequential::new(self.objects.open(&location).await?, expected, deflated_from, &self.limits))
    }
}

/// Whether it is this object's source that cannot be had, and not what every object needs.
const fn is_of_source(error: &Error) -> bool {
    matches!(error, Error::Transient { scope: Scope::Object, .. })
}

/// Runs a pure rule over an object; should it panic, the object fails and the run goes on. The rules have no state that a
/// panic could leave half changed.
///
/// # Errors
/// `rule_panicked` (broken). The message of the panic is dropped: it may hold what the rule was looking at.
pub fn guarded<T>(rule: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(rule))
        .map_err(|_| Error::broken("rule_panicked", "apply the rules to an object"))
}
