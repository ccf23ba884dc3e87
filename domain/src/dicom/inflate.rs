//! Deflated data sets (PS3.5 A.5): a bounded inflater that is pushed compressed bytes and gives inflated blocks, and the
//! counting pass that goes before a scan.
//!
//! The standard says raw deflate; a zlib wrapper, which some writers add, is read too where it cannot be mistaken for raw
//! deflate (its checksum is checked then). Bytes behind the end of the stream (a pad byte) are not looked at: they are no
//! part of the data set and reach no output.

use flate2::{Decompress, FlushDecompress, Status};

use super::limits::Limits;
use crate::{Reason, Rejection};

/// How many bytes show whether a stream is wrapped: a zlib header, or the head of a stored block.
const HEAD_BYTES: usize = 5;
/// Size in bytes of the block into which the counting pass inflates.
const BLOCK_BYTES: usize = 32 << 10;

/// What one call of [`Inflater::inflate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes of the input were taken.
    pub read: usize,
    /// How many bytes of the output were filled.
    pub written: usize,
}

/// Inflates one data set, bounded in ratio and length.
#[derive(Debug)]
pub struct Inflater {
    limits: Limits,
    /// The first bytes until the form is known, then what of them is still to be inflated.
    head: Vec<u8>,
    stream: Option<Decompress>,
    read: u64,
    written: u64,
    ended: bool,
}

impl Inflater {
    /// Begins at the first deflated byte.
    pub fn new(limits: &Limits) -> Self {
        Self { limits: *limits, head: Vec::new(), stream: None, read: 0, written: 0, ended: false }
    }

    /// Whether the stream has ended; further input is padding.
    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// Inflates some of `input` into `output`. Call again with the rest of the input until it is taken and nothing more is
    /// written, or until [`Inflater::ended`]. `last` says that no input follows behind this one.
    ///
    /// # Errors
    /// `bad_meta` if the bytes are no deflate stream, `truncated` if they end before it does, `bomb` and `oversize` beyond
    /// the limits.
    pub fn inflate(&mut self, input: &[u8], last: bool, output: &mut [u8]) -> Result<Progress, Rejection> {
        let mut done = Progress { read: 0, written: 0 };
        if self.ended || output.is_empty() {
            return Ok(done);
        }
        if self.stream.is_none() {
            let take = (HEAD_BYTES - self.head.len()).min(input.len());
            self.head.extend_from_slice(&input[..take]);
            done.read = take;
            if self.head.len() < HEAD_BYTES && !last {
                self.read += take as u64;
                return Ok(done);
            }
            self.stream = Some(Decompress::new(is_wrapped(&self.head)));
        }
        if !self.head.is_empty() {
            let head = std::mem::take(&mut self.head);
            let (used, written) = self.step(&head, output)?;
            self.head.extend_from_slice(&head[used..]);
            done.written = written;
        }
        if self.head.is_empty() && !self.ended && done.written < output.len() {
            let (used, written) = self.step(&input[done.read..], &mut output[done.written..])?;
            done.read += used;
            done.written += written;
        }
        self.read += done.read as u64;
        self.written += done.written as u64;
        self.check()?;
        let starved = last && !self.ended && done.read == input.len() && self.head.is_empty() && done.written == 0;
        if starved {
            return Err(Rejection::new(Reason::Truncated, "the deflated data set ends before its end mark"));
        }
        Ok(done)
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Rejection> {
        let Some(stream) = &mut self.stream else { return Ok((0, 0)) };
        let (read, written) = (stream.total_in(), stream.total_out());
        match stream.decompress(input, output, FlushDecompress::None) {
            Ok(Status::StreamEnd) => self.ended = true,
            Ok(Status::Ok | Status::BufError) => {}
            Err(_) => {
                let refused =
                    Rejection::new(Reason::BadMeta, "the meta says deflated, but the bytes are no deflate stream");
                return Err(refused);
            }
        }
        // Both differences are at most the lengths of the slices.
        Ok(((stream.total_in() - read) as usize, (stream.total_out() - written) as usize))
    }

    fn check(&self) -> Result<(), Rejection> {
        if self.written > self.limits.inflated_bytes_max {
            return Err(Rejection::new(Reason::Oversize, "the data set is longer than the limit when inflated"));
        }
        let allowed = self.read.saturating_mul(self.limits.inflate_ratio_max).max(self.limits.inflated_free_bytes);
        if self.written > allowed {
            return Err(Rejection::new(Reason::Bomb, "the deflated data set expands beyond the allowed ratio"));
        }
        Ok(())
    }
}

/// Whether the stream has a zlib header (RFC 1950). As raw deflate its first byte would begin a stored block, whose length
/// stands twice, once inverted: only if that fits is it raw after all.
fn is_wrapped(head: &[u8]) -> bool {
    let &[cmf, flg, ..] = head else { return false };
    let is_header = cmf & 0x0F == 8 && cmf >> 4 <= 7 && flg & 0x20 == 0 && u16::from_be_bytes([cmf, flg]) % 31 == 0;
    let is_stored_block = head.len() == HEAD_BYTES && head[1] == !head[3] && head[2] == !head[4];
    is_header && !is_stored_block
}

/// The counting pass over a deflated data set: how long it is when inflated, within the limits.
#[derive(Debug)]
pub struct Counter {
    inflater: Inflater,
    block: Vec<u8>,
}

impl Counter {
    /// Begins at the first deflated byte.
    pub fn new(limits: &Limits) -> Self {
        Self { inflater: Inflater::new(limits), block: vec![0; BLOCK_BYTES] }
    }

    /// Counts on through `input`; `last` says that no input follows behind this one.
    ///
    /// # Errors
    /// As [`Inflater::inflate`].
    pub fn push(&mut self, mut input: &[u8], last: bool) -> Result<(), Rejection> {
        // Bounded: each turn takes input or writes output, which is limited.
        while !self.inflater.ended() {
            let done = self.inflater.inflate(input, last, &mut self.block)?;
            input = &input[done.read..];
            if done.read == 0 && done.written == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Whether the stream has ended, so that nothing more has to be pushed.
    pub const fn ended(&self) -> bool {
        self.inflater.ended()
    }

    /// Returns the inflated length in bytes.
    ///
    /// # Errors
    /// `truncated` if the stream has not ended.
    pub fn finish(&self) -> Result<u64, Rejection> {
        if self.inflater.ended {
            Ok(self.inflater.written)
        } else {
            Err(Rejection::new(Reason::Truncated, "the deflated data set ends before its end mark"))
        }
    }
}

/// Returns the inflated length in bytes of a deflated data set that is in memory.
///
/// # Errors
/// As [`Inflater::inflate`].
pub fn count(deflated: &[u8], limits: &Limits) -> Result<u64, Rejection> {
    let mut counter = Counter::new(limits);
    counter.push(deflated, true)?;
    counter.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};

    use super::*;

    fn sample() -> Vec<u8> {
        (0..200_000u32).flat_map(|n| (n.wrapping_mul(n) / 7).to_le_bytes()).collect()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate_in_blocks(deflated: &[u8], block: usize) -> Result<Vec<u8>, Rejection> {
        let mut inflater = Inflater::new(&Limits::default());
        let (mut out, mut at) = (Vec::new(), 0);
        let mut buffer = vec![0; 1000];
        while !inflater.ended() {
            let end = (at + block).min(deflated.len());
            let done = inflater.inflate(&deflated[at..end], end == deflated.len(), &mut buffer)?;
            at += done.read;
            out.extend_from_slice(&buffer[..done.written]);
        }
        Ok(out)
    }

    #[test]
    fn blocks_of_any_size_inflate_to_the_same_bytes() {
        let (plain, deflated) = (sample(), deflate(&sample()));
        for block in [1, 2, 7, 4096, deflated.len()] {
            assert!(inflate_in_blocks(&deflated, block).unwrap() == plain, "block {block}");
        }
        assert_eq!(count(&deflated, &Limits::default()), Ok(plain.len() as u64));
    }

    #[test]
    fn a_zlib_wrapper_and_trailing_bytes_are_read_over() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&sample()).unwrap();
        let mut wrapped = encoder.finish().unwrap();
        wrapped.push(0);
        assert!(inflate_in_blocks(&wrapped, 3).unwrap() == sample());
    }

    #[test]
    fn raw_deflate_that_looks_like_a_zlib_header_is_raw() {
        // A stored block of 0x009C bytes, its padding bits chosen so that it begins like zlib, and a final empty one.
        let mut stored = vec![0x78, 0x9C, 0x00, 0x63, 0xFF];
        stored.extend_from_slice(&[7; 0x9C]);
        stored.extend_from_slice(&[1, 0, 0, 0xFF, 0xFF]);
        assert_eq!(inflate_in_blocks(&stored, 1).unwrap(), vec![7; 0x9C]);
    }

    #[test]
    fn a_stream_cut_anywhere_is_truncated() {
        let deflated = deflate(&sample()[..2000]);
        for cut in 0..deflated.len() {
            let refused = count(&deflated[..cut], &Limits::default()).unwrap_err();
            assert_eq!(refused.reason, Reason::Truncated, "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_no_deflate_stream_contradict_the_meta() {
        assert_eq!(count(&[0xFF; 100], &Limits::default()).unwrap_err().reason, Reason::BadMeta);
    }

    #[test]
    fn a_bomb_is_refused_by_its_ratio_and_a_long_data_set_by_its_length() {
        let zeros = deflate(&vec![0; 20 << 20]);
        assert_eq!(count(&zeros, &Limits::default()).unwrap_err().reason, Reason::Bomb);
        let limits = Limits { inflated_bytes_max: 1000, ..Limits::default() };
        assert_eq!(count(&deflate(&sample()), &limits).unwrap_err().reason, Reason::Oversize);
    }
}
