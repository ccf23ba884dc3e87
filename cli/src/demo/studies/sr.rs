//! A Comprehensive SR (PS3.3 A.35.3) that reports on the CT: a content tree of four levels, a measurement taken from an
//! image, and the evidence sequence that lists what was read.

use dicom_dictionary_std::{tags, uids};

use super::ct::{PROCEDURE, Series};
use super::{common, spoken};
use crate::demo::invent::{Draw, Patient};
use crate::demo::object::{Code, Object};
use crate::demo::{DemoFile, Expected};

/// Returns the report of `seed` on the CT series.
pub(super) fn report(seed: u64, series: &Series) -> DemoFile {
    let mut draw = Draw::new(seed, "sr");
    let (series_instance_uid, sop_instance_uid) = (draw.uid(), draw.uid());
    let patient = &series.patient;
    let object = Object::new()
        .set(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 100")
        .with(|object| common(object, patient, PROCEDURE))
        .set(tags::SOP_CLASS_UID, uids::COMPREHENSIVE_SR_STORAGE)
        .set(tags::SOP_INSTANCE_UID, &sop_instance_uid)
        .set(tags::MODALITY, "SR")
        .set(tags::SERIES_INSTANCE_UID, &series_instance_uid)
        .set(tags::SERIES_NUMBER, "901")
        .set(tags::SERIES_DESCRIPTION, "Radiology report")
        .sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, vec![])
        .set(tags::MANUFACTURER, "Saltmarsh Reporting")
        .set(tags::INSTANCE_NUMBER, "1")
        .set(tags::CONTENT_DATE, &patient.study_date)
        .set(tags::CONTENT_TIME, "094501")
        .with(|object| document(object, series))
        .with(|object| content(object, series));
    DemoFile {
        name: "sr/IM0001.dcm".to_owned(),
        bytes: object.file(uids::EXPLICIT_VR_LITTLE_ENDIAN),
        told: "structured report that refers to the CT",
        expected: Expected::Delivered,
    }
}

/// Adds the SR Document General module (PS3.3 C.17.2): who verified it, for which order, on which evidence.
fn document(object: Object, series: &Series) -> Object {
    let patient = &series.patient;
    let observer = Object::new()
        .set(tags::VERIFYING_ORGANIZATION, patient.institution)
        .set(tags::VERIFICATION_DATE_TIME, &format!("{}101500", patient.study_date))
        .set(tags::VERIFYING_OBSERVER_NAME, &patient.performing_physician)
        .sequence(tags::VERIFYING_OBSERVER_IDENTIFICATION_CODE_SEQUENCE, vec![]);
    let request = Object::new()
        .set(tags::STUDY_INSTANCE_UID, &patient.study_instance_uid)
        .sequence(tags::REFERENCED_STUDY_SEQUENCE, vec![])
        .set(tags::ACCESSION_NUMBER, &patient.accession_number)
        .set(tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, "")
        .set(tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, "")
        .set(tags::REQUESTED_PROCEDURE_ID, "RP1")
        .set(tags::REQUESTED_PROCEDURE_DESCRIPTION, PROCEDURE.2)
        .sequence(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, vec![Object::code(PROCEDURE)]);
    let images = series.sop_instance_uids.iter().map(|uid| Object::reference(uids::CT_IMAGE_STORAGE, uid)).collect();
    let evidence = Object::new().set(tags::STUDY_INSTANCE_UID, &patient.study_instance_uid).sequence(
        tags::REFERENCED_SERIES_SEQUENCE,
        vec![
            Object::new()
                .set(tags::SERIES_INSTANCE_UID, &series.series_instance_uid)
                .sequence(tags::REFERENCED_SOP_SEQUENCE, images),
        ],
    );
    object
        .set(tags::COMPLETION_FLAG, "COMPLETE")
        .set(tags::VERIFICATION_FLAG, "VERIFIED")
        .sequence(tags::VERIFYING_OBSERVER_SEQUENCE, vec![observer])
        .sequence(tags::REFERENCED_REQUEST_SEQUENCE, vec![request])
        .sequence(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, vec![Object::code(PROCEDURE)])
        .sequence(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, vec![evidence])
}

/// Adds the content tree (PS3.3 C.17.3), after template 2000 of PS3.16.
fn content(object: Object, series: &Series) -> Object {
    let Patient { name, performing_physician, study_date, .. } = &series.patient;
    let language = item("HAS CONCEPT MOD", "CODE", Code("121049", "DCM", "Language of Content Item and Descendants"))
        .sequence(tags::CONCEPT_CODE_SEQUENCE, vec![Object::code(Code("en", "RFC5646", "English"))]);
    let observer = item("HAS OBS CONTEXT", "PNAME", Code("121008", "DCM", "Person Observer Name"))
        .set(tags::PERSON_NAME, performing_physician);
    let history = container(
        Code("121060", "DCM", "History"),
        vec![text(Code("121060", "DCM", "History"), &format!("{}, nodule first seen on {study_date}.", spoken(name)))],
    );
    let findings = container(
        Code("121070", "DCM", "Findings"),
        vec![
            text(
                Code("121071", "DCM", "Finding"),
                &format!("Solid nodule in the left upper lobe of {}.", spoken(name)),
            ),
            diameter(&series.sop_instance_uids[4]),
        ],
    );
    let impression = container(
        Code("121072", "DCM", "Impressions"),
        vec![text(Code("121073", "DCM", "Impression"), "Unchanged; next CT in twelve months.")],
    );
    object
        .set(tags::VALUE_TYPE, "CONTAINER")
        .sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![Object::code(Code("18747-6", "LN", "CT Report"))])
        .set(tags::CONTINUITY_OF_CONTENT, "SEPARATE")
        .sequence(
            tags::CONTENT_TEMPLATE_SEQUENCE,
            vec![Object::new().set(tags::MAPPING_RESOURCE, "DCMR").set(tags::TEMPLATE_IDENTIFIER, "2000")],
        )
        .sequence(tags::CONTENT_SEQUENCE, vec![language, observer, history, findings, impression])
}

/// A measurement that was inferred from a length drawn on one image.
fn diameter(sop_instance_uid: &str) -> Object {
    let image = Object::new()
        .set(tags::RELATIONSHIP_TYPE, "SELECTED FROM")
        .set(tags::VALUE_TYPE, "IMAGE")
        .sequence(tags::REFERENCED_SOP_SEQUENCE, vec![Object::reference(uids::CT_IMAGE_STORAGE, sop_instance_uid)]);
    let ends = [179.0f32, 112.0, 197.0, 112.0];
    let line = item("INFERRED FROM", "SCOORD", Code("121055", "DCM", "Path"))
        .set(tags::GRAPHIC_TYPE, "POLYLINE")
        .put(tags::GRAPHIC_DATA, dicom_core::VR::FL, dicom_core::PrimitiveValue::F32(ends.as_slice().into()))
        .sequence(tags::CONTENT_SEQUENCE, vec![image]);
    let value = Object::new()
        .sequence(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, vec![Object::code(Code("mm", "UCUM", "mm"))])
        .set(tags::NUMERIC_VALUE, "22.5");
    item("CONTAINS", "NUM", Code("81827009", "SCT", "Diameter"))
        .sequence(tags::MEASURED_VALUE_SEQUENCE, vec![value])
        .sequence(tags::CONTENT_SEQUENCE, vec![line])
}

fn container(concept: Code, items: Vec<Object>) -> Object {
    item("CONTAINS", "CONTAINER", concept)
        .set(tags::CONTINUITY_OF_CONTENT, "SEPARATE")
        .sequence(tags::CONTENT_SEQUENCE, items)
}

fn text(concept: Code, value: &str) -> Object {
    item("CONTAINS", "TEXT", concept).set(tags::TEXT_VALUE, value)
}

fn item(relationship: &str, value_type: &str, concept: Code) -> Object {
    Object::new()
        .set(tags::RELATIONSHIP_TYPE, relationship)
        .set(tags::VALUE_TYPE, value_type)
        .sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![Object::code(concept)])
}
