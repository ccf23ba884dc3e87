//! JP2 and JPEG XL containers (ITU-T T.800 Annex I, ISO/IEC 18181-2). DICOM wants bare code streams (PS3.5 A.4.4); where a
//! container is met, a JP2 is unpacked to its code stream, and of a JPEG XL only what decodes the picture stays.

use super::{Form, Otherwise, Sink, State, Walker, unwalkable};
use crate::Rejection;

impl Walker {
    pub(super) fn box_header(&mut self, byte: u8, offset: u64, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        self.segment.collect();
        self.segment.take(&[byte], offset);
        let head = self.segment.head();
        let (kind, length) = match *head {
            [0, 0, 0, 1, k0, k1, k2, k3, l0, l1, l2, l3, l4, l5, l6, l7] => {
                ([k0, k1, k2, k3], u64::from_be_bytes([l0, l1, l2, l3, l4, l5, l6, l7]))
            }
            [0, 0, 0, 1, ..] => return Ok(()),
            [l0, l1, l2, l3, k0, k1, k2, k3] => ([k0, k1, k2, k3], u64::from(u32::from_be_bytes([l0, l1, l2, l3]))),
            _ => return Ok(()),
        };
        let to_end = length == 0 && head.len() == 8;
        let Some(left) = length.checked_sub(head.len() as u64).or(to_end.then_some(u64::MAX)) else {
            return Err(unwalkable("a box is shorter than its header", offset));
        };
        match (self.form, &kind) {
            (Form::Jp2, b"pclr") => {
                return Err(unwalkable("a JP2 palette cannot be kept without its container", offset));
            }
            (Form::Jp2, b"jp2c") => {
                self.segment.cut_all("BOX", sink)?;
                self.segment.clear();
                self.segment.in_box = true;
                self.state = State::Sniff(Otherwise::Refuse);
                return Ok(());
            }
            // Its content is boxes again.
            (Form::Jp2, b"jp2h") => {
                self.segment.cut_all("BOX", sink)?;
                self.segment.clear();
                return Ok(());
            }
            (Form::JpegXl, b"ftyp" | b"jxlc" | b"jxlp" | b"jxll" | b"jxli") => {
                self.state = State::BoxContent(left, false)
            }
            _ => {
                self.segment.cut_all("BOX", sink)?;
                self.state = State::BoxContent(left, true);
            }
        }
        if left == 0 {
            self.state = State::BoxHeader;
        }
        self.segment.clear();
        Ok(())
    }

    pub(super) fn box_content(&mut self, bytes: &[u8], offset: u64, sink: &mut Sink<'_>) -> Result<usize, Rejection> {
        let State::BoxContent(left, goes) = self.state else { return Ok(bytes.len()) };
        let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if goes {
            sink.cut(offset, taken as u64, Vec::new(), "BOX")?;
        }
        let left = if left == u64::MAX { left } else { left - taken as u64 };
        self.state = if left == 0 { State::BoxHeader } else { State::BoxContent(left, goes) };
        Ok(taken)
    }
}
