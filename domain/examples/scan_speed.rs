//! Measures the scan: time of one object in microseconds (median of many rounds) for each file named, and for a made SR.
#![allow(clippy::print_stdout, reason = "an example speaks to the terminal")]

use std::time::Instant;

use dicom_core::{Tag, VR};
use domain::dicom::limits::Limits;
use domain::dicom::scan::scan_slice;
use domain::dicom::skeleton::Encoding;
use domain::dicom::testkit::{DataSet, Length, file};

fn main() -> std::io::Result<()> {
    for name in std::env::args().skip(1) {
        measure(&name, &std::fs::read(&name)?);
    }
    for (encoding, uid) in
        [(Encoding::EXPLICIT_LE, "1.2.840.10008.1.2.1"), (Encoding::IMPLICIT_LE, "1.2.840.10008.1.2")]
    {
        measure(&format!("SR {uid}"), &file(uid, &report(encoding)));
    }
    Ok(())
}

/// A content tree of 150 items with about ten elements each.
fn report(encoding: Encoding) -> Vec<u8> {
    let code = |value: &str| {
        DataSet::new(encoding)
            .text(Tag(0x0008, 0x0100), VR::SH, value)
            .text(Tag(0x0008, 0x0102), VR::SH, "DCM")
            .text(Tag(0x0008, 0x0104), VR::LO, "Finding")
            .bytes()
    };
    let item = || {
        DataSet::new(encoding)
            .text(Tag(0x0040, 0xA010), VR::CS, "CONTAINS")
            .text(Tag(0x0040, 0xA040), VR::CS, "TEXT")
            .sequence(Tag(0x0040, 0xA043), VR::SQ, Length::Undefined, vec![code("121071")])
            .text(Tag(0x0040, 0xA160), VR::UT, "nothing")
            .bytes()
    };
    let items = (0..150).map(|_| item()).collect();
    DataSet::new(encoding).identity().sequence(Tag(0x0040, 0xA730), VR::SQ, Length::Undefined, items).bytes()
}

fn measure(name: &str, bytes: &[u8]) {
    let mut times = Vec::new();
    let mut elements = 0;
    for _ in 0..2000 {
        let begin = Instant::now();
        match scan_slice(bytes, Limits::default()) {
            Ok((skeleton, _)) => elements = skeleton.elements.len() + skeleton.meta.len(),
            Err(refused) => return println!("{name}: {refused}"),
        }
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let micros = times[times.len() / 2].as_secs_f64() * 1e6;
    println!("{name}: {} bytes, {elements} elements, {micros:.1} us", bytes.len());
}
