//! JPEG 2000 code streams (ITU-T T.800 Annex A, T.814): headers, tile-parts by their lengths, the end.
//!
//! A comment in the main header is cut. One in a tile-part header is blanked in place, since Psot and the lengths in TLM
//! count its bytes.

use memchr::memchr;

use super::segment::Action;
use super::{State, Walker, unwalkable};
use crate::Rejection;

pub(super) const COM: u8 = 0x64;
const SIZ: u8 = 0x51;
const SOT: u8 = 0x90;
const SOD: u8 = 0x93;
const EOC: u8 = 0xD9;
/// SOC and SIZ, with which every code stream begins.
const FIRST: [u8; 4] = [0xFF, 0x4F, 0xFF, SIZ];
/// Length in bytes of the SOT segment with its marker.
const SOT_BYTES: u64 = 12;

/// Where in a code stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Main,
    TileHeader,
    /// Behind a tile-part: another one or the end must follow.
    Between,
}

/// Whether a segment is one that decoders read (T.800 Table A.2, T.801, T.807, T.810, T.814); the rest goes.
const fn is_known(code: u8) -> bool {
    matches!(code, 0x50..=0x53 | 0x55..=0x61 | 0x63 | 0x65..=0x69 | 0x70..=0x79 | SOT)
}

impl Walker {
    pub(super) fn j2k_marker(&mut self, code: u8, ff: u64, offset: u64) -> Result<(), Rejection> {
        match (self.place, code) {
            (Place::Between | Place::Main, EOC) => self.state = State::Tail(0),
            (_, 0x30..=0x3F) if self.place != Place::Between => {
                self.take_from_tile(2, offset)?;
                self.state = State::Marker;
            }
            (Place::TileHeader, SOD) => {
                self.take_from_tile(2, offset)?;
                self.place = Place::Between;
                self.state = match self.tile_left {
                    None => State::LastTile,
                    Some(0) => State::Marker,
                    Some(left) => State::TileData(left),
                };
            }
            (Place::Main | Place::Between, SOT) => {
                self.tile_left = None;
                self.begin_segment(code, ff, offset, Action::Read);
            }
            (Place::Between, _) | (_, 0x00..=0x4F | SOT | SOD | EOC | 0xFF) => {
                return Err(unwalkable("a marker stands where it must not", offset));
            }
            (Place::Main, COM) => self.begin_segment(code, ff, offset, Action::Cut("COM")),
            (Place::TileHeader, COM) => self.begin_segment(code, ff, offset, Action::Blank("COM")),
            (_, known) if is_known(known) => self.begin_segment(code, ff, offset, Action::Keep),
            (Place::Main, _) => self.begin_segment(code, ff, offset, Action::Cut("UNKNOWN")),
            (Place::TileHeader, _) => self.begin_segment(code, ff, offset, Action::Blank("UNKNOWN")),
        }
        Ok(())
    }

    fn take_from_tile(&mut self, bytes: u64, offset: u64) -> Result<(), Rejection> {
        if self.place == Place::TileHeader
            && let Some(left) = self.tile_left
        {
            let Some(left) = left.checked_sub(bytes) else {
                return Err(unwalkable("a tile-part header is longer than its tile-part", offset));
            };
            self.tile_left = Some(left);
        }
        Ok(())
    }

    pub(super) fn end_j2k_segment(&mut self, offset: u64) -> Result<(), Rejection> {
        self.state = State::Marker;
        if self.segment.code != SOT {
            return self.take_from_tile(u64::from(self.segment.length) + 2, offset);
        }
        // Lsot, Isot, Psot, TPsot, TNsot (T.800 A.4.2).
        let &[0, 10, _, _, p0, p1, p2, p3, _, _] = self.segment.head() else {
            return Err(unwalkable("a tile-part has no proper header", offset));
        };
        let length = u64::from(u32::from_be_bytes([p0, p1, p2, p3]));
        self.place = Place::TileHeader;
        self.tile_left = match length.checked_sub(SOT_BYTES) {
            Some(left) => Some(left),
            None if length == 0 => None,
            None => return Err(unwalkable("a tile-part is shorter than its header", offset)),
        };
        Ok(())
    }

    /// Takes picture data; at a fragment's begin a new code stream may stand instead, if this frame was cut short.
    pub(super) fn tile_data(&mut self, bytes: &[u8], offset: u64) -> usize {
        match self.state {
            State::TileData(left) => {
                let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - taken as u64;
                self.state = if left == 0 { State::Marker } else { State::TileData(left) };
                return taken;
            }
            State::TilePeek(left, seen) => {
                if bytes[0] != FIRST[usize::from(seen)] {
                    // What was seen is picture data; `left` is at least 4.
                    self.state = State::TileData(left - u64::from(seen));
                    return self.tile_data(bytes, offset);
                }
                self.state = State::TilePeek(left, seen + 1);
                if usize::from(seen) + 1 == FIRST.len() {
                    self.began = true;
                    self.place = Place::Main;
                    self.begin_segment(SIZ, offset - 1, offset, Action::Keep);
                }
            }
            State::LastTile => {
                let Some(at) = memchr(0xFF, bytes) else { return bytes.len() };
                self.state = State::LastTileFf;
                return at + 1;
            }
            // No byte above 8F follows an FF inside packet data, so this is the end of the code stream.
            State::LastTileFf if bytes[0] == EOC => self.state = State::Tail(0),
            State::LastTileFf if bytes[0] == 0xFF => {}
            _ => self.state = State::LastTile,
        }
        1
    }
}
