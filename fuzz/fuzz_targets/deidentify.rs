//! Any bytes that the scan accepts: de-identification must not panic, its plan must fit the object and be the same each time,
//! and what it makes must be read again as the object it is meant to be.
#![no_main]

use domain::dicom::testkit::deidentify_and_check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = deidentify_and_check(bytes);
});
