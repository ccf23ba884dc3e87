//! The scan of an object that is in memory as a whole.

use super::{Scanner, Want};
use crate::dicom::inflate::{self, Inflater};
use crate::dicom::limits::Limits;
use crate::dicom::skeleton::Skeleton;
use crate::{Reason, Rejection};

/// Size in bytes of the block into which a data set is inflated.
const BLOCK_BYTES: usize = 32 << 10;

/// Scans an object that is in memory as a whole. Of a deflated one the inflated data set comes with it, which begins at the
/// logical offset [`Skeleton::data_set`]; `None` where it is longer than `inflated_slice_bytes_max` and has to be inflated
/// again, block by block, by whoever needs its values.
///
/// # Errors
/// The object is refused.
pub fn scan_slice(bytes: &[u8], limits: Limits) -> Result<(Skeleton, Option<Vec<u8>>), Rejection> {
    let mut scanner = Scanner::new(bytes.len() as u64, limits);
    // Bounded: each turn moves the position, which goes back at most twice.
    loop {
        let window = usize::try_from(scanner.position()).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        match scanner.feed(window)? {
            Want::End => return Ok((scanner.finish()?, None)),
            Want::Inflate { offset } => {
                let deflated = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                return scan_deflated(scanner, deflated, &limits);
            }
            Want::Bulk { .. } => {}
            Want::Bytes(n) => {
                if n > window.len() {
                    // Not reached: the scanner never wants more than the object has.
                    return Err(Rejection::new(Reason::Truncated, "the bytes end inside an element"));
                }
            }
        }
    }
}

fn scan_deflated(
    mut scanner: Scanner,
    deflated: &[u8],
    limits: &Limits,
) -> Result<(Skeleton, Option<Vec<u8>>), Rejection> {
    let start = scanner.position();
    let len = inflate::count(deflated, limits)?;
    scanner.inflated(len);
    let whole = len <= limits.inflated_slice_bytes_max;
    // A longer one is shown through a window that slides over the inflated bytes.
    let (mut held, mut held_at, mut complete) = (Vec::new(), start, false);
    let mut inflater = Inflater::new(limits);
    let (mut rest, mut block) = (deflated, vec![0; BLOCK_BYTES]);
    while !inflater.ended() && !complete {
        let done = inflater.inflate(rest, true, &mut block)?;
        rest = &rest[done.read..];
        held.extend_from_slice(&block[..done.written]);
        if !whole {
            complete = slide(&mut scanner, &mut held_at, &mut held)?;
        }
    }
    if whole {
        drive(&mut scanner, start, &held)?;
    }
    Ok((scanner.finish()?, whole.then_some(held)))
}

/// Feeds a scanner whose logical bytes from `start` on are all here.
fn drive(scanner: &mut Scanner, start: u64, inflated: &[u8]) -> Result<(), Rejection> {
    loop {
        let at = usize::try_from(scanner.position() - start).unwrap_or(usize::MAX);
        let window = inflated.get(at..).unwrap_or_default();
        match scanner.feed(window)? {
            Want::End => return Ok(()),
            Want::Bytes(n) if n > window.len() => return Ok(()),
            _ => {}
        }
    }
}

/// Feeds what is held (from the logical offset `held_at` on) and drops what the scanner is past; `true` at the end.
fn slide(scanner: &mut Scanner, held_at: &mut u64, held: &mut Vec<u8>) -> Result<bool, Rejection> {
    loop {
        let past = usize::try_from(scanner.position() - *held_at).unwrap_or(usize::MAX).min(held.len());
        held.drain(..past);
        *held_at += past as u64;
        if *held_at < scanner.position() {
            return Ok(false);
        }
        match scanner.feed(held)? {
            Want::End => return Ok(true),
            Want::Bytes(n) if n > held.len() => return Ok(false),
            _ => {}
        }
    }
}
