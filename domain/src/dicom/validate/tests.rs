//! What quarantines and what only warns.

use dicom_core::{Tag, VR};

use super::*;
use crate::dicom::limits::Limits;
use crate::dicom::scan::scan_slice;
use crate::dicom::skeleton::Encoding;
use crate::dicom::testkit::{DataSet, Length, file};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const LE: &str = "1.2.840.10008.1.2.1";

/// The object under test: what a claim changes of a right CT of 4 x 3 pixels.
struct Object {
    class: &'static str,
    uids: [&'static str; 3],
    sizes: Vec<(u16, u16)>,
    photometric: &'static str,
    frames: &'static str,
    pixels: Option<(Tag, VR, usize)>,
}

impl Default for Object {
    fn default() -> Self {
        Self {
            class: CT,
            uids: ["1.2.826.1", "1.2.826.2", "1.2.826.3"],
            sizes: vec![(0x0002, 1), (0x0010, 3), (0x0011, 4), (0x0100, 16)],
            photometric: "MONOCHROME2",
            frames: "",
            pixels: Some((Tag(0x7FE0, 0x0010), VR::OW, 24)),
        }
    }
}

impl Object {
    fn verdict(&self) -> Result<Validation, Reason> {
        let mut set = DataSet::new(Encoding::EXPLICIT_LE)
            .text(Tag(0x0008, 0x0016), VR::UI, self.class)
            .text(Tag(0x0008, 0x0018), VR::UI, self.uids[0])
            .text(Tag(0x0020, 0x000D), VR::UI, self.uids[1])
            .text(Tag(0x0020, 0x000E), VR::UI, self.uids[2]);
        if let Some((_, samples)) = self.sizes.iter().find(|(element, _)| *element == 2) {
            set = set.us(Tag(0x0028, 0x0002), *samples);
        }
        if !self.photometric.is_empty() {
            set = set.text(Tag(0x0028, 0x0004), VR::CS, self.photometric);
        }
        if !self.frames.is_empty() {
            set = set.text(Tag(0x0028, 0x0008), VR::IS, self.frames);
        }
        for (element, value) in self.sizes.iter().filter(|(element, _)| *element != 2) {
            set = set.us(Tag(0x0028, *element), *value);
        }
        if let Some((tag, vr, len)) = self.pixels {
            set = set.element(tag, vr, &vec![0; len]);
        }
        verdict(&file(LE, &set.bytes()))
    }

    fn sized(mut self, element: u16, value: Option<u16>) -> Self {
        self.sizes.retain(|(here, _)| *here != element);
        self.sizes.extend(value.map(|value| (element, value)));
        self.sizes.sort_unstable();
        self
    }
}

fn verdict(bytes: &[u8]) -> Result<Validation, Reason> {
    let (skeleton, _) = scan_slice(bytes, Limits::default()).map_err(|rejection| rejection.reason)?;
    let identity = Identity::read(&skeleton).unwrap();
    validate(&skeleton, &identity).map_err(|rejection| rejection.reason)
}

#[test]
fn a_right_image_passes_and_its_breaches_are_warnings() {
    let found = Object::default().verdict().unwrap();
    assert_eq!(found.iod, Some("ct-image"));
    assert!(found.warnings.contains(&Warning { code: "type2_missing", path: "00100010".to_owned() }));
    assert!(found.warnings.contains(&Warning { code: "type1_missing", path: "00080060".to_owned() }));
    // 1C without its condition known: no warning.
    assert!(!found.warnings.iter().any(|warning| warning.path == "00280006"));
}

#[test]
fn missing_and_ill_formed_uids_quarantine() {
    for at in 0..3 {
        for bad in ["", "1.2.x", "1.02", "Smith"] {
            let mut object = Object::default();
            object.uids[at] = bad;
            assert_eq!(object.verdict(), Err(Reason::MissingRequired), "{at} {bad}");
        }
    }
    for class in ["", "1.2.840.10008.1.3.10", "1.2.840.10008.5.1.4.39.1"] {
        assert_eq!(Object { class, ..Object::default() }.verdict(), Err(Reason::MissingRequired), "{class}");
    }
}

#[test]
fn pixels_that_contradict_or_lack_what_sizes_them_quarantine() {
    let pixel = Err(Reason::Pixel);
    for element in [0x0002, 0x0010, 0x0011, 0x0100] {
        assert_eq!(Object::default().sized(element, None).verdict(), pixel, "{element:04X}");
        assert_eq!(Object::default().sized(element, Some(0)).verdict(), pixel, "{element:04X}");
        assert_eq!(Object::default().sized(element, Some(2)).verdict(), pixel, "{element:04X}");
    }
    for len in [0, 22, 26, 48] {
        let pixels = Some((Tag(0x7FE0, 0x0010), VR::OW, len));
        assert_eq!(Object { pixels, ..Object::default() }.verdict(), pixel, "{len}");
    }
    for frames in ["2", "0", "-1", "x", "99999999999"] {
        assert_eq!(Object { frames, ..Object::default() }.verdict(), pixel, "{frames}");
    }
    assert_eq!(Object { photometric: "RGB", ..Object::default() }.verdict(), pixel);
    assert_eq!(Object { pixels: None, ..Object::default() }.verdict(), pixel);
}

#[test]
fn every_layout_of_pixels_is_sized() {
    let with = |samples, bits, photometric, frames, len| {
        let object =
            Object { photometric, frames, pixels: Some((Tag(0x7FE0, 0x0010), VR::OW, len)), ..Object::default() };
        object.sized(2, Some(samples)).sized(0x0100, Some(bits)).verdict().is_ok()
    };
    assert!(with(3, 8, "RGB", "", 36) && !with(3, 8, "RGB", "", 24));
    assert!(with(3, 8, "YBR_FULL_422", "", 24) && !with(3, 8, "YBR_FULL_422", "", 36));
    assert!(
        with(1, 1, "MONOCHROME2", "", 2) && with(1, 1, "MONOCHROME2", "3", 6) && !with(1, 1, "MONOCHROME2", "3", 4)
    );
    assert!(with(1, 8, "PALETTE COLOR", "2", 24) && with(1, 32, "MONOCHROME2", "1 ", 48));
    // Nine bytes and one of padding.
    let odd = Object { pixels: Some((Tag(0x7FE0, 0x0010), VR::OW, 10)), ..Object::default() };
    assert!(odd.sized(0x0011, Some(3)).sized(0x0100, Some(8)).verdict().is_ok());
    let float = |tag, vr, len| Object {
        pixels: Some((tag, vr, len)),
        class: "1.2.840.10008.5.1.4.1.1.30",
        ..Object::default()
    };
    assert!(float(Tag(0x7FE0, 0x0008), VR::OF, 48).sized(0x0100, Some(32)).verdict().is_ok());
    assert!(float(Tag(0x7FE0, 0x0009), VR::OD, 96).sized(0x0100, Some(64)).verdict().is_ok());
    assert!(float(Tag(0x7FE0, 0x0009), VR::OD, 88).sized(0x0100, Some(64)).verdict().is_err());
}

#[test]
fn objects_without_pixels_are_only_images_if_their_attributes_say_so() {
    let none = |class, sizes| Object { class, sizes, pixels: None, ..Object::default() };
    let sized = || vec![(0x0010, 3), (0x0011, 4), (0x0100, 16)];
    assert!(none("1.2.840.10008.5.1.4.1.1.88.33", vec![]).verdict().is_ok());
    assert!(none("1.2.840.10008.5.1.4.1.1.481.2", vec![]).verdict().is_ok());
    // A dose that is sized but has no pixels was cut between two elements.
    assert_eq!(none("1.2.840.10008.5.1.4.1.1.481.2", sized()).verdict(), Err(Reason::Pixel));
    assert_eq!(none("1.2.826.0.1.99", sized()).verdict(), Err(Reason::Pixel));
    assert_eq!(none("1.2.826.0.1.99", vec![]).verdict().unwrap().warnings[0].code, "iod_unknown");
}

#[test]
fn fragments_must_make_the_frames() {
    let object = |frames: &str, count: usize| {
        let set = DataSet::new(Encoding::EXPLICIT_LE)
            .text(Tag(0x0008, 0x0016), VR::UI, CT)
            .text(Tag(0x0008, 0x0018), VR::UI, "1.2.826.1")
            .text(Tag(0x0020, 0x000D), VR::UI, "1.2.826.2")
            .text(Tag(0x0020, 0x000E), VR::UI, "1.2.826.3")
            .us(Tag(0x0028, 0x0002), 1)
            .text(Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2")
            .text(Tag(0x0028, 0x0008), VR::IS, frames)
            .us(Tag(0x0028, 0x0010), 3)
            .us(Tag(0x0028, 0x0011), 4)
            .us(Tag(0x0028, 0x0100), 8)
            .pixel_data(&[], &vec![vec![0; 64 + 12]; count]);
        verdict(&file("1.2.840.10008.1.2.5", &set.bytes()))
    };
    assert!(object("1", 1).is_ok() && object("2", 2).is_ok());
    assert_eq!(object("2", 1), Err(Reason::Pixel));
    assert_eq!(object("1", 0), Err(Reason::Pixel));
}

#[test]
fn warnings_are_found_at_depth_and_bounded() {
    let item = || DataSet::new(Encoding::EXPLICIT_LE).text(Tag(0x0008, 0x1150), VR::UI, CT).bytes();
    let set = DataSet::new(Encoding::EXPLICIT_LE)
        .text(Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.88.33")
        .text(Tag(0x0008, 0x0018), VR::UI, "1.2.826.1")
        .sequence(Tag(0x0008, 0x1111), VR::SQ, Length::Undefined, (0..500).map(|_| item()).collect())
        .text(Tag(0x0020, 0x000D), VR::UI, "1.2.826.2")
        .text(Tag(0x0020, 0x000E), VR::UI, "1.2.826.3");
    let found = verdict(&file(LE, &set.bytes())).unwrap();
    let missing = Warning { code: "type1_missing", path: "00081111.*.00081155".to_owned() };
    assert_eq!(found.warnings.iter().filter(|warning| **warning == missing).count(), 1);
    assert!(found.warning_count >= 500 && found.warnings.len() <= WARNING_COUNT_MAX);
}
