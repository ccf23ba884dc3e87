//! An ultrasound image with the patient's name, number and birth date burned into its pixels.

use dicom_core::{PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use domain::Reason;

use super::{common, requested};
use crate::demo::canvas::Canvas;
use crate::demo::invent::{Draw, Patient, patient};
use crate::demo::object::{Code, Object};
use crate::demo::{DemoFile, Expected};

const COLUMNS: u16 = 320;
const ROWS: u16 = 240;
const PROCEDURE: Code = Code("45036003", "SCT", "Ultrasound of abdomen");

/// Returns the image of `seed`.
pub(super) fn image(seed: u64) -> DemoFile {
    let patient = patient(seed, "us");
    let mut draw = Draw::new(seed, "us image");
    let uids = [draw.uid(), draw.uid()];
    let mut canvas = sector(&mut draw);
    canvas.write(&patient.name.replace('^', " "), (8, 6), 2, 235);
    canvas.write(&format!("{}  {}", patient.id, patient.birth_date), (8, 26), 1, 235);
    canvas.write(patient.institution, (8, 226), 1, 200);
    DemoFile {
        name: "us/IM0001.dcm".to_owned(),
        bytes: object(&patient, &uids, &canvas).file(uids::EXPLICIT_VR_LITTLE_ENDIAN),
        told: "ultrasound image with the patient's name burned into its pixels",
        expected: Expected::Quarantined(Reason::PixelsNotJudged),
    }
}

fn object(patient: &Patient, [series, sop_instance]: &[String; 2], canvas: &Canvas) -> Object {
    Object::new()
        .set(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192")
        .with(|object| common(object, patient, PROCEDURE))
        .with(|object| requested(object, patient, PROCEDURE))
        .set(tags::IMAGE_TYPE, r"ORIGINAL\PRIMARY\ABDOMINAL\0001")
        .set(tags::SOP_CLASS_UID, uids::ULTRASOUND_IMAGE_STORAGE)
        .set(tags::SOP_INSTANCE_UID, sop_instance)
        .set(tags::MODALITY, "US")
        .set(tags::SERIES_INSTANCE_UID, series)
        .set(tags::SERIES_NUMBER, "1")
        .set(tags::SERIES_DESCRIPTION, "Liver")
        .set(tags::BODY_PART_EXAMINED, "ABDOMEN")
        .set(tags::PERFORMING_PHYSICIAN_NAME, &patient.performing_physician)
        .set(tags::OPERATORS_NAME, &patient.operator)
        .set(tags::MANUFACTURER, "Saltmarsh Sonics")
        .set(tags::MANUFACTURER_MODEL_NAME, "Echo 7")
        .set(tags::STATION_NAME, "FJORDUS03")
        .set(tags::DEVICE_SERIAL_NUMBER, "E7-00931")
        .set(tags::CONTENT_DATE, &patient.study_date)
        .set(tags::CONTENT_TIME, "133004")
        .set(tags::INSTANCE_NUMBER, "1")
        .set(tags::PATIENT_ORIENTATION, "")
        .set(tags::BURNED_IN_ANNOTATION, "YES")
        .sequence(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, vec![region()])
        .numbers(tags::SAMPLES_PER_PIXEL, &[3])
        .set(tags::PHOTOMETRIC_INTERPRETATION, "RGB")
        .numbers(tags::PLANAR_CONFIGURATION, &[0])
        .numbers(tags::ROWS, &[ROWS])
        .numbers(tags::COLUMNS, &[COLUMNS])
        .numbers(tags::BITS_ALLOCATED, &[8])
        .numbers(tags::BITS_STORED, &[8])
        .numbers(tags::HIGH_BIT, &[7])
        .numbers(tags::PIXEL_REPRESENTATION, &[0])
        .put(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(canvas.rgb()))
}

/// The calibrated region (PS3.3 C.8.5.5): a 2D tissue image in centimetres.
fn region() -> Object {
    let long = |value: u32| PrimitiveValue::from(value);
    Object::new()
        .numbers(tags::REGION_SPATIAL_FORMAT, &[1])
        .numbers(tags::REGION_DATA_TYPE, &[1])
        .put(tags::REGION_FLAGS, VR::UL, long(0))
        .put(tags::REGION_LOCATION_MIN_X0, VR::UL, long(20))
        .put(tags::REGION_LOCATION_MIN_Y0, VR::UL, long(40))
        .put(tags::REGION_LOCATION_MAX_X1, VR::UL, long(300))
        .put(tags::REGION_LOCATION_MAX_Y1, VR::UL, long(220))
        .numbers(tags::PHYSICAL_UNITS_X_DIRECTION, &[3])
        .numbers(tags::PHYSICAL_UNITS_Y_DIRECTION, &[3])
        .put(tags::PHYSICAL_DELTA_X, VR::FD, PrimitiveValue::from(0.0625f64))
        .put(tags::PHYSICAL_DELTA_Y, VR::FD, PrimitiveValue::from(0.0625f64))
}

/// Draws the fan of a curved probe with speckle and one bright boundary.
fn sector(draw: &mut Draw) -> Canvas {
    let mut canvas = Canvas::new(COLUMNS, ROWS, 4);
    for row in 40..220i64 {
        for column in 0..i64::from(COLUMNS) {
            let (across, depth) = (column - 160, row);
            let inside = across.abs() * 10 <= depth * 7
                && (60i64.pow(2)..218i64.pow(2)).contains(&(across.pow(2) + depth.pow(2)));
            if inside {
                let boundary = (depth - 150 - across / 6).abs() < 3;
                let speckle = draw.below(if boundary { 120 } else { 60 }) as u16;
                canvas.set(column, row, speckle + if boundary { 110 } else { 30 });
            }
        }
    }
    canvas
}
