//! Any bytes that the scan accepts: de-identification must not panic, and what it copies must lie inside the object.
#![no_main]

use domain::dicom::limits::Limits;
use domain::dicom::scan::scan_slice;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((skeleton, _)) = scan_slice(bytes, Limits::default()) else { return };
    assert!(skeleton.data_set_end <= skeleton.len);
});
