//! Ingest: scans the structure and reads the identity.

use domain::dicom::skeleton::Note;
use domain::events::{Code, InstanceIngested, Modality, RegisteredUid, Tag, TagKind};
use domain::ids::Keys;
use domain::upload::Command;

use crate::commit::commit;
use crate::error::Result;
use crate::pipeline::{Pipeline, Scan, Work};

/// Scans the object in hand and records `instance.ingested`.
pub async fn run(pipeline: &Pipeline, work: &mut Work) -> Result<()> {
    let scan = pipeline.scan(work).await?;
    let (skeleton, identity) = (&scan.skeleton, &scan.identity);
    let said = InstanceIngested {
        transfer_syntax: RegisteredUid::transfer_syntax(&skeleton.syntax.uid),
        sop_class: RegisteredUid::sop_class(&identity.sop_class_uid),
        modality: Modality::parse(&identity.modality),
        elements: skeleton.elements.len() as u64,
        notes: skeleton.notes.iter().map(|note| note_code(*note)).collect(),
        tags: tags(scan, &pipeline.keys),
    };
    commit(pipeline, work, &Command::Ingest(said)).await.map(drop)
}

/// Returns the keyed hashes under which the object can be found. What is empty in the object is no tag.
pub fn tags(scan: &Scan, keys: &Keys) -> Vec<Tag> {
    let identity = &scan.identity;
    let mut tags = Vec::with_capacity(3);
    if !identity.study_instance_uid.expose().is_empty() {
        tags.push(Tag { kind: TagKind::Study, hash: keys.study_k(&identity.study_instance_uid) });
    }
    if !identity.patient.patient_id.expose().is_empty() {
        tags.push(Tag { kind: TagKind::Patient, hash: keys.patient_k(&identity.patient) });
    }
    if let Some(accession_number) = &identity.accession_number {
        tags.push(Tag { kind: TagKind::Accession, hash: keys.accession_k(accession_number) });
    }
    tags
}

fn note_code(note: Note) -> Code {
    match note {
        Note::NoMeta => const { Code::fixed("no_meta") },
        Note::MetaGroupLength => const { Code::fixed("meta_group_length") },
        Note::NoTransferSyntax => const { Code::fixed("no_transfer_syntax") },
        Note::Order => const { Code::fixed("order") },
        Note::TrailingBytes => const { Code::fixed("trailing_bytes") },
        Note::OddLength => const { Code::fixed("odd_length") },
        Note::StrayDelimiter => const { Code::fixed("stray_delimiter") },
        Note::NoDelimiter => const { Code::fixed("no_delimiter") },
    }
}
