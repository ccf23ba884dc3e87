//! Times the plan of a CT of 0.53 MB (120 elements) and of an SR of 23 KB (1,500 nested elements), both made in code:
//! `cargo run --release -p domain --features testkit --example deid_speed [FILE…]`.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use domain::dicom::limits::Limits;
use domain::dicom::plan::Emit;
use domain::dicom::scan::scan_slice;
use domain::dicom::skeleton::Encoding;
use domain::dicom::testkit::{DataSet, Length, file};
use domain::dicom::{Identity, Profile, Tag, VR, deidentify, validate};
use domain::ids::{Key, Keys};

const LE: &str = "1.2.840.10008.1.2.1";

fn main() {
    let keys = Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) };
    let Ok(profile) = Profile::basic().map(|profile| profile.with_accept_pixels(true)) else { return };
    time("CT made in code", &ct(), &profile, &keys);
    time("SR made in code", &sr(), &profile, &keys);
    for path in std::env::args().skip(1) {
        if let Ok(bytes) = std::fs::read(&path) {
            time(&path, &bytes, &profile, &keys);
        }
    }
}

fn time(name: &str, bytes: &[u8], profile: &Profile, keys: &Keys) {
    let Ok((skeleton, _)) = scan_slice(bytes, Limits::default()) else {
        println!("{name}: refused by the scan");
        return;
    };
    let Ok(identity) = Identity::read(&skeleton) else { return };
    let first = Instant::now();
    if let Err(rejection) = deidentify(&skeleton, profile, keys) {
        println!("{name}: {rejection}");
        return;
    }
    let first = first.elapsed();
    let micros = |work: &dyn Fn()| {
        let mut samples: Vec<f64> = (0..301)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    };
    let plan = micros(&|| drop(std::hint::black_box(deidentify(&skeleton, profile, keys))));
    let valid = micros(&|| drop(std::hint::black_box(validate(&skeleton, &identity))));
    let scan = micros(&|| drop(std::hint::black_box(scan_slice(bytes, Limits::default()))));
    let Ok(result) = deidentify(&skeleton, profile, keys) else { return };
    let made: u64 = result.emit.iter().filter(|piece| matches!(piece, Emit::Bytes(_))).map(Emit::len).sum();
    println!(
        "{name}: {} bytes, {} elements; median scan {scan:.1} us, validate {valid:.1} us, plan {plan:.1} us (first {:.0} us); \
         output {} bytes, {made} of them made, {} pieces, receipt {} bytes",
        bytes.len(),
        skeleton.elements.len(),
        first.as_secs_f64() * 1e6,
        result.len(),
        result.emit.len(),
        result.receipt.packed.len(),
    );
}

fn head(sop_class_uid: &str, modality: &str) -> DataSet {
    DataSet::new(Encoding::EXPLICIT_LE)
        .text(Tag(0x0008, 0x0005), VR::CS, "ISO_IR 100")
        .text(Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\AXIAL")
        .text(Tag(0x0008, 0x0012), VR::DA, "20160305")
        .text(Tag(0x0008, 0x0013), VR::TM, "101112")
        .text(Tag(0x0008, 0x0016), VR::UI, sop_class_uid)
        .text(Tag(0x0008, 0x0018), VR::UI, "1.2.826.0.1.3680043.10.1.1")
        .text(Tag(0x0008, 0x0020), VR::DA, "20160305")
        .text(Tag(0x0008, 0x0021), VR::DA, "20160305")
        .text(Tag(0x0008, 0x0022), VR::DA, "20160305")
        .text(Tag(0x0008, 0x0023), VR::DA, "20160305")
        .text(Tag(0x0008, 0x0030), VR::TM, "101112")
        .text(Tag(0x0008, 0x0031), VR::TM, "101112")
        .text(Tag(0x0008, 0x0032), VR::TM, "101112")
        .text(Tag(0x0008, 0x0033), VR::TM, "101112")
        .text(Tag(0x0008, 0x0050), VR::SH, "ACC7310021")
        .text(Tag(0x0008, 0x0060), VR::CS, modality)
        .text(Tag(0x0008, 0x0070), VR::LO, "Tomograph Works")
        .text(Tag(0x0008, 0x0080), VR::LO, "Hillcrest Valley Hospital")
        .text(Tag(0x0008, 0x0081), VR::ST, "17 Orchard Street, Brookfield")
        .text(Tag(0x0008, 0x0090), VR::PN, "Hathersage^Oliver^^Dr")
        .text(Tag(0x0008, 0x1010), VR::SH, "HILLCT2")
        .text(Tag(0x0008, 0x1030), VR::LO, "CHEST FOLLOW UP")
        .text(Tag(0x0008, 0x103E), VR::LO, "AXIAL 1MM LUNG")
        .text(Tag(0x0008, 0x1050), VR::PN, "Hathersage^Oliver^^Dr")
        .text(Tag(0x0008, 0x1070), VR::PN, "Whitcombe^Ada")
        .text(Tag(0x0008, 0x1090), VR::LO, "TW 64")
}

fn middle(data_set: DataSet) -> DataSet {
    data_set
        .text(Tag(0x0010, 0x0010), VR::PN, "Exemplar^Evangeline^Maria")
        .text(Tag(0x0010, 0x0020), VR::LO, "EX-1048-77")
        .text(Tag(0x0010, 0x0030), VR::DA, "19440802")
        .text(Tag(0x0010, 0x0040), VR::CS, "F")
        .text(Tag(0x0010, 0x1010), VR::AS, "071Y")
        .text(Tag(0x0010, 0x1040), VR::LO, "3 Mill Lane, Brookfield")
        .text(Tag(0x0010, 0x2154), VR::SH, "+44 1632 960999")
}

/// A CT slice of 512 x 512 with 120 elements.
fn ct() -> Vec<u8> {
    let mut set = middle(head("1.2.840.10008.5.1.4.1.1.2", "CT"));
    for (element, value) in [
        (0x0050, "1.25"),
        (0x0060, "120"),
        (0x0088, "1.25"),
        (0x0090, "500"),
        (0x1100, "360"),
        (0x1110, "949.075"),
        (0x1111, "541"),
        (0x1120, "0"),
        (0x1130, "144.5"),
    ] {
        set = set.text(Tag(0x0018, element), VR::DS, value);
    }
    for element in [0x1150, 0x1151, 0x1152] {
        set = set.text(Tag(0x0018, element), VR::IS, "400");
    }
    set = set.text(Tag(0x0018, 0x1160), VR::SH, "BODY FILTER").text(Tag(0x0018, 0x1210), VR::SH, "STANDARD");
    set = set.text(Tag(0x0018, 0x5100), VR::CS, "FFS");
    for element in 0..20 {
        let creator = if element == 0 { (0x0010, "TW_ACQU_01") } else { (0x1000 + element, "private value") };
        set = set.text(Tag(0x0019, creator.0), VR::LO, creator.1);
    }
    set = set
        .text(Tag(0x0020, 0x000D), VR::UI, "1.2.826.0.1.3680043.10.1.2")
        .text(Tag(0x0020, 0x000E), VR::UI, "1.2.826.0.1.3680043.10.1.3")
        .text(Tag(0x0020, 0x0010), VR::SH, "ST7310021")
        .text(Tag(0x0020, 0x0011), VR::IS, "2")
        .text(Tag(0x0020, 0x0013), VR::IS, "77")
        .text(Tag(0x0020, 0x0032), VR::DS, "-180.000\\-180.000\\-77.250")
        .text(Tag(0x0020, 0x0037), VR::DS, "1.000\\0.000\\0.000\\0.000\\1.000\\0.000")
        .text(Tag(0x0020, 0x0052), VR::UI, "1.2.826.0.1.3680043.10.1.4")
        .text(Tag(0x0020, 0x1041), VR::DS, "-77.25")
        .us(Tag(0x0028, 0x0002), 1)
        .text(Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2")
        .us(Tag(0x0028, 0x0010), 512)
        .us(Tag(0x0028, 0x0011), 512)
        .text(Tag(0x0028, 0x0030), VR::DS, "0.703125\\0.703125")
        .us(Tag(0x0028, 0x0100), 16)
        .us(Tag(0x0028, 0x0101), 16)
        .us(Tag(0x0028, 0x0102), 15)
        .us(Tag(0x0028, 0x0103), 1)
        .text(Tag(0x0028, 0x1050), VR::DS, "40")
        .text(Tag(0x0028, 0x1051), VR::DS, "400")
        .text(Tag(0x0028, 0x1052), VR::DS, "-1024")
        .text(Tag(0x0028, 0x1053), VR::DS, "1");
    let request = DataSet::new(Encoding::EXPLICIT_LE)
        .text(Tag(0x0040, 0x0007), VR::LO, "CT chest for Exemplar")
        .text(Tag(0x0040, 0x0009), VR::SH, "SPS7310021")
        .bytes();
    set = set.sequence(Tag(0x0040, 0x0275), VR::SQ, Length::Defined, vec![request]);
    for element in 0..20 {
        let creator = if element == 0 { (0x0010, "TW_PARM_01") } else { (0x1000 + element, "private value") };
        set = set.text(Tag(0x0043, creator.0), VR::LO, creator.1);
    }
    file(LE, &set.element(Tag(0x7FE0, 0x0010), VR::OW, &vec![0x55; 512 * 512 * 2]).bytes())
}

/// A report with a content tree of 100 measurements.
fn sr() -> Vec<u8> {
    let code = |value: &str, meaning: &str| {
        DataSet::new(Encoding::EXPLICIT_LE)
            .text(Tag(0x0008, 0x0100), VR::SH, value)
            .text(Tag(0x0008, 0x0102), VR::SH, "DCM")
            .text(Tag(0x0008, 0x0104), VR::LO, meaning)
            .bytes()
    };
    let measurement = |number: usize| {
        let value = DataSet::new(Encoding::EXPLICIT_LE)
            .sequence(Tag(0x0040, 0x08EA), VR::SQ, Length::Undefined, vec![code("mm", "millimeter")])
            .text(Tag(0x0040, 0xA30A), VR::DS, &number.to_string())
            .bytes();
        DataSet::new(Encoding::EXPLICIT_LE)
            .text(Tag(0x0040, 0xA010), VR::CS, "CONTAINS")
            .text(Tag(0x0040, 0xA040), VR::CS, "NUM")
            .sequence(Tag(0x0040, 0xA043), VR::SQ, Length::Undefined, vec![code("103339001", "Long axis")])
            .sequence(Tag(0x0040, 0xA300), VR::SQ, Length::Undefined, vec![value])
            .bytes()
    };
    let set = middle(head("1.2.840.10008.5.1.4.1.1.88.33", "SR"))
        .text(Tag(0x0020, 0x000D), VR::UI, "1.2.826.0.1.3680043.10.1.2")
        .text(Tag(0x0020, 0x000E), VR::UI, "1.2.826.0.1.3680043.10.1.5")
        .text(Tag(0x0020, 0x0011), VR::IS, "9")
        .text(Tag(0x0020, 0x0013), VR::IS, "1")
        .text(Tag(0x0040, 0xA040), VR::CS, "CONTAINER")
        .sequence(Tag(0x0040, 0xA043), VR::SQ, Length::Undefined, vec![code("126000", "Imaging Measurement Report")])
        .sequence(Tag(0x0040, 0xA730), VR::SQ, Length::Undefined, (0..100).map(measurement).collect());
    file(LE, &set.bytes())
}
