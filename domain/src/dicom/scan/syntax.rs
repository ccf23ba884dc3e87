//! The transfer syntaxes of DICOM (PS3.6 Table A-1, retired ones too) and what each means for structure.

use crate::dicom::skeleton::{Encoding, Syntax};

/// What a Transfer Syntax UID means for structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    ImplicitLe,
    ExplicitLe,
    ExplicitBe,
    /// The data set behind the meta is a raw deflate stream of explicit VR little endian (PS3.5 A.5).
    Deflated,
    /// Explicit VR little endian, Pixel Data encapsulated, fragments opaque (RLE, video, deflated frames).
    Encapsulated,
    /// As `Encapsulated`, and the fragments are code streams with marker segments or boxes that can be walked.
    Walked,
}

pub(crate) const IMPLICIT_LE: &str = "1.2.840.10008.1.2";
pub(crate) const EXPLICIT_LE: &str = "1.2.840.10008.1.2.1";
pub(crate) const EXPLICIT_BE: &str = "1.2.840.10008.1.2.2";

/// Returns the form of a transfer syntax; `None` if it is unknown, private, or no form of a data set in a file
/// (RFC 2557, XML, SMPTE ST 2110).
pub(crate) fn form(uid: &str) -> Option<Form> {
    let rest = uid.strip_prefix("1.2.840.10008.1.2")?;
    match rest {
        "" => return Some(Form::ImplicitLe),
        ".1" => return Some(Form::ExplicitLe),
        ".2" => return Some(Form::ExplicitBe),
        // Deflated; JPIP Referenced Deflate; JPIP HTJ2K Referenced Deflate.
        ".1.99" | ".4.95" | ".4.205" => return Some(Form::Deflated),
        // JPIP: the pixels are elsewhere.
        ".4.94" | ".4.204" => return Some(Form::ExplicitLe),
        // Encapsulated Uncompressed; RLE; Deflated Image Frame Compression.
        ".1.98" | ".5" | ".8.1" => return Some(Form::Encapsulated),
        _ => {}
    }
    let (number, fragmentable) = match rest.strip_prefix(".4.")?.split_once('.') {
        Some((number, "1")) => (number, true),
        Some(_) => return None,
        None => (rest.strip_prefix(".4.")?, false),
    };
    match (number.parse::<u16>().ok().filter(|n| n.to_string() == number)?, fragmentable) {
        // JPEG, JPEG-LS, JPEG 2000, JPEG XL, HTJ2K.
        (50..=66 | 70 | 80 | 81 | 90..=93 | 110..=112 | 201..=203, false) => Some(Form::Walked),
        // MPEG-2, H.264; HEVC has no fragmentable twin.
        (100..=106, _) | (107 | 108, false) => Some(Form::Encapsulated),
        _ => None,
    }
}

impl Form {
    pub(crate) const fn encoding(self) -> Encoding {
        match self {
            Self::ImplicitLe => Encoding::IMPLICIT_LE,
            Self::ExplicitBe => Encoding::EXPLICIT_BE,
            Self::ExplicitLe | Self::Deflated | Self::Encapsulated | Self::Walked => Encoding::EXPLICIT_LE,
        }
    }

    pub(crate) fn syntax(self, uid: &str) -> Syntax {
        Syntax {
            uid: uid.to_owned(),
            encoding: self.encoding(),
            deflated: self == Self::Deflated,
            encapsulated: matches!(self, Self::Encapsulated | Self::Walked),
        }
    }
}

/// Returns the native transfer syntax of an encoding that was found from the bytes.
pub(crate) const fn uid_of(encoding: Encoding) -> &'static str {
    match (encoding.explicit, encoding.big_endian) {
        (false, _) => IMPLICIT_LE,
        (true, false) => EXPLICIT_LE,
        (true, true) => EXPLICIT_BE,
    }
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;

    use super::*;

    #[test]
    #[allow(deprecated, reason = "retired transfer syntaxes are read too")]
    fn every_kind_of_transfer_syntax_of_the_dictionary_has_its_form() {
        for (uid, expected) in [
            (uids::IMPLICIT_VR_LITTLE_ENDIAN, Some(Form::ImplicitLe)),
            (uids::EXPLICIT_VR_LITTLE_ENDIAN, Some(Form::ExplicitLe)),
            (uids::EXPLICIT_VR_BIG_ENDIAN, Some(Form::ExplicitBe)),
            (uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, Some(Form::Deflated)),
            (uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN, Some(Form::Encapsulated)),
            (uids::DEFLATED_IMAGE_FRAME_COMPRESSION, Some(Form::Encapsulated)),
            (uids::RLE_LOSSLESS, Some(Form::Encapsulated)),
            (uids::MPEG4HP41, Some(Form::Encapsulated)),
            (uids::MPEG4HP41F, Some(Form::Encapsulated)),
            (uids::HEVCM10P51, Some(Form::Encapsulated)),
            (uids::JPEG_BASELINE8_BIT, Some(Form::Walked)),
            (uids::JPEG_LOSSLESS_HIERARCHICAL29, Some(Form::Walked)),
            (uids::JPEG_LOSSLESS_SV1, Some(Form::Walked)),
            (uids::JPEGLS_NEAR_LOSSLESS, Some(Form::Walked)),
            (uids::JPEG2000MC, Some(Form::Walked)),
            (uids::JPEGXLJPEG_RECOMPRESSION, Some(Form::Walked)),
            (uids::HTJ2K_LOSSLESS_RPCL, Some(Form::Walked)),
            (uids::JPIP_REFERENCED_DEFLATE, Some(Form::Deflated)),
            (uids::JPIPHTJ2K_REFERENCED, Some(Form::ExplicitLe)),
            (uids::RFC2557MIME_ENCAPSULATION, None),
            (uids::XML_ENCODING, None),
            ("1.2.840.113619.5.2", None),
            ("1.2.840.10008.1.2.4.050", None),
            ("1.2.840.10008.1.2.4.50.1", None),
            ("1.2.840.10008.1.20", None),
        ] {
            assert_eq!(form(uid), expected, "{uid}");
        }
    }
}
