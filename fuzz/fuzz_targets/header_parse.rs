//! Any bytes: what is read as a ledger header is rendered as exactly these bytes.
#![no_main]

use ledger::Header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::parse(bytes) {
        assert_eq!(header.render(), bytes);
    }
});
