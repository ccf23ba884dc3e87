//! One marker segment: collected where its content decides, then kept, cut, rebuilt from its fields, or blanked.

use super::Sink;
use crate::Rejection;

pub(super) const SOS: u8 = 0xDA;
const COM: u8 = 0xFE;
/// How much of a segment's content is looked at: the longest that is rebuilt is SPIFF with 30 bytes.
const HEAD_BYTES_MAX: usize = 40;

/// Names of the application segments, for the receipt.
const APP: [&str; 16] = [
    "APP0", "APP1", "APP2", "APP3", "APP4", "APP5", "APP6", "APP7", "APP8", "APP9", "APP10", "APP11", "APP12", "APP13",
    "APP14", "APP15",
];

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Action {
    #[default]
    Keep,
    /// As `Keep`, but the content is looked at.
    Read,
    Cut(&'static str),
    /// JPEG APP0, APP8, APP14: rebuilt from known fields, or cut.
    Rebuild(&'static str),
    /// Replaced by a JPEG 2000 comment of the same length without content, so that tile-part lengths stay true.
    Blank(&'static str),
}

/// Returns what becomes of a JPEG segment (T.81 Table B.1): tables, headers and the extensions of JPEG-LS stay.
pub(super) const fn jpeg_action(code: u8) -> Action {
    match code {
        0xE0 | 0xE8 | 0xEE => Action::Rebuild(APP[(code & 0x0F) as usize]),
        0xE0..=0xEF => Action::Cut(APP[(code & 0x0F) as usize]),
        COM => Action::Cut("COM"),
        0xC0..=0xDF | 0xF0..=0xF8 => Action::Keep,
        _ => Action::Cut("UNKNOWN"),
    }
}

/// The segment or box header that is being read.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) code: u8,
    action: Action,
    /// The value of the length field.
    pub(super) length: u32,
    /// Whether what is read is the content of a JP2 code stream box.
    pub(super) in_box: bool,
    /// Where its bytes lie: offset and length; pieces in different fragments are apart.
    parts: Vec<(u64, u64)>,
    /// The first bytes of its content (of all its bytes, for boxes and first bytes).
    head: Vec<u8>,
    collects: bool,
}

impl Segment {
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.head.clear();
        self.collects = false;
        self.action = Action::Keep;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn first_offset(&self) -> u64 {
        self.parts.first().map_or(0, |part| part.0)
    }

    pub(super) fn begin(&mut self, code: u8, action: Action) {
        self.clear();
        self.code = code;
        self.action = action;
        self.collects = action != Action::Keep;
    }

    /// From here on everything is collected, whatever it will be.
    pub(super) fn collect(&mut self) {
        self.collects = true;
    }

    /// The marker has been taken; length and content follow.
    pub(super) fn head_begins(&mut self) {
        self.head.clear();
    }

    pub(super) fn take(&mut self, bytes: &[u8], offset: u64) {
        if !self.collects {
            return;
        }
        let room = HEAD_BYTES_MAX - self.head.len().min(HEAD_BYTES_MAX);
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match self.parts.last_mut() {
            Some((start, len)) if *start + *len == offset => *len += bytes.len() as u64,
            _ => self.parts.push((offset, bytes.len() as u64)),
        }
    }

    /// Cuts all that was collected.
    pub(super) fn cut_all(&self, what: &'static str, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        self.parts.iter().try_for_each(|&(offset, len)| sink.cut(offset, len, Vec::new(), what))
    }

    /// Does to the segment what is to become of it.
    pub(super) fn end(&self, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        match self.action {
            Action::Keep | Action::Read => Ok(()),
            Action::Cut(what) => self.cut_all(what, sink),
            Action::Rebuild(what) => {
                let Some(mut rebuilt) = self.rebuilt() else { return self.cut_all(what, sink) };
                // The head holds length and content; if that is all of it and the same, the source may stand.
                if rebuilt[2..] == self.head && self.length as usize + 2 == rebuilt.len() {
                    return Ok(());
                }
                self.parts
                    .iter()
                    .try_for_each(|&(offset, len)| sink.cut(offset, len, std::mem::take(&mut rebuilt), what))
            }
            Action::Blank(what) => {
                let length = self.length.to_be_bytes();
                let mut blank = vec![0xFF, super::j2k::COM, length[2], length[3]];
                blank.resize(self.length as usize + 2, 0);
                for &(offset, len) in &self.parts {
                    // The parts make up the segment: neither is longer than it.
                    let rest = blank.split_off((len as usize).min(blank.len()));
                    sink.cut(offset, len, std::mem::replace(&mut blank, rest), what)?;
                }
                Ok(())
            }
        }
    }

    /// Returns the segment made anew from the fields that decoders need: `None` if there are none.
    fn rebuilt(&self) -> Option<Vec<u8>> {
        let content = self.head.get(2..)?;
        let fields: &[u8] = match self.code {
            // JFIF: version, units, densities (T.871 10.1); the thumbnail goes.
            0xE0 if content.starts_with(b"JFIF\0") => content.get(..12)?,
            // Adobe: version, flags, colour transform.
            0xEE if content.starts_with(b"Adobe") => content.get(..12)?,
            // HP colour transform of JPEG-LS.
            0xE8 if content.starts_with(b"mrfx") => content.get(..5)?,
            // SPIFF header (T.84 F.2.1), and the end of its directory (entry 1, then SOI), without which decoders stop.
            0xE8 if content.starts_with(b"SPIFF\0") && self.length == 32 => content.get(..30)?,
            0xE8 if content == [0, 0, 0, 1, 0xFF, 0xD8] => content,
            _ => return None,
        };
        let no_thumbnail: &[u8] = if self.code == 0xE0 { &[0, 0] } else { &[] };
        let length = (2 + fields.len() + no_thumbnail.len()) as u16;
        let mut rebuilt = vec![0xFF, self.code];
        rebuilt.extend_from_slice(&length.to_be_bytes());
        rebuilt.extend_from_slice(fields);
        rebuilt.extend_from_slice(no_thumbnail);
        Some(rebuilt)
    }
}
