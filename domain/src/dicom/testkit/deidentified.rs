//! De-identifies bytes of any kind and checks what the plan promises: for the fuzzer and for mutations of real files.

use std::sync::LazyLock;

use super::super::deidentify::{Profile, deidentify};
use super::super::identity::Identity;
use super::super::limits::Limits;
use super::super::plan::{Emit, Plan};
use super::super::scan::scan_slice;
use super::super::skeleton::Skeleton;
use super::super::validate::validate;
use crate::Rejection;
use crate::ids::{Key, Keys};

/// Pixels are accepted, so that nothing ends before the walk.
static PROFILE: LazyLock<Profile> =
    LazyLock::new(|| Profile::basic().expect("the facts are compiled in").with_accept_pixels(true));

/// Scans and de-identifies bytes of any kind as the pipeline does and checks the plan: the same each time, within the
/// source, read front to back, of the length it says; and what it makes is scanned again as the object it is meant to be.
///
/// # Errors
/// The object is refused.
///
/// # Panics
/// If a promise is broken.
pub fn deidentify_and_check(bytes: &[u8]) -> Result<Plan, Rejection> {
    let keys = Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) };
    let (skeleton, inflated) = scan_slice(bytes, Limits::default())?;
    let identity = Identity::read(&skeleton)?;
    validate(&skeleton, &identity)?;
    let plan = deidentify(&skeleton, &PROFILE, &keys)?;
    let again = deidentify(&skeleton, &PROFILE, &keys).expect("it was accepted a moment ago");
    assert!(again.emit == plan.emit && again.receipt == plan.receipt, "the same object, another plan");
    let logical = match inflated {
        Some(inflated) => [&bytes[..to_usize(skeleton.data_set)], &inflated].concat(),
        // Deflated and too long to come inflated: whoever reads it inflates it block by block.
        None if skeleton.syntax.deflated => return Ok(plan),
        None => bytes.to_vec(),
    };
    let output = assemble(&plan, &logical);
    check_output(&plan, &output);
    Ok(plan)
}

/// Returns the output that a plan makes of its source.
///
/// # Panics
/// If the plan reads past the end or looks back, or does not make as many bytes as it says.
pub fn assemble(plan: &Plan, source: &[u8]) -> Vec<u8> {
    let (mut output, mut position) = (Vec::new(), 0);
    for piece in &plan.emit {
        let (offset, len, unit) = match *piece {
            Emit::Bytes(ref made) => {
                output.extend_from_slice(made);
                continue;
            }
            Emit::Copy { offset, len } | Emit::Numbers { offset, len } => (offset, len, 1),
            Emit::Swap { offset, len, unit } => (offset, len, usize::from(unit)),
        };
        assert!(offset >= position, "the source would have to be read backwards");
        position = offset + len;
        let copied = source.get(to_usize(offset)..to_usize(position)).expect("what is copied lies in the source");
        assert_eq!(copied.len() % unit, 0, "whole numbers change their byte order");
        copied.chunks_exact(unit).for_each(|number| match unit {
            1 => output.extend_from_slice(number),
            _ => output.extend(number.iter().rev()),
        });
    }
    assert_eq!(output.len() as u64, plan.len());
    output
}

fn check_output(plan: &Plan, output: &[u8]) {
    let (skeleton, _) = scan_slice(output, Limits::default()).expect("what is delivered can be read");
    let identity = Identity::read(&skeleton).expect("what is delivered can be identified");
    validate(&skeleton, &identity).expect("what is delivered is complete");
    assert_eq!(identity.sop_instance_uid.expose(), &plan.new_sop_instance_uid);
    assert_eq!(identity.series_instance_uid.expose(), &plan.new_series_instance_uid);
    assert_eq!(identity.study_instance_uid.expose(), &plan.new_study_instance_uid);
    assert_eq!(skeleton.syntax.uid, plan.transfer_syntax_uid);
    assert!(output.starts_with(&[0; 128]), "the preamble is blank");
    check_elements(&skeleton);
    assert_eq!(skeleton.data_set_end, skeleton.len, "nothing stands behind the data set");
}

fn check_elements(skeleton: &Skeleton) {
    for element in &skeleton.elements {
        assert_eq!(element.tag.group() % 2, 0, "a private attribute is left");
        assert!(element.tag.element() != 0 || element.tag.group() == 0, "a group length is left");
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("it is a place in memory")
}
