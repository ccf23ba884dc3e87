//! A store whose ledger tells of a month: every entry is decided by `domain` and appended as a run appends it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use domain::dicom::Profile;
use domain::events::{
    Code, Counts, Detail, Digest, InstanceDeidentified, InstanceDelivered, InstanceIngested, InstanceQuarantined,
    InstanceValidated, Intake, Modality, ObjectReceived, PackedReceipt, ProcessedKey, ProcessingFailed, RegisteredUid,
    StageToken, Tag, TagKind, Time,
};
use domain::ids::{Keys, Location, PatientIdentity};
use domain::upload::{Command, Upload};
use domain::workflow::{FailureKind, Step};
use domain::{Phi, Reason};
use handlers::commit::ledger_decision;
use handlers::sources::SourceRow;
use handlers::store::{Access, Store};
use handlers::surroundings::{Surroundings as _, System};
use ledger::{Actor, Ledger as _, Link, Nonce, StreamKey, Tip, UtcMillis};
use sha2::{Digest as _, Sha256};

/// The first millisecond of the month, 2026-10-01T00:00:00Z.
pub(crate) const BEGIN_MS: u64 = 1_790_812_800_000;
/// How long it is.
pub(crate) const MONTH_MS: u64 = 30 * 24 * 3_600_000;
/// The environment in the origin of its ledger.
pub(crate) const ENVIRONMENT: &str = "bench";
/// Objects of one study.
const STUDY_OBJECTS: u64 = 100;
/// Objects whose entries are under way to the ledger at once.
const BATCH: u64 = 400;
/// Bytes of each source: a dry run looks at its size, never at what it holds.
const SOURCE: [u8; 128] = [0; 128];
const OUTPUT_BYTES: u64 = 132_570;
/// What the demo's CT object leaves as its receipt.
const RECEIPT: &str = include_str!("receipt.txt");

/// A store that was built.
#[derive(Debug)]
pub(crate) struct Month {
    /// Its folder.
    pub(crate) root: PathBuf,
    /// Entries of its ledger.
    pub(crate) entries: u64,
    /// Its studies, numbered from 0.
    pub(crate) studies: u64,
}

/// Builds a store below `folder` with at least `entries` entries.
///
/// # Errors
/// What the store says.
pub(crate) async fn build(folder: &Path, entries: u64) -> Result<Month, Box<dyn Error>> {
    build_with(folder, entries, STUDY_OBJECTS).await
}

/// As [`build`], with so many objects in each study.
///
/// # Errors
/// What the store says.
pub(crate) async fn build_with(folder: &Path, entries: u64, study_objects: u64) -> Result<Month, Box<dyn Error>> {
    // The ledger names a source by a path that holds no link.
    let folder = folder.canonicalize()?;
    let (root, inputs) = (folder.join(format!("store-{entries}")), folder.join(format!("inputs-{entries}")));
    let store = Store::open(&root, Access::Work, ENVIRONMENT, &System)?;
    let facts = Facts::new(entries / 5)?;
    let (mut number, mut done) = (0, 0);
    // Ends: each object has at least three entries.
    while done < entries {
        let batch: Vec<Object> =
            (number..number + BATCH).map(|n| Object::new(n, n / study_objects, &inputs, &store.keys)).collect();
        for object in &batch {
            fs::create_dir_all(object.path.parent().unwrap_or(&inputs))?;
            fs::write(&object.path, SOURCE)?;
        }
        let rows: Vec<SourceRow> = batch.iter().map(|object| object.row.clone()).collect();
        store.sources.put(&rows)?;
        let chains = batch.iter().map(|object| facts.chain(object, &store.keys)).collect::<Result<Vec<_>, _>>()?;
        let appended = batch.iter().zip(&chains).map(|(object, links)| async {
            let tip = Tip::empty(StreamKey(object.row.stream.0.0));
            store.ledger.append_chain(&tip, links).await
        });
        for answer in futures::future::join_all(appended).await.into_iter().flatten() {
            answer?;
            done += 1;
        }
        let ended: Vec<_> = rows.iter().map(|row| row.stream).collect();
        store.sources.set_ended(&ended, true)?;
        number += BATCH;
    }
    Ok(Month { root, entries: done, studies: number / study_objects })
}

/// Returns the original UID of a study.
pub(crate) fn study_uid(study: u64) -> Phi<String> {
    Phi::new(format!("1.2.826.0.1.3680043.10.1.{study}"))
}

fn digest(what: &str, number: u64) -> Digest {
    Digest(Sha256::digest(format!("{what} {number}")).into())
}

fn new_uid(what: &str, number: u64) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(what, number).0[..16]);
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

/// One object of the month.
struct Object {
    number: u64,
    study: u64,
    path: PathBuf,
    row: SourceRow,
}

impl Object {
    fn new(number: u64, study: u64, inputs: &Path, keys: &Keys) -> Self {
        let path = inputs.join(study.to_string()).join(format!("{number}.dcm"));
        let location = Location {
            bucket: "file".to_owned(),
            key: Phi::new(path.as_os_str().as_encoded_bytes().to_vec()),
            version: digest("source", number).to_string(),
        };
        let stream = keys.object_stream(&location);
        Self {
            number,
            study,
            path,
            row: SourceRow { stream, location, size_bytes: SOURCE.len() as u64, copied: false },
        }
    }
}

/// What all objects have in common.
struct Facts {
    objects: u64,
    profile_digest: Digest,
    edition: Code,
    receipt: PackedReceipt,
    counts: Counts,
}

impl Facts {
    fn new(objects: u64) -> Result<Self, Box<dyn Error>> {
        let profile = Profile::basic()?;
        Ok(Self {
            objects,
            profile_digest: Digest::parse(profile.digest()).ok_or("a profile without a digest")?,
            edition: Code::parse(&format!("PS3.15-{}", profile.edition())).ok_or("an edition that is no word")?,
            receipt: PackedReceipt::parse(RECEIPT.trim()).ok_or("receipt.txt is no receipt")?,
            counts: Counts::of(&[('a', 5), ('k', 40), ('u', 6), ('x', 43), ('z', 10)]).ok_or("counts")?,
        })
    }

    /// Decides the life of an object, each step on what the steps before it left.
    fn chain(&self, object: &Object, keys: &Keys) -> Result<Vec<Link>, Box<dyn Error>> {
        let received_ms = BEGIN_MS + object.number.min(self.objects) * (MONTH_MS - 60_000) / (self.objects + 1);
        let stream = object.row.stream;
        let (mut upload, mut links) = (Upload::default(), Vec::new());
        for (step, command) in (0..).zip(self.life(object, keys)?) {
            let at_ms = received_ms + step * 700;
            let decided = upload.decide(stream, &command, Time::from_unix_ms(i64::try_from(at_ms)?))?;
            decided.events.iter().try_for_each(|event| upload.apply(event))?;
            let actor = command.step().and_then(|step| Actor::system(step.name())).ok_or("a step without a name")?;
            let decision = ledger_decision(decided.id, &decided.events, decided.study, actor)?;
            links.push(Link { decision, at: UtcMillis::from_unix_ms(at_ms), nonce: Nonce(System.nonce()) });
        }
        Ok(links)
    }

    /// What the steps ask for: of 100 objects two are refused (one for good) and one fails.
    fn life(&self, object: &Object, keys: &Keys) -> Result<Vec<Command>, Box<dyn Error>> {
        let received = ObjectReceived {
            sha256: digest("source", object.number),
            size_bytes: SOURCE.len() as u64,
            intake: Intake::Process,
            raw_copied: false,
        };
        let mut life = vec![Command::Receive(received), Command::Ingest(ingested(object, keys))];
        let validated = InstanceValidated {
            iod: Code::fixed("ct-image"),
            warnings: Vec::new(),
            warnings_total: 0,
            tags: Vec::new(),
        };
        match object.number % 100 {
            0 => life.push(refused(Reason::Pixel)),
            50 => life.push(refused(Reason::Oversize)),
            25 => {
                life.push(Command::Validate(validated));
                let (step, kind, code) = (Step::Deidentification, FailureKind::Transient, Code::fixed("source_io"));
                life.push(Command::RecordFailure(ProcessingFailed { step, kind, code, attempts: 5 }));
            }
            _ => {
                life.push(Command::Validate(validated));
                let made = self.deidentified(object, keys)?;
                let (key, sha256, size_bytes) = (made.key.clone(), made.sha256, made.size_bytes);
                life.push(Command::Deidentify(made));
                life.push(Command::Deliver(InstanceDelivered { key, sha256, size_bytes, already_present: false }));
            }
        }
        Ok(life)
    }

    fn deidentified(&self, object: &Object, keys: &Keys) -> Result<InstanceDeidentified, Box<dyn Error>> {
        let new_study = new_uid("study", object.study);
        let hash = keys.new_study_k(&new_study);
        let key = ProcessedKey::of(&new_study, &new_uid("series", object.study), &new_uid("object", object.number));
        Ok(InstanceDeidentified {
            profile: Code::fixed("basic"),
            profile_digest: self.profile_digest,
            edition: self.edition.clone(),
            key: key.ok_or("UIDs that make no key")?,
            sha256: digest("output", object.number),
            size_bytes: OUTPUT_BYTES,
            transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
            stage: StageToken::parse(&format!("{}-0", object.row.stream)).ok_or("a stream that names no stage")?,
            receipt: self.receipt.clone(),
            counts: self.counts.clone(),
            tags: vec![Tag { kind: TagKind::NewStudy, hash }],
        })
    }
}

fn ingested(object: &Object, keys: &Keys) -> InstanceIngested {
    let study = object.study;
    let patient_id = Phi::new(format!("P{}", study / 2));
    let patient = PatientIdentity { patient_id, issuer: Phi::new(String::new()) };
    let tags = vec![
        Tag { kind: TagKind::Study, hash: keys.study_k(&study_uid(study)) },
        Tag { kind: TagKind::Patient, hash: keys.patient_k(&patient) },
        Tag { kind: TagKind::Accession, hash: keys.accession_k(&Phi::new(format!("A{study}"))) },
    ];
    InstanceIngested {
        transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
        sop_class: RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.2"),
        modality: Modality::parse("CT"),
        elements: 104,
        notes: Vec::new(),
        tags,
    }
}

fn refused(reason: Reason) -> Command {
    let detail = Detail::of("as a measurement wants it");
    let (step, tags) = (Step::Validation, Vec::new());
    Command::Quarantine(InstanceQuarantined { reason, step, detail, at: None, profile_digest: None, tags })
}
