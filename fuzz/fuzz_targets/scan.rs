//! Any bytes: the scan must not panic, and must say the same however they are shown.
#![no_main]

use domain::dicom::testkit::scan_and_check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The size of the windows follows from the input, so that a finding repeats.
    let size = 1 + bytes.len() * 31 % 509;
    let _ = scan_and_check(bytes, size);
});
