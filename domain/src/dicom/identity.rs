//! `Identity`: which object this is, read from a skeleton before anything is decided about it (DESIGN §4).

use dicom_core::Tag;

use super::charset::Charset;
use super::skeleton::Skeleton;
use crate::ids::PatientIdentity;
use crate::{Phi, Reason, Rejection};

/// What identifies an object. UIDs are as they stand, without trailing NUL and space, and may be empty or ill-formed:
/// `validate` decides that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: String,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Phi<String>,
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Phi<String>,
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Phi<String>,
    /// Patient ID and its issuer; the Study Instance UID stands for an absent Patient ID.
    pub patient: PatientIdentity,
    /// Accession Number (0008,0050), decoded, padding cut; `None` if absent, empty or not readable.
    pub accession_number: Option<Phi<String>>,
    /// Modality (0008,0060), `[A-Z0-9]{1,16}` only, else empty.
    pub modality: String,
}

impl Identity {
    /// Reads the identity. Fails with `charset` where the Patient ID or its issuer cannot be decoded: a patient that is
    /// hashed from undecoded bytes would be another patient in the next object.
    pub fn read(skeleton: &Skeleton) -> Result<Self, Rejection> {
        let charset = Charset::parse(skeleton.value(Tag(0x0008, 0x0005)).unwrap_or(&[]));
        let required = |tag| {
            text(skeleton, charset, tag).ok_or_else(|| {
                Rejection::new(Reason::Charset, "the patient id or its issuer does not obey the character set declared")
                    .at_path(format!("({:04X},{:04X})", tag.group(), tag.element()))
            })
        };
        let study_instance_uid = uid(skeleton, Tag(0x0020, 0x000D));
        let mut patient_id = required(Tag(0x0010, 0x0020))?;
        if patient_id.is_empty() {
            patient_id.clone_from(&study_instance_uid);
        }
        let accession = text(skeleton, charset, Tag(0x0008, 0x0050)).filter(|number| !number.is_empty());
        let modality = text(skeleton, charset, Tag(0x0008, 0x0060)).unwrap_or_default();
        let plain = modality.len() <= 16 && modality.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        Ok(Self {
            sop_class_uid: uid(skeleton, Tag(0x0008, 0x0016)),
            sop_instance_uid: Phi::new(uid(skeleton, Tag(0x0008, 0x0018))),
            study_instance_uid: Phi::new(study_instance_uid),
            series_instance_uid: Phi::new(uid(skeleton, Tag(0x0020, 0x000E))),
            patient: PatientIdentity {
                patient_id: Phi::new(patient_id),
                issuer: Phi::new(required(Tag(0x0010, 0x0021))?),
            },
            accession_number: accession.map(Phi::new),
            modality: if plain { modality } else { String::new() },
        })
    }
}

/// Returns the decoded value of a top-level text attribute, padding cut; empty if absent, `None` if it cannot be decoded.
fn text(skeleton: &Skeleton, charset: Charset, tag: Tag) -> Option<String> {
    let bytes = skeleton.value(tag).unwrap_or(&[]);
    Some(cut_padding(&charset.decode(bytes, false)?).to_owned())
}

/// Returns the text without the padding around it: spaces and NUL (PS3.5 6.2).
pub(super) fn cut_padding(text: &str) -> &str {
    text.trim_matches([' ', '\0'])
}

/// Returns a UID's text; bytes that no UID has are kept as replacement characters, so that the result is ill-formed.
fn uid(skeleton: &Skeleton, tag: Tag) -> String {
    uid_text(skeleton.value(tag).unwrap_or(&[]))
}

pub(super) fn uid_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches([' ', '\0']).to_owned()
}

/// Whether `uid` obeys PS3.5 9.1: at most 64 characters, numbers joined by dots, no leading zeros.
pub fn is_well_formed_uid(uid: &str) -> bool {
    let uid = uid.as_bytes();
    uid.len() <= 64
        && uid.contains(&b'.')
        && uid.split(|&byte| byte == b'.').all(|number| match number {
            [] => false,
            [b'0', _, ..] => false,
            digits => digits.iter().all(u8::is_ascii_digit),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_obey_their_grammar() {
        for good in ["1.2", "2.25.0", "1.2.840.10008.1.2"] {
            assert!(is_well_formed_uid(good), "{good}");
        }
        let long = format!("1.{}", "2".repeat(63));
        for bad in ["", "1", "1..2", "1.02", ".1", "1.", "1.a", "1.2 ", long.as_str()] {
            assert!(!is_well_formed_uid(bad), "{bad}");
        }
    }
}
