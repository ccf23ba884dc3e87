//! The pump: moves the bytes of one object from its source into a staged object, as a plan says, hashing while they are hot.
//!
//! Memory is constant: blocks of 256 KB, whatever the object's size.

use domain::dicom::numbers::NumberCheck;
use domain::dicom::plan::{Emit, Plan};
use sha2::{Digest as _, Sha256};

use crate::buffers::Buffer;
use crate::error::{Error, Result};
use crate::ports::objects::{Digest, Staging};
use crate::reading::Sequential;

/// Size of a block in bytes: large enough that a call per block costs nothing, small enough to stay in the cache while it
/// is hashed and written.
pub const BLOCK: usize = 256 << 10;

/// Where the bytes of `Emit::Copy` come from.
pub enum Input<'a> {
    /// Bytes in memory; the first one has the logical offset `base`.
    Memory {
        /// The bytes.
        bytes: &'a [u8],
        /// Logical offset of the first.
        base: u64,
    },
    /// Read front to back.
    Stream(&'a mut Sequential),
}

/// Writes what `plan` says to `staging` and returns the digest and length of what was written.
///
/// # Errors
/// `source_changed` when the source is not what was received; `plan_offsets` (broken) when a plan looks back or past the
/// end; what the ports say.
pub async fn pump(plan: &Plan, mut input: Input<'_>, staging: &mut dyn Staging) -> Result<(Digest, u64)> {
    let mut block = Buffer::with_capacity(BLOCK.min(to_usize(plan.len()) + 1));
    block.clear();
    let mut sink = Sink { staging, block, hasher: Sha256::new(), len: 0 };
    for piece in &plan.emit {
        match *piece {
            Emit::Bytes(ref bytes) => sink.push(bytes).await?,
            Emit::Copy { offset, len } => copy(&mut input, &mut sink, offset, len, 1).await?,
            Emit::Numbers { offset, len } => {
                numbers(&mut input, &mut sink, offset, len, plan.numbers.check(offset)).await?
            }
            Emit::Swap { offset, len, unit } => copy(&mut input, &mut sink, offset, len, usize::from(unit)).await?,
        }
    }
    if let Input::Stream(source) = input {
        source.finish().await?;
    }
    sink.finish().await
}

fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Returns a range of an object in memory.
fn range<'a>(input: &Input<'a>, offset: u64, len: u64) -> Result<&'a [u8]> {
    let Input::Memory { bytes, base } = input else { return Ok(&[]) };
    let from = to_usize(offset.wrapping_sub(*base));
    let range = from.checked_add(to_usize(len)).and_then(|to| bytes.get(from..to));
    range.ok_or_else(|| Error::broken("plan_offsets", "copy a range that the object does not have"))
}

/// Copies `len` bytes from `offset`, reversing each group of `unit` bytes (1: unchanged).
async fn copy(input: &mut Input<'_>, sink: &mut Sink<'_>, offset: u64, len: u64, unit: usize) -> Result<()> {
    match input {
        Input::Memory { .. } => {
            let range = range(input, offset, len)?;
            if unit == 1 { sink.push(range).await } else { sink.push_swapped(range, unit).await }
        }
        Input::Stream(source) => {
            source.skip_to(offset).await?;
            let mut left = len;
            while left > 0 {
                // A block ends at a whole unit, so that no group of bytes is split between two blocks.
                let wanted = to_usize(left).min(BLOCK);
                let block = source.take(wanted, unit).await?;
                left -= block.len() as u64;
                if unit == 1 { sink.push(block).await? } else { sink.push_swapped(block, unit).await? }
            }
            Ok(())
        }
    }
}

/// Copies `len` bytes of numeric text from `offset` and reads them on the way.
async fn numbers(
    input: &mut Input<'_>,
    sink: &mut Sink<'_>,
    offset: u64,
    len: u64,
    mut check: NumberCheck<'_>,
) -> Result<()> {
    match input {
        Input::Memory { .. } => {
            check.feed(range(input, offset, len)?)?;
            copy(input, sink, offset, len, 1).await?;
        }
        Input::Stream(source) => {
            source.skip_to(offset).await?;
            let mut left = len;
            while left > 0 {
                let block = source.take(to_usize(left).min(BLOCK), 1).await?;
                left -= block.len() as u64;
                check.feed(block)?;
                sink.push(block).await?;
            }
        }
    }
    Ok(check.finish()?)
}

struct Sink<'a> {
    staging: &'a mut dyn Staging,
    block: Buffer,
    hasher: Sha256,
    len: u64,
}

impl Sink<'_> {
    /// Gathers small pieces into a block; large ones go through without being copied.
    async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.block.len() + bytes.len() <= BLOCK {
            self.block.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush().await?;
        let mut rest = bytes;
        while rest.len() >= BLOCK {
            let (block, behind) = rest.split_at(BLOCK);
            self.write(block).await?;
            rest = behind;
        }
        self.block.extend_from_slice(rest);
        Ok(())
    }

    async fn push_swapped(&mut self, bytes: &[u8], unit: usize) -> Result<()> {
        for block in bytes.chunks(BLOCK) {
            let swapped: Vec<u8> = block.chunks(unit).flat_map(|group| group.iter().rev().copied()).collect();
            self.push(&swapped).await?;
        }
        Ok(())
    }

    async fn write(&mut self, block: &[u8]) -> Result<()> {
        self.hasher.update(block);
        self.len += block.len() as u64;
        self.staging.write(block).await
    }

    async fn flush(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        self.write(&block).await?;
        self.block = block;
        self.block.clear();
        Ok(())
    }

    async fn finish(mut self) -> Result<(Digest, u64)> {
        self.flush().await?;
        Ok((Digest(self.hasher.finalize().into()), self.len))
    }
}
