//! Two files that cannot be processed: a CT slice whose transfer broke off, and a list that is not DICOM.

use domain::Reason;

use super::ct::Series;
use crate::demo::invent::patient;
use crate::demo::{DemoFile, Expected};

/// Returns the two files of `seed`.
pub(super) fn files(seed: u64, series: &Series) -> [DemoFile; 2] {
    let slice = series.middle_slice();
    let waiting = patient(seed, "list");
    let list = format!(
        "room,time,patient,number,birth date\r\nCT1,08:15,{},{},{}\r\nMR2,10:40,{},{},{}\r\n",
        series.patient.name, series.patient.id, series.patient.birth_date, waiting.name, waiting.id, waiting.birth_date,
    );
    [
        DemoFile {
            name: "damaged/IM0009.dcm".to_owned(),
            // Two thirds: inside the pixel data, as when a network transfer stops.
            bytes: slice[..slice.len() / 3 * 2].to_vec(),
            told: "CT slice that ends in the middle of its pixel data",
            expected: Expected::Quarantined(Reason::Truncated),
        },
        DemoFile {
            name: "damaged/worklist.csv".to_owned(),
            bytes: list.into_bytes(),
            told: "a list of patients that is not DICOM",
            expected: Expected::Quarantined(Reason::NotDicom),
        },
    ]
}
