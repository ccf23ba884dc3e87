//! One of the two objects that are compared: scanned, and its long values hashed in one pass from front to back, so that an
//! object of any size takes the memory of its skeleton.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use domain::Phi;
use domain::dicom::limits::Limits;
use domain::dicom::skeleton::{Content, Cut, Element, Skeleton};
use domain::dicom::{Tag, VR};
use domain::events::Digest;
use domain::ids::Location;
use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::objects::folder::{FILE_BUCKET, FolderObjects};
use crate::ports::objects::Objects;
use crate::pump::BLOCK;
use crate::reading::{self, Sequential};

/// The first bytes of a SHA-256: enough to tell values apart, and a million fragments fit into memory.
pub(super) type Short = [u8; 16];

/// One object.
#[derive(Debug)]
pub struct Side {
    /// Where it lies; hashes to its stream if it lies there still.
    pub location: Location,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Its structure and short values.
    pub skeleton: Skeleton,
    /// Whether the 128 bytes of the preamble hold something.
    pub preamble: bool,
    /// Digests of values that are not kept, by the element's index; padded to an even length, numbers little endian.
    pub(super) ranges: HashMap<usize, Short>,
    /// Digests of the fragments of the pixel data as they stand.
    pub(super) fragments: Vec<Short>,
    /// Digests of the fragments as they are when every cut is made, padded to an even length.
    pub(super) cleaned: Vec<Short>,
}

impl Side {
    /// Reads an object where it lies.
    ///
    /// # Errors
    /// `source_*`; the rejection of the scan.
    pub async fn read(path: &Path, limits: Limits) -> Result<Self> {
        let objects = FolderObjects::new(PathBuf::new(), PathBuf::new());
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let key = Phi::new(canonical.as_os_str().as_bytes().to_vec());
        let mut location = Location { bucket: FILE_BUCKET.to_owned(), key, version: String::new() };
        let mut source = objects.open(&location).await?;
        let digest = reading::hash_large(source.as_mut()).await?;
        location.version = digest.to_string();
        let mut preamble = vec![0; source.size_bytes().min(128) as usize];
        source.read_at(0, &mut preamble).await?;
        let skeleton = reading::scan_source(&objects, &location, limits).await?;
        let preamble = skeleton.preamble && preamble.iter().any(|&byte| byte != 0);
        let deflated = skeleton.syntax.deflated.then_some(skeleton.data_set);
        let mut bytes = Sequential::new(source, Some(digest), deflated, &limits);
        let mut side = Self {
            location,
            digest,
            skeleton,
            preamble,
            ranges: HashMap::new(),
            fragments: Vec::new(),
            cleaned: Vec::new(),
        };
        side.hash_long_values(&mut bytes).await?;
        bytes.finish().await?;
        Ok(side)
    }

    async fn hash_long_values(&mut self, bytes: &mut Sequential) -> Result<()> {
        for index in 0..self.skeleton.elements.len() {
            let element = self.skeleton.elements[index];
            match element.content {
                Content::Range => {
                    let digest = hash_range(&element, bytes).await?;
                    self.ranges.insert(index, digest);
                }
                Content::Fragments => self.hash_fragments(index, bytes).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn hash_fragments(&mut self, index: usize, bytes: &mut Sequential) -> Result<()> {
        let Some(pixels) = self.skeleton.encapsulated.as_ref().filter(|pixels| pixels.element as usize == index) else {
            return Ok(());
        };
        let mut cuts = pixels.cuts.as_slice();
        for fragment in &pixels.fragments {
            let end = fragment.value + u64::from(fragment.len);
            let inside = cuts.iter().take_while(|cut| cut.offset < end).count();
            let (now, later) = cuts.split_at(inside);
            cuts = later;
            let (as_it_stands, cleaned) = hash_fragment(fragment.value, end, now, bytes).await?;
            self.fragments.push(as_it_stands);
            self.cleaned.push(cleaned);
        }
        Ok(())
    }

    /// Returns the UID of the top level, if it is one that was kept.
    pub(super) fn uid(&self, tag: Tag) -> Option<String> {
        let bytes = self.skeleton.value(tag)?;
        let text = std::str::from_utf8(bytes).ok()?;
        Some(text.trim_matches([' ', '\0']).to_owned())
    }
}

fn short(hash: Sha256) -> Short {
    let whole: [u8; 32] = hash.finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(&whole[..16]);
    short
}

async fn hash_range(element: &Element, bytes: &mut Sequential) -> Result<Short> {
    let unit = if is_big_endian(element) { unit_of(element.vr) } else { 1 };
    let unit = if element.len.is_multiple_of(unit as u64) { unit } else { 1 };
    let mut hash = Sha256::new();
    bytes.skip_to(element.value).await?;
    let mut left = element.len;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
        let block = bytes.take(wanted, unit).await?;
        left -= block.len() as u64;
        if unit == 1 {
            hash.update(block);
        } else {
            let swapped: Vec<u8> = block.chunks_exact(unit).flat_map(|unit| unit.iter().rev().copied()).collect();
            hash.update(swapped);
        }
    }
    if element.len % 2 == 1 {
        hash.update([0]);
    }
    Ok(short(hash))
}

/// Hashes one fragment as it stands, and as it is when the cuts are made.
async fn hash_fragment(start: u64, end: u64, cuts: &[Cut], bytes: &mut Sequential) -> Result<(Short, Short)> {
    let (mut stands, mut cleaned) = (Sha256::new(), Sha256::new());
    let (mut at, mut len) = (start, 0);
    bytes.skip_to(start).await?;
    for cut in cuts {
        len += hash_into(at, cut.offset, bytes, [Some(&mut stands), Some(&mut cleaned)]).await?;
        hash_into(cut.offset, (cut.offset + cut.len).min(end), bytes, [Some(&mut stands), None]).await?;
        cleaned.update(&cut.replacement);
        len += cut.replacement.len() as u64;
        at = (cut.offset + cut.len).min(end);
    }
    len += hash_into(at, end, bytes, [Some(&mut stands), Some(&mut cleaned)]).await?;
    if len % 2 == 1 {
        cleaned.update([0]);
    }
    Ok((short(stands), short(cleaned)))
}

async fn hash_into(from: u64, to: u64, bytes: &mut Sequential, mut hashes: [Option<&mut Sha256>; 2]) -> Result<u64> {
    let len = to.saturating_sub(from);
    let mut left = len;
    while left > 0 {
        let block = bytes.take(usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK), 1).await?;
        left -= block.len() as u64;
        for hash in hashes.iter_mut().flatten() {
            hash.update(block);
        }
    }
    Ok(len)
}

/// The byte order of an element's numbers: behind UN it is always little (PS3.5 6.2.2).
pub(super) const fn is_big_endian(element: &Element) -> bool {
    element.encoding.big_endian && !element.was_un
}

/// Returns the size in bytes of the units whose order byte order means (PS3.5 7.3); 1 where it means nothing.
pub(super) const fn unit_of(vr: VR) -> usize {
    match vr {
        VR::US | VR::SS | VR::OW | VR::AT => 2,
        VR::UL | VR::SL | VR::FL | VR::OF | VR::OL => 4,
        VR::FD | VR::SV | VR::UV | VR::OD | VR::OV => 8,
        _ => 1,
    }
}
