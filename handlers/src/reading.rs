//! Reading one raw object: hashed whole when it is received, scanned, and read once more front to back for the pump.
//!
//! Objects up to [`IN_MEMORY_MAX`] are read once and everything is done on that buffer. Larger ones are read again for each
//! purpose, in blocks; the pump's pass hashes them again and refuses a source that is not what was received.

use domain::dicom::inflate::{Counter, Inflater};
use domain::dicom::limits::Limits;
use domain::dicom::scan::{Scanner, Want};
use domain::dicom::skeleton::Skeleton;
use domain::events::Digest;
use domain::ids::{Location, StreamId};
use sha2::{Digest as _, Sha256};

use crate::buffers::Buffer;
use crate::error::{Error, Result, Scope};
use crate::ports::objects::{Objects, Source};
use crate::pump::BLOCK;

/// Objects up to this many bytes are worked on in memory.
pub const IN_MEMORY_MAX: u64 = 8 << 20;

/// The error of an object whose place is not known.
pub fn source_unknown(stream: StreamId) -> Error {
    let tried = format!("look up where the object of stream {stream} lies: sources has no row for it");
    Error::Transient { scope: Scope::Object, code: "source_unknown", tried, source: None }
}

/// Reads a whole object of at most [`IN_MEMORY_MAX`] bytes and returns it with its digest.
pub async fn read_small(source: &mut dyn Source) -> Result<(Buffer, Digest)> {
    let len = usize::try_from(source.size_bytes()).unwrap_or(usize::MAX);
    let mut buffer = Buffer::with_capacity(len);
    // A buffer that was used before holds bytes of another object: every byte that is kept is overwritten by the read.
    buffer.resize(len, 0);
    source.read_at(0, &mut buffer).await?;
    source.check_unchanged().await?;
    let digest = Digest(Sha256::digest(buffer.as_slice()).into());
    Ok((buffer, digest))
}

/// Reads a whole object in blocks and returns its digest.
pub async fn hash_large(source: &mut dyn Source) -> Result<Digest> {
    let (mut hasher, mut block) = (Sha256::new(), vec![0; BLOCK]);
    let mut offset = 0;
    while offset < source.size_bytes() {
        let len = to_usize(source.size_bytes() - offset).min(BLOCK);
        source.read_at(offset, &mut block[..len]).await?;
        hasher.update(&block[..len]);
        offset += len as u64;
    }
    source.check_unchanged().await?;
    Ok(Digest(hasher.finalize().into()))
}

/// Scans an object that is too large for memory: reads what the scanner asks for and skips bulk data.
///
/// # Errors
/// The rejection of the scan, or what the source says.
pub async fn scan_source(objects: &dyn Objects, location: &Location, limits: Limits) -> Result<Skeleton> {
    let mut source = objects.open(location).await?;
    let mut scanner = Scanner::new(source.size_bytes(), limits);
    let mut window = Window { bytes: Vec::new(), base: 0 };
    let mut inflated: Option<Sequential> = None;
    let (mut deflated_from, mut wanted) = (0, 0);
    // Bounded: each turn moves the scanner's position, or asks for more bytes than the turn before.
    loop {
        let position = scanner.position();
        if inflated.as_ref().is_some_and(|reader| reader.position > position) {
            // The scanner tries another encoding from the start of the data set.
            inflated = Some(Sequential::new(objects.open(location).await?, None, Some(deflated_from), &limits));
        }
        let shown = match &mut inflated {
            Some(reader) => reader.peek(position, wanted).await?,
            None => window.show(source.as_mut(), position, wanted).await?,
        };
        let had = shown.len();
        match scanner.feed(shown)? {
            Want::End => break,
            Want::Bulk { .. } => wanted = 0,
            Want::Bytes(n) if scanner.position() == position && n <= had => {
                return Err(Error::broken("scan_stuck", "scan an object: the scanner asks for what it was shown"));
            }
            Want::Bytes(n) => wanted = n,
            Want::Inflate { offset } => {
                deflated_from = offset;
                scanner.inflated(count_inflated(source.as_mut(), offset, &limits).await?);
                inflated = Some(Sequential::new(objects.open(location).await?, None, Some(offset), &limits));
            }
        }
    }
    source.check_unchanged().await?;
    Ok(scanner.finish()?)
}

async fn count_inflated(source: &mut dyn Source, from: u64, limits: &Limits) -> Result<u64> {
    let (mut counter, mut block, mut offset) = (Counter::new(limits), vec![0; BLOCK], from);
    loop {
        let len = to_usize(source.size_bytes() - offset).min(BLOCK);
        source.read_at(offset, &mut block[..len]).await?;
        offset += len as u64;
        let last = offset >= source.size_bytes();
        counter.push(&block[..len], last)?;
        if last || counter.ended() {
            return Ok(counter.finish()?);
        }
    }
}

fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// What was read last of a source.
struct Window {
    bytes: Vec<u8>,
    base: u64,
}

impl Window {
    /// Shows at least `wanted` bytes from `position` on, or all that there are.
    async fn show(&mut self, source: &mut dyn Source, position: u64, wanted: usize) -> Result<&[u8]> {
        let left = source.size_bytes().saturating_sub(position);
        let held = self.base.saturating_add(self.bytes.len() as u64);
        let covered = position >= self.base && position < held && held - position >= (wanted.max(1) as u64).min(left);
        if !covered {
            let len = to_usize(left.min(wanted.max(BLOCK) as u64));
            self.bytes.resize(len, 0);
            self.base = position;
            source.read_at(position, &mut self.bytes).await?;
        }
        Ok(&self.bytes[to_usize(position - self.base)..])
    }
}

/// Reads an object from front to back in logical offsets, hashing what is stored.
pub struct Sequential {
    source: Box<dyn Source>,
    expected: Option<Digest>,
    hasher: Sha256,
    /// Offset in the source of the next byte to read.
    read: u64,
    inflating: Option<Inflating>,
    /// Logical bytes that were read and not yet taken.
    block: Vec<u8>,
    taken: usize,
    /// Logical offset of the next byte to take.
    position: u64,
}

struct Inflating {
    from: u64,
    inflater: Inflater,
    raw: Vec<u8>,
    used: usize,
}

impl Sequential {
    /// Reads `source`; the data set is deflated from `deflated_from` on. `finish` compares the stored bytes with `expected`.
    pub fn new(source: Box<dyn Source>, expected: Option<Digest>, deflated_from: Option<u64>, limits: &Limits) -> Self {
        let inflating =
            deflated_from.map(|from| Inflating { from, inflater: Inflater::new(limits), raw: Vec::new(), used: 0 });
        Self { source, expected, hasher: Sha256::new(), read: 0, inflating, block: Vec::new(), taken: 0, position: 0 }
    }

    /// Goes forward to a logical offset.
    ///
    /// # Errors
    /// `plan_offsets` (broken) if it lies behind.
    pub async fn skip_to(&mut self, offset: u64) -> Result<()> {
        if offset < self.position {
            return Err(Error::broken("plan_offsets", "read an object backwards"));
        }
        while self.position < offset {
            if self.inflating.as_ref().is_some_and(|inflating| self.position < inflating.from) {
                // The first turn passes over what lies in front of the deflated bytes; nothing of them may be taken for it.
                self.fill().await?;
                continue;
            }
            let step = to_usize(offset - self.position).min(BLOCK);
            self.take(step, 1).await?;
        }
        Ok(())
    }

    /// Takes at most `wanted` bytes, at least one, a whole number of units.
    ///
    /// # Errors
    /// `source_changed` at the end of the object.
    pub async fn take(&mut self, wanted: usize, unit: usize) -> Result<&[u8]> {
        while self.block.len() - self.taken < unit {
            if !self.fill().await? {
                return Err(Error::source_changed("read an object on: it ends earlier than when it was scanned"));
            }
        }
        let len = wanted.min(self.block.len() - self.taken) / unit * unit;
        let from = self.taken;
        self.taken += len;
        self.position += len as u64;
        Ok(&self.block[from..from + len])
    }

    /// Shows at least `wanted` bytes from `position` on without taking them, or all that are left.
    async fn peek(&mut self, position: u64, wanted: usize) -> Result<&[u8]> {
        self.skip_to(position).await?;
        while self.block.len() - self.taken < wanted.max(1) && self.fill().await? {}
        Ok(&self.block[self.taken..])
    }

    /// Reads another block; `false` at the end.
    async fn fill(&mut self) -> Result<bool> {
        self.block.drain(..self.taken);
        self.taken = 0;
        match &self.inflating {
            // The file meta in front is of no interest here; it is hashed and passed over.
            Some(inflating) if self.position < inflating.from => {
                let from = inflating.from;
                let mut meta = Vec::new();
                while self.read < from {
                    meta.clear();
                    self.read_raw(to_usize(from - self.read).min(BLOCK), &mut meta).await?;
                }
                self.position = from;
                Ok(true)
            }
            Some(_) => self.fill_inflated().await,
            None => {
                let mut block = std::mem::take(&mut self.block);
                let read = self.read_raw(BLOCK, &mut block).await;
                self.block = block;
                Ok(read? > 0)
            }
        }
    }

    async fn fill_inflated(&mut self) -> Result<bool> {
        let before = self.block.len();
        // Bounded by the length of the source: each turn inflates something or reads another block.
        loop {
            let starved = self.inflating.as_ref().is_some_and(|i| i.used == i.raw.len());
            if starved && self.read < self.source.size_bytes() {
                let mut raw = self.inflating.as_mut().map(|i| std::mem::take(&mut i.raw)).unwrap_or_default();
                raw.clear();
                self.read_raw(BLOCK, &mut raw).await?;
                if let Some(inflating) = &mut self.inflating {
                    (inflating.raw, inflating.used) = (raw, 0);
                }
            }
            let last = self.read >= self.source.size_bytes();
            let Some(inflating) = self.inflating.as_mut().filter(|i| !i.inflater.ended()) else { return Ok(false) };
            self.block.resize(before + BLOCK, 0);
            let done = inflating.inflater.inflate(&inflating.raw[inflating.used..], last, &mut self.block[before..]);
            let done = done.inspect_err(|_| self.block.truncate(before))?;
            inflating.used += done.read;
            self.block.truncate(before + done.written);
            if done.written > 0 {
                return Ok(true);
            }
            if done.read == 0 && last {
                return Ok(false);
            }
        }
    }

    /// Appends at most `len` stored bytes to `to`, hashed; returns how many there were.
    async fn read_raw(&mut self, len: usize, to: &mut Vec<u8>) -> Result<usize> {
        let (len, held) = (len.min(to_usize(self.source.size_bytes() - self.read)), to.len());
        to.resize(held + len, 0);
        self.source.read_at(self.read, &mut to[held..]).await?;
        self.hasher.update(&to[held..]);
        self.read += len as u64;
        Ok(len)
    }

    /// Reads the rest and refuses with `source_changed` if the object is not the one that was received.
    pub async fn finish(&mut self) -> Result<()> {
        let mut rest = std::mem::take(&mut self.block);
        while self.read < self.source.size_bytes() {
            rest.clear();
            self.read_raw(BLOCK, &mut rest).await?;
        }
        self.source.check_unchanged().await?;
        let digest = Digest(std::mem::take(&mut self.hasher).finalize().into());
        if self.expected.is_some_and(|expected| expected != digest) {
            return Err(Error::source_changed("read an object again: its bytes are not those that were received"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use domain::Phi;
    use domain::dicom::scan::scan_slice;
    use domain::dicom::skeleton::Encoding;
    use domain::dicom::testkit;
    use domain::dicom::{Tag, VR};

    use super::*;
    use crate::objects::folder::{FILE_BUCKET, FolderObjects};

    /// A data set deflated without compression: one stored block (RFC 1951 3.2.4).
    fn stored(data_set: &[u8]) -> Vec<u8> {
        let len = u16::try_from(data_set.len()).expect("one block");
        let mut block = vec![1];
        block.extend_from_slice(&len.to_le_bytes());
        block.extend_from_slice(&(!len).to_le_bytes());
        block.extend_from_slice(data_set);
        block
    }

    #[tokio::test]
    async fn a_deflated_object_is_scanned_in_blocks_as_it_is_in_memory() {
        let set = testkit::DataSet::new(Encoding::EXPLICIT_LE).identity();
        let set = set.element(Tag(0x7FE0, 0x0010), VR::OW, &[7; 20_000]).bytes();
        let bytes = testkit::file("1.2.840.10008.1.2.1.99", &stored(&set));
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("deflated.dcm");
        std::fs::write(&path, &bytes).expect("written");
        let objects = FolderObjects::new(PathBuf::new(), PathBuf::new());
        let key = Phi::new(path.as_os_str().as_encoded_bytes().to_vec());
        let location = Location { bucket: FILE_BUCKET.to_owned(), key, version: String::new() };
        let (in_memory, inflated) = scan_slice(&bytes, Limits::default()).expect("it scans");
        let in_blocks = scan_source(&objects, &location, Limits::default()).await.expect("it scans");
        assert_eq!(in_blocks, in_memory);
        let from = in_memory.data_set;
        let source = objects.open(&location).await.expect("it opens");
        let mut reader = Sequential::new(source, None, Some(from), &Limits::default());
        let inflated = inflated.expect("it is short");
        reader.skip_to(from + 100).await.expect("forward");
        assert_eq!(reader.take(50, 1).await.expect("bytes"), &inflated[100..150]);
    }
}
