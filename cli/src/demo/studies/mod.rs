//! The studies of the demo, one kind of object a file, and what they have in common.

mod ct;
mod damaged;
mod mr;
mod sr;
mod us;

use dicom_dictionary_std::tags;

use super::DemoFile;
use super::invent::Patient;
use super::object::{Code, Object};

/// Returns the files of the demo in the order in which a folder walk meets them (bytes of the name).
pub(crate) fn studies(seed: u64) -> Vec<DemoFile> {
    let series = ct::series(seed);
    let mut files = vec![sr::report(seed, &series)];
    files.extend(damaged::files(seed, &series));
    files.extend(series.into_files());
    files.extend(mr::series(seed));
    files.push(us::image(seed));
    files.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    files
}

/// Adds what every object says about patient, study and equipment: full of identifiers, all invented.
fn common(object: Object, patient: &Patient, procedure: Code) -> Object {
    object
        .set(tags::STUDY_DATE, &patient.study_date)
        .set(tags::STUDY_TIME, "081512.450")
        .set(tags::ACCESSION_NUMBER, &patient.accession_number)
        .set(tags::INSTITUTION_NAME, patient.institution)
        .set(tags::INSTITUTION_ADDRESS, "1 Harbour Square, Fjordheim")
        .set(tags::INSTITUTIONAL_DEPARTMENT_NAME, "Radiology, building C")
        .set(tags::REFERRING_PHYSICIAN_NAME, &patient.referring_physician)
        .set(tags::STUDY_DESCRIPTION, &format!("{} for {}", procedure.2, spoken(&patient.name)))
        .sequence(tags::PROCEDURE_CODE_SEQUENCE, vec![Object::code(procedure)])
        .set(tags::PATIENT_NAME, &patient.name)
        .set(tags::PATIENT_ID, &patient.id)
        .set(tags::ISSUER_OF_PATIENT_ID, "FJORDHEIM")
        .set(tags::PATIENT_BIRTH_DATE, &patient.birth_date)
        .set(tags::PATIENT_SEX, patient.sex)
        .set(tags::PATIENT_AGE, &patient.age)
        .set(tags::PATIENT_SIZE, "1.74")
        .set(tags::PATIENT_WEIGHT, "71")
        .set(tags::PATIENT_ADDRESS, &patient.address)
        .set(tags::PATIENT_TELEPHONE_NUMBERS, &patient.telephone)
        .set(tags::OCCUPATION, "Lamplighter")
        .set(tags::ADDITIONAL_PATIENT_HISTORY, &format!("{}, seen here before", spoken(&patient.name)))
        .set(tags::STUDY_INSTANCE_UID, &patient.study_instance_uid)
        .set(tags::STUDY_ID, &patient.accession_number[3..])
}

/// Adds the sequence that ties a series to its order (PS3.3 10.6): identifiers two levels down.
fn requested(object: Object, patient: &Patient, procedure: Code) -> Object {
    let step = Object::new()
        .set(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, procedure.2)
        .sequence(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, vec![Object::code(procedure)])
        .set(tags::SCHEDULED_PROCEDURE_STEP_ID, "SPS1")
        .set(tags::ACCESSION_NUMBER, &patient.accession_number)
        .set(tags::REQUESTED_PROCEDURE_DESCRIPTION, procedure.2)
        .sequence(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, vec![Object::code(procedure)])
        .set(tags::REASON_FOR_THE_REQUESTED_PROCEDURE, &format!("Follow-up of {}", spoken(&patient.name)))
        .set(tags::REQUESTED_PROCEDURE_ID, "RP1");
    object
        .sequence(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![step])
        .set(tags::PERFORMED_PROCEDURE_STEP_START_DATE, &patient.study_date)
        .set(tags::PERFORMED_PROCEDURE_STEP_START_TIME, "081512")
        .set(tags::PERFORMED_PROCEDURE_STEP_ID, "PPS1")
        .set(tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION, procedure.2)
}

/// Adds the attributes of a grey 16-bit image.
fn grey_pixels(object: Object, canvas: &super::canvas::Canvas) -> Object {
    object
        .numbers(tags::SAMPLES_PER_PIXEL, &[1])
        .set(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2")
        .numbers(tags::ROWS, &[canvas.rows])
        .numbers(tags::COLUMNS, &[canvas.columns])
        .numbers(tags::BITS_ALLOCATED, &[16])
        .numbers(tags::BITS_STORED, &[12])
        .numbers(tags::HIGH_BIT, &[11])
        .numbers(tags::PIXEL_REPRESENTATION, &[0])
        .put(tags::PIXEL_DATA, dicom_core::VR::OW, dicom_core::PrimitiveValue::U16(canvas.words().into()))
}

/// Returns the name as people write it: given name, then family name.
fn spoken(person_name: &str) -> String {
    let alphabetic = person_name.split('=').next().unwrap_or_default();
    let mut parts = alphabetic.split('^');
    let family = parts.next().unwrap_or_default();
    parts.next().map_or_else(|| family.to_owned(), |given| format!("{given} {family}"))
}
