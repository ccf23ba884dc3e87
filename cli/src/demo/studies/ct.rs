//! A CT series of a chest phantom: nested sequences, private attributes as a GE scanner writes them, Latin-1 text.

use dicom_core::{PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::{common, grey_pixels, requested, spoken};
use crate::demo::canvas::{Canvas, Ellipse};
use crate::demo::invent::{Draw, Patient, patient};
use crate::demo::object::{Code, Object};
use crate::demo::{DemoFile, Expected};

/// How many slices.
const SLICES: u16 = 8;
const SIDE: u16 = 256;
pub(super) const PROCEDURE: Code = Code("169069000", "SCT", "CT of chest");

/// The series and what other objects need to refer to it.
pub(super) struct Series {
    pub(super) patient: Patient,
    pub(super) series_instance_uid: String,
    pub(super) sop_instance_uids: Vec<String>,
    slices: Vec<Vec<u8>>,
}

impl Series {
    /// Returns the bytes of the slice in the middle.
    pub(super) fn middle_slice(&self) -> &[u8] {
        &self.slices[self.slices.len() / 2]
    }

    pub(super) fn into_files(self) -> Vec<DemoFile> {
        (1..)
            .zip(self.slices)
            .map(|(number, bytes)| DemoFile {
                name: format!("ct/IM{number:04}.dcm"),
                bytes,
                told: "CT slice with nested sequences and GE-like private attributes",
                expected: Expected::Delivered,
            })
            .collect()
    }
}

/// Returns the series of `seed`.
pub(super) fn series(seed: u64) -> Series {
    let mut patient = patient(seed, "ct");
    // A name outside of ASCII, in the character set that the object declares.
    patient.name.push_str("^Åse^^née Ødegård");
    let mut draw = Draw::new(seed, "ct series");
    let (series_instance_uid, frame_of_reference_uid) = (draw.uid(), draw.uid());
    let sop_instance_uids: Vec<String> = (0..SLICES).map(|_| draw.uid()).collect();
    let slices = (0..SLICES)
        .zip(&sop_instance_uids)
        .map(|(index, sop_instance_uid)| {
            let slice = Slice { index, sop_instance_uid, series: &series_instance_uid, frame: &frame_of_reference_uid };
            object(&patient, &slice, &phantom(&mut draw, index)).file(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        })
        .collect();
    Series { patient, series_instance_uid, sop_instance_uids, slices }
}

struct Slice<'a> {
    index: u16,
    sop_instance_uid: &'a str,
    series: &'a str,
    frame: &'a str,
}

fn object(patient: &Patient, slice: &Slice<'_>, pixels: &Canvas) -> Object {
    let position_mm = f64::from(slice.index).mul_add(5.0, -120.0);
    Object::new()
        .set(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 100")
        .with(|object| common(object, patient, PROCEDURE))
        .with(|object| requested(object, patient, PROCEDURE))
        .with(|object| series_and_equipment(object, patient, slice))
        .set(tags::IMAGE_TYPE, r"ORIGINAL\PRIMARY\AXIAL")
        .set(tags::SOP_CLASS_UID, uids::CT_IMAGE_STORAGE)
        .set(tags::SOP_INSTANCE_UID, slice.sop_instance_uid)
        .set(tags::ACQUISITION_DATE, &patient.study_date)
        .set(tags::ACQUISITION_TIME, "081730.120")
        .set(tags::CONTENT_DATE, &patient.study_date)
        .set(tags::CONTENT_TIME, &format!("0817{:02}", 30 + slice.index))
        .set(tags::INSTANCE_NUMBER, &(slice.index + 1).to_string())
        .set(tags::ACQUISITION_NUMBER, "1")
        .set(tags::IMAGE_COMMENTS, &format!("Shown to {} on the ward", spoken(&patient.performing_physician)))
        .set(tags::IMAGE_POSITION_PATIENT, &format!(r"-160\-160\{position_mm:.1}"))
        .set(tags::IMAGE_ORIENTATION_PATIENT, r"1\0\0\0\1\0")
        .set(tags::SLICE_LOCATION, &format!("{position_mm:.1}"))
        .set(tags::SLICE_THICKNESS, "5")
        .set(tags::PIXEL_SPACING, r"1.25\1.25")
        .set(tags::KVP, "120")
        .set(tags::X_RAY_TUBE_CURRENT, "210")
        .set(tags::EXPOSURE_TIME, "500")
        .set(tags::CONVOLUTION_KERNEL, "STANDARD")
        .set(tags::CONTRAST_BOLUS_AGENT, "Iohexol 300")
        .set(tags::RESCALE_INTERCEPT, "-1024")
        .set(tags::RESCALE_SLOPE, "1")
        .set(tags::RESCALE_TYPE, "HU")
        .set(tags::WINDOW_CENTER, r"40\-600")
        .set(tags::WINDOW_WIDTH, r"400\1500")
        .with(|object| private(object, patient, slice))
        .with(|object| grey_pixels(object, pixels))
}

fn series_and_equipment(object: Object, patient: &Patient, slice: &Slice<'_>) -> Object {
    object
        .set(tags::MODALITY, "CT")
        .set(tags::SERIES_INSTANCE_UID, slice.series)
        .set(tags::SERIES_NUMBER, "2")
        .set(tags::SERIES_DATE, &patient.study_date)
        .set(tags::SERIES_TIME, "081650")
        .set(tags::SERIES_DESCRIPTION, "Chest 5.0 STD")
        .set(tags::PROTOCOL_NAME, "6.1 CHEST ROUTINE")
        .set(tags::BODY_PART_EXAMINED, "CHEST")
        .set(tags::PATIENT_POSITION, "HFS")
        .set(tags::PERFORMING_PHYSICIAN_NAME, &patient.performing_physician)
        .set(tags::OPERATORS_NAME, &patient.operator)
        .set(tags::FRAME_OF_REFERENCE_UID, slice.frame)
        .set(tags::POSITION_REFERENCE_INDICATOR, "SN")
        .set(tags::MANUFACTURER, "GE MEDICAL SYSTEMS")
        .set(tags::MANUFACTURER_MODEL_NAME, "LightSpeed VCT")
        .set(tags::STATION_NAME, "FJORDCT01")
        .set(tags::DEVICE_SERIAL_NUMBER, "SN-440917")
        .set(tags::SOFTWARE_VERSIONS, "12HW28.8")
        .set(tags::DATE_OF_LAST_CALIBRATION, &patient.study_date)
        .set(tags::TIME_OF_LAST_CALIBRATION, "060000")
}

/// Adds private attributes, some with identifiers and one a sequence.
fn private(object: Object, patient: &Patient, slice: &Slice<'_>) -> Object {
    let text = |value: &str| PrimitiveValue::from(value);
    object
        .private(
            (0x0009, 0x10),
            "GEMS_IDEN_01",
            &[
                (0x01, VR::LO, text("CT_LIGHTSPEED")),
                (0x02, VR::SH, text("CT01")),
                (0x04, VR::SH, text("LightSpeed")),
                (0x31, VR::SH, text(&patient.id)),
                (0xe3, VR::UI, text(slice.series)),
            ],
        )
        .private(
            (0x0043, 0x10),
            "GEMS_PARM_01",
            &[
                (0x10, VR::US, PrimitiveValue::from(400u16)),
                (0x27, VR::SH, text("1.375:1")),
                (0x28, VR::OB, PrimitiveValue::from(spoken(&patient.operator).into_bytes())),
            ],
        )
        // A block that the hospital's own router added: private, undocumented, and a sequence.
        .private((0x0011, 0x10), "FJORDHEIM ROUTER 1.0", &[(0x02, VR::LO, text(&patient.accession_number))])
        .sequence(
            Tag(0x0011, 0x1001),
            vec![Object::new().set(tags::PATIENT_NAME, &patient.name).set(tags::PATIENT_ID, &patient.id)],
        )
}

/// Draws one slice: body, lungs, spine, aorta, and a nodule that grows and shrinks over the series. Stored values are
/// Hounsfield units + 1024.
fn phantom(draw: &mut Draw, index: u16) -> Canvas {
    let mut canvas = Canvas::new(SIDE, SIDE, 24);
    let level = i64::from(index);
    let mut fill = |column, row, half_width, half_height, grey| {
        canvas.fill(Ellipse { column, row, half_width, half_height }, grey);
    };
    fill(128, 130, 104, 76, 944);
    fill(128, 130, 100, 72, 1064);
    fill(82, 126, 34 + level, 50 + level, 184);
    fill(174, 126, 34 + level, 50 + level, 184);
    fill(128, 116, 24, 30, 1074);
    fill(128, 178, 14, 13, 1624);
    fill(128, 190, 5, 9, 1524);
    fill(146, 164, 9, 9, 1254);
    let nodule = 9 - (level - 4).abs();
    fill(188, 112, nodule, nodule, 1084);
    canvas.noise(draw, 24, 4095);
    canvas
}
