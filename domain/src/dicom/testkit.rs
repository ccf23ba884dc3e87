//! A writer of data sets for tests: right ones in every encoding, and wrong ones on purpose. Nothing is checked or padded.

mod deidentified;

use dicom_core::{Tag, VR};

use super::inflate;
use super::limits::Limits;
use super::scan::{Scanner, Want, has_long_length, scan_slice};
use super::skeleton::{Encoding, Fragment, Skeleton};
use crate::Rejection;

pub use deidentified::{assemble, deidentify_and_check};

/// How the length of a sequence or item is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// As a number.
    Defined,
    /// As FFFFFFFF, with a delimitation item behind.
    Undefined,
    /// As FFFFFFFF, and the delimitation item is missing.
    Open,
}

/// Bytes of a data set under construction.
#[derive(Clone, Debug)]
pub struct DataSet {
    encoding: Encoding,
    bytes: Vec<u8>,
}

impl DataSet {
    /// Begins an empty data set.
    pub const fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new() }
    }

    /// Returns the bytes written.
    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn u16(&self, value: u16) -> [u8; 2] {
        if self.encoding.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.encoding.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// Writes a header with any length; items and delimiters have no VR in any encoding.
    #[must_use]
    pub fn header(mut self, tag: Tag, vr: VR, len: u32) -> Self {
        let (group, element) = (self.u16(tag.0), self.u16(tag.1));
        self.bytes.extend_from_slice(&group);
        self.bytes.extend_from_slice(&element);
        if !self.encoding.explicit || tag.0 == 0xFFFE {
            self.bytes.extend_from_slice(&self.u32(len));
            return self;
        }
        self.bytes.extend_from_slice(vr.to_string().as_bytes());
        if has_long_length(vr) {
            self.bytes.extend_from_slice(&[0, 0]);
            self.bytes.extend_from_slice(&self.u32(len));
        } else {
            self.bytes.extend_from_slice(&self.u16(u16::try_from(len).expect("a short length fits")));
        }
        self
    }

    /// Writes any bytes.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Writes an element with its value.
    #[must_use]
    pub fn element(self, tag: Tag, vr: VR, value: &[u8]) -> Self {
        self.header(tag, vr, value.len() as u32).raw(value)
    }

    /// Writes a text element, padded to an even length with a space (NUL for UI).
    #[must_use]
    pub fn text(self, tag: Tag, vr: VR, text: &str) -> Self {
        let mut value = text.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == VR::UI { 0 } else { b' ' });
        }
        self.element(tag, vr, &value)
    }

    /// Writes a number as US.
    #[must_use]
    pub fn us(self, tag: Tag, number: u16) -> Self {
        let value = self.u16(number);
        self.element(tag, VR::US, &value)
    }

    /// Writes a sequence of items, all in this encoding; `vr` is SQ, or UN to write it as unknown.
    #[must_use]
    pub fn sequence(self, tag: Tag, vr: VR, length: Length, items: Vec<Vec<u8>>) -> Self {
        let inside = Self::new(self.encoding).items(length, items);
        let header = if length == Length::Defined { inside.bytes.len() as u32 } else { u32::MAX };
        let written = self.header(tag, vr, header).raw(&inside.bytes);
        if length == Length::Undefined { written.header(SEQUENCE_DELIMITATION, VR::UN, 0) } else { written }
    }

    /// Writes items without a sequence around them.
    #[must_use]
    pub fn items(mut self, length: Length, items: Vec<Vec<u8>>) -> Self {
        for item in items {
            let header = if length == Length::Defined { item.len() as u32 } else { u32::MAX };
            self = self.header(ITEM, VR::UN, header).raw(&item);
            if length != Length::Defined {
                self = self.header(ITEM_DELIMITATION, VR::UN, 0);
            }
        }
        self
    }

    /// Writes encapsulated pixel data with an offset table.
    #[must_use]
    pub fn pixel_data(mut self, table: &[u32], fragments: &[Vec<u8>]) -> Self {
        self = self.header(Tag(0x7FE0, 0x0010), VR::OB, u32::MAX).header(ITEM, VR::UN, table.len() as u32 * 4);
        for entry in table {
            self = self.raw(&entry.to_le_bytes());
        }
        for fragment in fragments {
            self = self.header(ITEM, VR::UN, fragment.len() as u32).raw(fragment);
        }
        self.header(SEQUENCE_DELIMITATION, VR::UN, 0)
    }

    /// Writes what identifies an object: SOP Class, SOP Instance, patient, study and series, all invented.
    #[must_use]
    pub fn identity(self) -> Self {
        self.text(Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.7")
            .text(Tag(0x0008, 0x0018), VR::UI, "1.2.826.0.1.3680043.10.1.1")
            .text(Tag(0x0010, 0x0010), VR::PN, "Example^Eva")
            .text(Tag(0x0010, 0x0020), VR::LO, "EX-1")
            .text(Tag(0x0020, 0x000D), VR::UI, "1.2.826.0.1.3680043.10.1.2")
            .text(Tag(0x0020, 0x000E), VR::UI, "1.2.826.0.1.3680043.10.1.3")
    }
}

/// (FFFE,E000).
pub const ITEM: Tag = Tag(0xFFFE, 0xE000);
/// (FFFE,E00D).
pub const ITEM_DELIMITATION: Tag = Tag(0xFFFE, 0xE00D);
/// (FFFE,E0DD).
pub const SEQUENCE_DELIMITATION: Tag = Tag(0xFFFE, 0xE0DD);

/// Returns file meta with the right group length.
pub fn meta(transfer_syntax_uid: &str) -> Vec<u8> {
    let rest = DataSet::new(Encoding::EXPLICIT_LE)
        .element(Tag(0x0002, 0x0001), VR::OB, &[0, 1])
        .text(Tag(0x0002, 0x0002), VR::UI, "1.2.840.10008.5.1.4.1.1.7")
        .text(Tag(0x0002, 0x0003), VR::UI, "1.2.826.0.1.3680043.10.1.1")
        .text(Tag(0x0002, 0x0010), VR::UI, transfer_syntax_uid)
        .bytes();
    let length = (rest.len() as u32).to_le_bytes();
    DataSet::new(Encoding::EXPLICIT_LE).element(Tag(0x0002, 0x0000), VR::UL, &length).raw(&rest).bytes()
}

/// Returns a file: preamble, prefix, meta, and the data set as given.
pub fn file(transfer_syntax_uid: &str, data_set: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    file.extend_from_slice(&meta(transfer_syntax_uid));
    file.extend_from_slice(data_set);
    file
}

/// A small generator of pseudo-random numbers (xorshift64*), so that a printed seed repeats a run.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed; 0 is replaced.
    pub const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 0x9E37_79B9_7F4A_7C15 } else { seed })
    }

    /// Returns the next number.
    pub const fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Returns a number below `bound` (which is not 0).
    pub const fn below(&mut self, bound: usize) -> usize {
        (self.number() >> 11) as usize % bound
    }
}

/// Returns `bytes` changed in one to four places: bits, bytes, lengths, cuts, repeats, insertions.
pub fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..=random.below(4) {
        if changed.is_empty() {
            break;
        }
        let at = random.below(changed.len());
        match random.below(8) {
            0 | 1 => changed[at] ^= 1 << random.below(8),
            2 => changed[at] = random.number() as u8,
            3 => changed.truncate(at),
            4 | 5 => {
                // Where a length may stand: extreme values.
                let value = [0, 1, u32::MAX, u32::MAX - 1, 0x7FFF_FFFF, 0xFFFF, 0x8000][random.below(7)];
                let width = (changed.len() - at).min(if random.below(2) == 0 { 2 } else { 4 });
                changed[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            6 => {
                let end = at + random.below((changed.len() - at).min(64) + 1);
                let piece = changed[at..end].to_vec();
                changed.splice(at..at, piece);
            }
            _ => {
                let end = at + random.below((changed.len() - at).min(64) + 1);
                changed.drain(at..end);
            }
        }
    }
    changed
}

/// Scans with windows of `size` bytes (more where more is wanted), as a reader of a file would.
///
/// # Errors
/// The object is refused.
///
/// # Panics
/// If the scanner wants what it must not want.
pub fn scan_in_windows(bytes: &[u8], size: usize) -> Result<Skeleton, Rejection> {
    let limits = Limits::default();
    let mut scanner = Scanner::new(bytes.len() as u64, limits);
    let mut source = std::borrow::Cow::Borrowed(bytes);
    let mut least = 0;
    loop {
        let position = scanner.position() as usize;
        let end = (position + least.max(size)).min(source.len());
        match scanner.feed(&source[position.min(end)..end])? {
            Want::Bytes(n) => {
                assert!(scanner.position() as usize + n <= source.len(), "more is wanted than there is");
                assert!(n <= limits.kept_value_bytes_max as usize + 12, "more is wanted than is ever kept");
                least = n;
            }
            Want::Bulk { offset, len } => {
                assert_eq!(offset + len, scanner.position(), "the position is behind what is not needed");
                assert_eq!(offset, end as u64, "what is not needed begins behind the window");
                least = 0;
            }
            Want::Inflate { offset } => {
                let len = inflate::count(&bytes[offset as usize..], &limits)?;
                if len > limits.inflated_slice_bytes_max {
                    return scan_slice(bytes, limits).map(|(skeleton, _)| skeleton);
                }
                source.to_mut().truncate(offset as usize);
                let inflated = scan_slice(bytes, limits)?.1.expect("short enough to come inflated");
                assert_eq!(inflated.len() as u64, len, "both passes count the same");
                source.to_mut().extend_from_slice(&inflated);
                scanner.inflated(len);
                least = 0;
            }
            Want::End => return scanner.finish(),
        }
    }
}

/// Scans bytes of any kind, whole and in windows of `size` bytes, and checks what the scanner promises: one verdict, ranges
/// inside the object, subtrees closed, cuts in order and inside one fragment each.
///
/// # Errors
/// The object is refused, both ways.
///
/// # Panics
/// If a promise is broken.
pub fn scan_and_check(bytes: &[u8], size: usize) -> Result<Skeleton, Rejection> {
    let verdict = scan_slice(bytes, Limits::default()).map(|(skeleton, _)| skeleton);
    assert!(verdict == scan_in_windows(bytes, size), "windows of {size} bytes change the verdict");
    let skeleton = verdict?;
    for (index, element) in skeleton.elements.iter().enumerate() {
        assert!(element.start() < element.value && element.value + element.len <= skeleton.data_set_end);
        assert!(element.end as usize > index && element.end as usize <= skeleton.elements.len());
    }
    assert!(skeleton.data_set <= skeleton.data_set_end && skeleton.data_set_end <= skeleton.len);
    if let Some(found) = &skeleton.encapsulated {
        assert!(found.cuts.is_sorted_by(|a, b| a.offset + a.len <= b.offset));
        for cut in &found.cuts {
            let inside = |fragment: &Fragment| {
                fragment.value <= cut.offset && cut.offset + cut.len <= fragment.value + u64::from(fragment.len)
            };
            assert!(found.fragments.iter().any(inside), "a cut lies inside one fragment");
        }
        assert!(found.frames.is_sorted_by(|a, b| a < b));
        assert!(found.frames.iter().all(|first| (*first as usize) < found.fragments.len()));
    }
    Ok(skeleton)
}
