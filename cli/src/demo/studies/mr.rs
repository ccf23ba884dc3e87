//! An MR series of a head phantom: implicit VR, UTF-8 text, private attributes as a Siemens scanner writes them, and one
//! file whose name is an identifier.

use dicom_core::{PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};

use super::{common, grey_pixels, requested, spoken};
use crate::demo::canvas::{Canvas, Ellipse};
use crate::demo::invent::{Draw, Patient, patient};
use crate::demo::object::{Code, Object};
use crate::demo::{DemoFile, Expected};

const SLICES: u16 = 3;
const SIDE: u16 = 192;
const PROCEDURE: Code = Code("816077007", "SCT", "MRI of brain");

/// Returns the series of `seed`.
pub(super) fn series(seed: u64) -> Vec<DemoFile> {
    let mut patient = patient(seed, "mr");
    let file_name = format!("{}-{}", patient.name.replace('^', "_"), patient.birth_date);
    // Alphabetic, ideographic and phonetic representation (PS3.5 6.2.1).
    patient.name.push_str("=森田^花子=もりた^はなこ");
    let mut draw = Draw::new(seed, "mr series");
    let (series, frame) = (draw.uid(), draw.uid());
    (0..SLICES)
        .map(|index| {
            let sop_instance_uid = draw.uid();
            let slice = Slice { index, sop_instance_uid: &sop_instance_uid, series: &series, frame: &frame };
            let pixels = phantom(&mut draw, index);
            let last = index + 1 == SLICES;
            DemoFile {
                name: if last { format!("mr/{file_name}.dcm") } else { format!("mr/IM{:04}.dcm", index + 1) },
                bytes: object(&patient, &slice, &pixels).file(uids::IMPLICIT_VR_LITTLE_ENDIAN),
                told: if last {
                    "MR slice whose file name is the patient's name and birth date"
                } else {
                    "MR slice with Siemens-like private attributes"
                },
                expected: Expected::Delivered,
            }
        })
        .collect()
}

struct Slice<'a> {
    index: u16,
    sop_instance_uid: &'a str,
    series: &'a str,
    frame: &'a str,
}

fn object(patient: &Patient, slice: &Slice<'_>, pixels: &Canvas) -> Object {
    let position_mm = f64::from(slice.index).mul_add(6.0, 12.0);
    Object::new()
        .set(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192")
        .with(|object| common(object, patient, PROCEDURE))
        .with(|object| requested(object, patient, PROCEDURE))
        .set(tags::IMAGE_TYPE, r"ORIGINAL\PRIMARY\M\ND")
        .set(tags::SOP_CLASS_UID, uids::MR_IMAGE_STORAGE)
        .set(tags::SOP_INSTANCE_UID, slice.sop_instance_uid)
        .set(tags::MODALITY, "MR")
        .set(tags::SERIES_INSTANCE_UID, slice.series)
        .set(tags::SERIES_NUMBER, "4")
        .set(tags::SERIES_DESCRIPTION, "t2_tse_tra")
        .set(tags::PROTOCOL_NAME, "t2_tse_tra")
        .set(tags::BODY_PART_EXAMINED, "HEAD")
        .set(tags::PATIENT_POSITION, "HFS")
        .set(tags::PERFORMING_PHYSICIAN_NAME, &patient.performing_physician)
        .set(tags::OPERATORS_NAME, &patient.operator)
        .set(tags::FRAME_OF_REFERENCE_UID, slice.frame)
        .set(tags::POSITION_REFERENCE_INDICATOR, "")
        .set(tags::MANUFACTURER, "SIEMENS")
        .set(tags::MANUFACTURER_MODEL_NAME, "MAGNETOM Skyra")
        .set(tags::STATION_NAME, "FJORDMR02")
        .set(tags::DEVICE_SERIAL_NUMBER, "45311")
        .set(tags::SOFTWARE_VERSIONS, "syngo MR E11")
        .set(tags::ACQUISITION_DATE, &patient.study_date)
        .set(tags::ACQUISITION_TIME, "104233.7525")
        .set(tags::CONTENT_DATE, &patient.study_date)
        .set(tags::CONTENT_TIME, &format!("1043{:02}", slice.index))
        .set(tags::INSTANCE_NUMBER, &(slice.index + 1).to_string())
        .set(tags::ACQUISITION_NUMBER, "1")
        .set(tags::IMAGE_POSITION_PATIENT, &format!(r"-115\-115\{position_mm:.1}"))
        .set(tags::IMAGE_ORIENTATION_PATIENT, r"1\0\0\0\1\0")
        .set(tags::SLICE_LOCATION, &format!("{position_mm:.1}"))
        .set(tags::SLICE_THICKNESS, "5")
        .set(tags::PIXEL_SPACING, r"1.2\1.2")
        .with(sequence_parameters)
        .with(|object| private(object, patient, slice))
        .with(|object| grey_pixels(object, pixels))
}

fn sequence_parameters(object: Object) -> Object {
    object
        .set(tags::SCANNING_SEQUENCE, "SE")
        .set(tags::SEQUENCE_VARIANT, r"SK\SP\OSP")
        .set(tags::SCAN_OPTIONS, "")
        .set(tags::MR_ACQUISITION_TYPE, "2D")
        .set(tags::SEQUENCE_NAME, "*tse2d1_15")
        .set(tags::REPETITION_TIME, "5200")
        .set(tags::ECHO_TIME, "98")
        .set(tags::ECHO_TRAIN_LENGTH, "15")
        .set(tags::FLIP_ANGLE, "150")
        .set(tags::MAGNETIC_FIELD_STRENGTH, "3")
        .set(tags::WINDOW_CENTER, "900")
        .set(tags::WINDOW_WIDTH, "1800")
}

/// Adds private attributes; the binary CSA header holds the patient's name in the middle of other bytes.
fn private(object: Object, patient: &Patient, slice: &Slice<'_>) -> Object {
    let text = |value: &str| PrimitiveValue::from(value);
    let mut csa = b"SV10\x04\x03\x02\x01\x02\0\0\0M\0\0\0".to_vec();
    csa.extend_from_slice(format!("tPatientName = \"{}\"\0", spoken(&patient.name)).as_bytes());
    csa.extend_from_slice(format!("tReferenceImage0 = \"{}\"\0", slice.sop_instance_uid).as_bytes());
    csa.resize(csa.len().next_multiple_of(2), 0);
    object
        .private(
            (0x0019, 0x10),
            "SIEMENS MR HEADER",
            &[
                (0x08, VR::CS, text("IMAGE NUM 4")),
                (0x09, VR::LO, text("1.0")),
                (0x0b, VR::DS, text("98.5")),
                (0x0f, VR::SH, text("Normal")),
            ],
        )
        .private(
            (0x0029, 0x10),
            "SIEMENS CSA HEADER",
            &[
                (0x08, VR::CS, text("IMAGE NUM 4")),
                (0x09, VR::LO, text(&patient.study_date)),
                (0x10, VR::OB, PrimitiveValue::from(csa)),
            ],
        )
        .private((0x0051, 0x10), "SIEMENS MR HEADER", &[(0x0c, VR::LO, text("FoV 230*230"))])
}

/// Draws one slice: skull, brain, ventricles and a small lesion.
fn phantom(draw: &mut Draw, index: u16) -> Canvas {
    let mut canvas = Canvas::new(SIDE, SIDE, 8);
    let level = i64::from(index);
    let mut fill = |column, row, half_width, half_height, grey| {
        canvas.fill(Ellipse { column, row, half_width, half_height }, grey);
    };
    fill(96, 96, 72, 86, 620);
    fill(96, 96, 67, 81, 90);
    fill(96, 96, 62, 76, 820);
    fill(96, 96, 46, 60, 700);
    fill(84, 92, 7 + level, 22, 1720);
    fill(108, 92, 7 + level, 22, 1720);
    fill(128, 70, 4 + level, 5, 1400);
    canvas.noise(draw, 40, 4095);
    canvas
}
