//! The short way through what is plain: little endian, ascending, whole in the window, within its parent. That is nearly
//! all there is; whatever else stands there is left to the walk in `elements`, which reads it anew and judges it.

use dicom_core::{Tag, VR};

use super::build::Header;
use super::dictionary::{has_long_length, is_bulk, vr_of_letters, vr_of_tag};
use super::elements::{ITEM, ITEM_DELIMITATION, Kind, SEQUENCE_DELIMITATION};
use super::{Scanner, Window};
use crate::dicom::skeleton::Note;

/// From this group on a tag may mean pixels, padding, items or delimiters.
const FIRST_SPECIAL_GROUP: u16 = 0x7FE0;

impl Scanner {
    /// Reads on from the position as long as what stands there is plain.
    pub(super) fn plain(&mut self, window: Window<'_>) {
        // Bounded: each turn moves the position or closes a frame.
        while self.plain_frame(window).is_some() {}
    }

    /// Reads plain elements, and opens or closes a sequence or item behind them; `None` if it is not plain.
    fn plain_frame(&mut self, window: Window<'_>) -> Option<()> {
        let kind = self.stack.last().map_or(Kind::Item, |top| top.kind);
        match kind {
            Kind::Item => self.leaves(window),
            Kind::Sequence => {}
            Kind::Opaque => return None,
        }
        let position = self.position;
        let (encoding, limit, last_tag) = match self.stack.last() {
            Some(top) if top.limit == position => {
                return top.defined.then(|| self.close(position));
            }
            Some(top) => (top.encoding, top.limit, top.last_tag),
            None => (self.syntax.encoding, self.total, self.last_tag),
        };
        if encoding.big_endian {
            return None;
        }
        let head = window.from(position);
        let &[g0, g1, e0, e1, v0, v1, v2, v3] = head.first_chunk()?;
        let tag = Tag(u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
        let len = u32::from_le_bytes([v0, v1, v2, v3]);
        let mut header = Header { tag, vr: VR::UN, was_un: false, encoding, start: position, bytes: 8, len };
        if tag.0 == 0xFFFE {
            let delimiter = if kind == Kind::Item { ITEM_DELIMITATION } else { SEQUENCE_DELIMITATION };
            if tag == delimiter
                && len == 0
                && limit - position >= 8
                && self.stack.last().is_some_and(|top| !top.defined)
            {
                self.close(position);
                self.position += 8;
                return Some(());
            }
            return (tag == ITEM && kind == Kind::Sequence).then(|| self.open_plain(&header, Kind::Item, limit))?;
        }
        let number = u32::from(tag.0) << 16 | u32::from(tag.1);
        if kind != Kind::Item
            || tag.0 == 0
            || tag.0 >= FIRST_SPECIAL_GROUP
            || last_tag.is_some_and(|last| number <= last)
        {
            return None;
        }
        if encoding.explicit {
            let &[_, _, _, _, _, _, _, _, l0, l1, l2, l3] = head.first_chunk().filter(|_| [v0, v1] == *b"SQ")?;
            header.len = u32::from_le_bytes([l0, l1, l2, l3]);
            header.bytes = 12;
        } else if vr_of_tag(tag) != Some(VR::SQ) {
            return None;
        }
        header.vr = VR::SQ;
        let parent = self.stack.len().checked_sub(1);
        self.open_plain(&header, Kind::Sequence, limit)?;
        match parent {
            Some(parent) => self.stack[parent].last_tag = Some(number),
            None => self.last_tag = Some(number),
        }
        Some(())
    }

    /// Opens a sequence or item that ends within `limit`; `None` if it does not, or if a limit of the scan is reached.
    fn open_plain(&mut self, header: &Header, kind: Kind, limit: u64) -> Option<()> {
        let end = if header.undefined() { limit } else { header.value() + u64::from(header.len) };
        if end > limit || header.value() > limit {
            return None;
        }
        self.open(header, kind, !header.undefined(), end, header.encoding).ok()
    }

    /// Reads elements without children of the innermost open item, or of the top level, as long as there are any.
    fn leaves(&mut self, window: Window<'_>) {
        let (encoding, limit, mut last_tag) = match self.stack.last() {
            Some(top) => (top.encoding, top.limit, top.last_tag),
            None => (self.syntax.encoding, self.total, self.last_tag),
        };
        if encoding.big_endian {
            return;
        }
        let bytes = window.from(self.position);
        let room = usize::try_from(limit - self.position).unwrap_or(usize::MAX);
        let mut rest = &bytes[..bytes.len().min(room)];
        let mut start = self.position;
        while let Some((&[g0, g1, e0, e1, v0, v1, v2, v3], _)) = rest.split_first_chunk() {
            let tag = Tag(u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
            let number = u32::from(tag.0) << 16 | u32::from(tag.1);
            // Group 0 too: at the top level it may be what follows the data set.
            if tag.0 == 0 || tag.0 >= FIRST_SPECIAL_GROUP || last_tag.is_some_and(|last| number <= last) {
                break;
            }
            let mut header = Header { tag, vr: VR::UN, was_un: false, encoding, start, bytes: 8, len: 0 };
            if encoding.explicit {
                let Some(vr) = vr_of_letters([v0, v1]).filter(|vr| !matches!(vr, VR::SQ | VR::UN)) else { break };
                header.vr = vr;
                header.len = u32::from(u16::from_le_bytes([v2, v3]));
                if has_long_length(vr) {
                    let Some(&[_, _, _, _, _, _, _, _, l0, l1, l2, l3]) = rest.first_chunk() else { break };
                    header.len = u32::from_le_bytes([l0, l1, l2, l3]);
                    header.bytes = 12;
                }
            } else {
                header.vr = vr_of_tag(tag).unwrap_or(VR::UN);
                header.len = u32::from_le_bytes([v0, v1, v2, v3]);
                if header.vr == VR::SQ {
                    break;
                }
            }
            let skip = usize::from(header.bytes);
            // An undefined length ends behind every window of less than 4 GiB, and is looked for all the same.
            let Some(end) = skip.checked_add(header.len as usize).filter(|_| !header.undefined()) else { break };
            let Some((element, behind)) = rest.split_at_checked(end) else { break };
            let max =
                if is_bulk(header.vr) { self.limits.kept_bulk_bytes_max } else { self.limits.kept_value_bytes_max };
            let value = (header.len <= max).then(|| &element[skip..]);
            // Over a limit: the walk comes to the same end, and says so.
            if self.builder.add(&header, value, &self.limits).is_err() {
                break;
            }
            if header.len & 1 == 1 {
                self.builder.note(Note::OddLength);
            }
            last_tag = Some(number);
            start += end as u64;
            rest = behind;
        }
        self.position = start;
        match self.stack.last_mut() {
            Some(top) => top.last_tag = last_tag,
            None => self.last_tag = last_tag,
        }
    }
}
