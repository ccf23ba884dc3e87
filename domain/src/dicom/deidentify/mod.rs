//! De-identification by the Basic Profile of PS3.15 Annex E, at every nesting level (DESIGN §6, docs/adr/0005).
//!
//! The whole skeleton is read before the first byte is written: a description may hold a name that comes later.
//! `identifiers` collects what tells of this object, `walk` decides element by element, `write` puts the output together.

mod dummies;
mod dummy;
mod fold;
mod hash;
mod identifiers;
mod judge;
mod pixels;
mod profile;
mod receipt;
mod text;
mod value;
mod walk;
mod words;
mod write;

#[cfg(test)]
mod tests;

use dicom_core::{Tag, VR};

use super::identity::{Identity, is_well_formed_uid};
use super::plan::{Emit, Plan};
use super::skeleton::{Encoding, Skeleton};
use crate::ids::Keys;
use crate::{Reason, Rejection};

pub use profile::{Profile, ProfileError};

/// Version of the rules in this module. It is part of every profile's digest: a change of what is written raises it.
pub(super) const RULES_VERSION: u32 = 1;

/// UID of this implementation in file meta; the number of UUIDv5(NAMESPACE_URL, "medimg/v1/implementation").
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.98882630021481323920511884251935911255";
/// Name of this implementation in file meta, at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = "MEDIMG_1";
/// What (0012,0063) says.
const METHOD: &[u8] = b"PS3.15 Basic Application Level Confidentiality Profile 2026c";

/// Returns how the de-identified object is put together.
///
/// The elements come in ascending order of tags and each once (of one that stands twice the last counts), except where
/// that would need the source to be read backwards: then they keep the source's order. Same input, profile and keys: same plan.
///
/// Rejects with `missing_required` and `charset` as ingestion and validation do, with `pixels_not_judged` what may show
/// identifiers in its pixels unless the profile accepts that, and with `residual_identifier` if one of the object's own
/// identifiers is found in what would be written.
pub fn deidentify(skeleton: &Skeleton, profile: &Profile, keys: &Keys) -> Result<Plan, Rejection> {
    let identity = Identity::read(skeleton)?;
    let uids = [
        &identity.sop_class_uid,
        identity.sop_instance_uid.expose(),
        identity.study_instance_uid.expose(),
        identity.series_instance_uid.expose(),
    ];
    if !uids.into_iter().all(|uid| is_well_formed_uid(uid)) {
        return Err(Rejection::new(
            Reason::MissingRequired,
            "a UID that identifies the object is missing or ill-formed",
        ));
    }
    if !profile.accepts_pixels() {
        judge::check(skeleton, &identity.sop_class_uid)?;
    }
    let rows = &profile.facts().rows;
    let identifiers = identifiers::Identifiers::collect(skeleton, rows);
    let mut plan = walk::run(skeleton, profile, keys, &identity, &identifiers, true)?;
    if !offsets_ascend(&plan.emit) {
        plan = walk::run(skeleton, profile, keys, &identity, &identifiers, false)?;
    }
    Ok(plan)
}

fn offsets_ascend(emit: &[Emit]) -> bool {
    let mut at = 0;
    emit.iter().all(|piece| match piece {
        Emit::Bytes(_) => true,
        Emit::Copy { offset, len } | Emit::Numbers { offset, len } | Emit::Swap { offset, len, .. } => {
            let ascends = *offset >= at;
            at = offset + len;
            ascends
        }
    })
}

/// Returns the Transfer Syntax UID of the output: the input's, deflated written plain.
fn output_syntax(skeleton: &Skeleton) -> &str {
    if skeleton.syntax.deflated { "1.2.840.10008.1.2.1" } else { &skeleton.syntax.uid }
}

/// Writes preamble and file meta (PS3.10 7.1): nothing of the source's but class, syntax and the new instance UID.
fn write_meta(writer: &mut write::Writer, sop_class_uid: &str, new_sop_instance_uid: &str, transfer_syntax_uid: &str) {
    let encoding = writer.encoding();
    let mut meta = write::Writer::new(Encoding::EXPLICIT_LE, 512);
    meta.element(Tag(0x0002, 0x0001), VR::OB, &[0, 1]);
    meta.element(Tag(0x0002, 0x0002), VR::UI, sop_class_uid.as_bytes());
    meta.element(Tag(0x0002, 0x0003), VR::UI, new_sop_instance_uid.as_bytes());
    meta.element(Tag(0x0002, 0x0010), VR::UI, transfer_syntax_uid.as_bytes());
    meta.element(Tag(0x0002, 0x0012), VR::UI, IMPLEMENTATION_CLASS_UID.as_bytes());
    meta.element(Tag(0x0002, 0x0013), VR::SH, IMPLEMENTATION_VERSION_NAME.as_bytes());
    let (pieces, _) = meta.finish();
    let length: u64 = pieces.iter().map(Emit::len).sum();
    writer.raw(&[0; 128]);
    writer.raw(b"DICM");
    writer.set_encoding(Encoding::EXPLICIT_LE);
    writer.element(Tag(0x0002, 0x0000), VR::UL, &(length as u32).to_le_bytes());
    for piece in pieces {
        if let Emit::Bytes(bytes) = piece {
            writer.raw(&bytes);
        }
    }
    writer.set_encoding(encoding);
}
