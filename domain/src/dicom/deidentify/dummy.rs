//! Dummy values that obey their VR, and dummy items that obey their IOD.

use dicom_core::VR;

/// What stands for text that had to go and may not be absent.
pub(super) const TEXT: &str = "ANONYMIZED";

/// Returns a value that obeys `vr` and says nothing; binary numbers are zero. Sequences and UIDs are made elsewhere.
pub(super) const fn value(vr: VR) -> &'static [u8] {
    match vr {
        VR::AE | VR::LO | VR::SH | VR::ST | VR::LT | VR::UT | VR::UC | VR::PN => TEXT.as_bytes(),
        VR::CS => b"UNKNOWN",
        VR::AS => b"000Y",
        VR::DA => b"19000101",
        VR::DT => b"19000101000000",
        VR::TM => b"000000",
        VR::DS | VR::IS => b"0",
        VR::UI => b"2.25.0",
        VR::UR => b"urn:anonymized",
        VR::US | VR::SS | VR::OB | VR::OW | VR::UN => &[0; 2],
        VR::UL | VR::SL | VR::FL | VR::AT | VR::OF | VR::OL => &[0; 4],
        VR::FD | VR::SV | VR::UV | VR::OD | VR::OV => &[0; 8],
        _ => &[],
    }
}

/// An empty page: what stands for an encapsulated PDF document that was accepted without being judged.
pub(super) const PDF: &[u8] =
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj\nxref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n\
0000000052 00000 n \n0000000101 00000 n \ntrailer<</Size 4/Root 1 0 R>>\nstartxref\n162\n%%EOF\n";
