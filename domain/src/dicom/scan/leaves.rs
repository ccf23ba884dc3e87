//! The short way through plain elements: little endian, ascending, of a defined length and without children, whole in the
//! window. They are nearly all there is; whatever else stands there is left to the walk in `elements`, which reads it anew.

use dicom_core::{Tag, VR};

use super::build::Header;
use super::dictionary::{has_long_length, is_bulk, vr_of_letters, vr_of_tag};
use super::{Scanner, Window};
use crate::dicom::skeleton::Note;

/// From this group on a tag may mean pixels, padding, items or delimiters.
const FIRST_SPECIAL_GROUP: u16 = 0x7FE0;

impl Scanner {
    /// Reads plain elements of the innermost open item, or of the top level, as long as there are any.
    pub(super) fn leaves(&mut self, window: Window<'_>) {
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
