//! What the costliest objects within the limits cost: memory as the system counts it, the object itself included.
//! A process of its own, since the peak is one of the process.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where it fails")]

use dicom_core::{Tag, VR};
use domain::Reason;
use domain::dicom::limits::Limits;
use domain::dicom::scan::scan_slice;
use domain::dicom::skeleton::Encoding;
use domain::dicom::testkit::{DataSet, Length, file};

/// What a scan may take besides the object: the budget of the limits and a little.
const MEMORY_BYTES_MAX: u64 = 40 << 20;
const LE: Encoding = Encoding::EXPLICIT_LE;

/// A field of the process's status in bytes, where the system tells it.
fn memory(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

/// Scans an object and returns its verdict, `None` if it is read; checks how far memory rose above what was held before.
fn verdict(name: &str, bytes: &[u8]) -> Option<Reason> {
    // Sets the peak back to what is held now.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = memory("VmRSS:");
    let verdict = scan_slice(bytes, Limits::default()).map(|(skeleton, _)| skeleton);
    if let (Some(before), Some(peak)) = (before, memory("VmHWM:")) {
        let rise = peak.saturating_sub(before);
        println!("{name}: object {} MB, memory rises by {} MB", bytes.len() >> 20, rise >> 20);
        assert!(rise <= MEMORY_BYTES_MAX, "memory rises by {rise} bytes");
    }
    verdict.err().map(|refused| refused.reason)
}

#[test]
fn a_scan_at_the_limits_takes_at_most_40_mb() {
    let items = |count: u32| {
        // Written by hand: the writer itself would hold each item apart.
        let mut bytes = DataSet::new(LE).header(Tag(0x0008, 0x1140), VR::SQ, count * 8).bytes();
        bytes.reserve_exact(count as usize * 8);
        (0..count).for_each(|_| bytes.extend_from_slice(&[0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0]));
        file("1.2.840.10008.1.2.1", &bytes)
    };
    assert_eq!(verdict("as many items as may be", &items(499_990)), None);
    assert_eq!(verdict("more items", &items(1_200_000)), Some(Reason::Oversize));
    let fragments = |count: u32| {
        let mut bytes = DataSet::new(LE).header(Tag(0x7FE0, 0x0010), VR::OB, u32::MAX).bytes();
        bytes.reserve_exact(count as usize * 8 + 8);
        (0..count).for_each(|_| bytes.extend_from_slice(&[0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0]));
        bytes.extend_from_slice(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        file("1.2.840.10008.1.2.5", &bytes)
    };
    assert_eq!(verdict("as many fragments as may be", &fragments(1_000_000)), None);
    let comments = {
        let mut frame = vec![0xFF, 0xD8];
        // Comments apart from each other by a table, so that each is a cut of its own.
        (0..800_000).for_each(|_| frame.extend_from_slice(&[0xFF, 0xFE, 0, 2, 0xFF, 0xC4, 0, 2]));
        file("1.2.840.10008.1.2.4.50", &DataSet::new(LE).pixel_data(&[], &[frame]).bytes())
    };
    assert_eq!(verdict("more comments than may be", &comments), Some(Reason::Oversize));
    let text = DataSet::new(LE).element(Tag(0x0011, 0x1001), VR::UT, &[b'a'; 1 << 20]).bytes();
    let texts = DataSet::new(LE).sequence(Tag(0x0008, 0x1140), VR::SQ, Length::Undefined, vec![text; 5]).bytes();
    assert_eq!(verdict("long texts", &file("1.2.840.10008.1.2.1", &texts)), None);
}
