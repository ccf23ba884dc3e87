//! De-identifies one file with fixed test keys: `deid_file IN OUT [--accept-pixels] [--receipt]`, or many:
//! `deid_file --list LIST OUT_DIR [--accept-pixels]`, which writes the files as `0.dcm`, `1.dcm` … and prints a line each.
//!
//! For oracles and for trying things out; the pipeline goes through `medimg process`.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;

use domain::Rejection;
use domain::dicom::limits::Limits;
use domain::dicom::plan::{Emit, Plan};
use domain::dicom::scan::scan_slice;
use domain::dicom::{Identity, Profile, deidentify, validate};
use domain::ids::{Key, Keys};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let accept = args.iter().any(|arg| arg == "--accept-pixels");
    let receipt = args.iter().any(|arg| arg == "--receipt");
    let names: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let [first, second] = names.as_slice() else {
        println!("usage: deid_file IN OUT [--accept-pixels] [--receipt] | --list LIST OUT_DIR [--accept-pixels]");
        return ExitCode::from(2);
    };
    let Ok(profile) = Profile::basic().map(|profile| profile.with_accept_pixels(accept)) else {
        return ExitCode::from(3);
    };
    if !args.iter().any(|arg| arg == "--list") {
        return if one(Path::new(first), Path::new(second), &profile, receipt) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let list = std::fs::read_to_string(first.as_str()).unwrap_or_default();
    let mut all = true;
    for (number, line) in list.lines().enumerate() {
        print!("{number}\t");
        all &= one(Path::new(line), &Path::new(second).join(format!("{number}.dcm")), &profile, receipt);
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(from: &Path, to: &Path, profile: &Profile, receipt: bool) -> bool {
    let bytes = match std::fs::read(from) {
        Ok(bytes) => bytes,
        Err(error) => {
            println!("unreadable\t{error}");
            return false;
        }
    };
    match plan(&bytes, profile) {
        Ok((plan, source)) => {
            let output = assemble(&plan, source.as_deref().unwrap_or(&bytes));
            println!("delivered\t{}\t{} bytes", plan.new_sop_instance_uid, output.len());
            if receipt {
                println!("{}\n{:?}", plan.receipt.packed.replace(',', "\n"), plan.receipt.counts);
            }
            std::fs::write(to, output).is_ok()
        }
        Err(rejection) => {
            println!("{rejection}");
            false
        }
    }
}

fn plan(bytes: &[u8], profile: &Profile) -> Result<(Plan, Option<Vec<u8>>), Rejection> {
    let keys = Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) };
    let (skeleton, inflated) = scan_slice(bytes, Limits::default())?;
    let identity = Identity::read(&skeleton)?;
    let validation = validate(&skeleton, &identity)?;
    if std::env::var_os("SHOW_WARNINGS").is_some() {
        for warning in &validation.warnings {
            println!("warning {} {}", warning.code, warning.path);
        }
    }
    // Behind the meta of a deflated object offsets go on in the inflated bytes.
    let source = inflated.map(|inflated| [&bytes[..skeleton.data_set as usize], &inflated].concat());
    Ok((deidentify(&skeleton, profile, &keys)?, source))
}

fn assemble(plan: &Plan, source: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    for piece in &plan.emit {
        match piece {
            Emit::Bytes(bytes) => output.extend_from_slice(bytes),
            Emit::Copy { offset, len } | Emit::Numbers { offset, len } => {
                output.extend_from_slice(&source[*offset as usize..(offset + len) as usize])
            }
            Emit::Swap { offset, len, unit } => {
                for number in source[*offset as usize..(offset + len) as usize].chunks_exact(usize::from(*unit)) {
                    output.extend(number.iter().rev());
                }
            }
        }
    }
    output
}
