//! The walk through compressed frames for what is not picture: comments, application segments, thumbnails, bytes behind the
//! end. JPEG and JPEG-LS (ITU-T T.81, T.87), JPEG 2000 and HTJ2K code streams (T.800, T.814), JP2 and JPEG XL boxes.
//!
//! A state machine over bytes that come in pieces of any size, across fragment borders. Which form a frame has is read from
//! its first bytes, not from the transfer syntax. A frame that cannot be walked to its end cannot be cleaned, so it is
//! refused with `pixel`; one that merely stops inside its picture data is cut short but clean, and passes.

mod boxes;
mod j2k;
mod segment;
#[cfg(test)]
mod tests;

use std::mem::size_of;

use memchr::memchr;

use super::limits::Budget;
use super::skeleton::Cut;
use crate::{Reason, Rejection};
use j2k::Place;
use segment::{Action, Segment};

/// First bytes of the boxed forms.
const JP2_SIGNATURE: [u8; 12] = *b"\0\0\0\x0CjP  \r\n\x87\n";
const JXL_SIGNATURE: [u8; 12] = *b"\0\0\0\x0CJXL \r\n\x87\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Jpeg,
    J2k,
    Jp2,
    JpegXl,
}

/// What bytes are that are no beginning of a code stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Otherwise {
    /// A code stream has to begin here.
    Refuse,
    /// They follow an ended one.
    Tail,
    /// They go on inside one that has no marks of its own.
    Opaque,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first bytes of a code stream.
    Sniff(Otherwise),
    /// Before the FF of a marker.
    Marker,
    /// Behind the FF at this offset.
    MarkerCode(u64),
    /// In the length of a segment; its first byte, once seen.
    Length(Option<u8>),
    /// In a segment with this many bytes left.
    Payload(u32),
    /// In entropy-coded data of JPEG.
    Entropy,
    /// There, behind an FF at this offset.
    EntropyFf(u64),
    /// In the data of a tile-part with this many bytes left.
    TileData(u64),
    /// At a fragment's begin within those, having seen as many bytes of a new code stream's first four.
    TilePeek(u64, u8),
    /// In the data of the last tile-part, which ends with the code stream.
    LastTile,
    /// There, behind an FF.
    LastTileFf,
    /// In a box header.
    BoxHeader,
    /// In a box with this many bytes left; whether it goes.
    BoxContent(u64, bool),
    /// In data without marks, up to the end of the frame.
    Opaque,
    /// Behind the end of the code stream; how many bytes of another one's beginning have been seen.
    Tail(u8),
}

/// Where cuts go, and what they cost.
struct Sink<'a> {
    cuts: &'a mut Vec<Cut>,
    budget: &'a mut Budget,
}

impl Sink<'_> {
    fn cut(&mut self, offset: u64, len: u64, replacement: Vec<u8>, what: &'static str) -> Result<(), Rejection> {
        if let Some(last) = self.cuts.last_mut()
            && last.offset + last.len == offset
            && last.what == what
            && last.replacement.is_empty()
            && replacement.is_empty()
        {
            last.len += len;
            return Ok(());
        }
        self.budget.charge(size_of::<Cut>() + replacement.len())?;
        self.cuts.push(Cut { offset, len, replacement, what });
        Ok(())
    }
}

fn unwalkable(detail: &'static str, offset: u64) -> Rejection {
    Rejection::new(Reason::Pixel, detail).at_offset(offset)
}

/// Walks through the fragments of one object.
#[derive(Debug)]
pub(super) struct Walker {
    /// Number of Frames, if known.
    frames: Option<u32>,
    state: State,
    form: Form,
    segment: Segment,
    /// Where in a JPEG 2000 code stream.
    place: Place,
    /// Bytes left in the tile-part whose header is being read; `None` if it goes to the end of the code stream.
    tile_left: Option<u64>,
    fragment_start: u64,
    fragment_end: u64,
    /// A code stream began at the start of the present fragment.
    began: bool,
    /// Bytes behind the code stream's end in the present fragment: offset, length, and whether they are one zero.
    tail: Option<(u64, u64, bool)>,
}

impl Walker {
    pub(super) fn new(frames: Option<u32>) -> Self {
        Self {
            frames,
            state: State::Sniff(Otherwise::Refuse),
            form: Form::Jpeg,
            segment: Segment::default(),
            place: Place::Main,
            tile_left: None,
            fragment_start: 0,
            fragment_end: 0,
            began: false,
            tail: None,
        }
    }

    fn single(&self) -> bool {
        self.frames == Some(1)
    }

    /// Comes to a fragment of `len` bytes at `start`; `named`: the offset table says that a frame begins with it.
    pub(super) fn begin_fragment(&mut self, named: bool, start: u64, len: u32) -> Result<(), Rejection> {
        self.fragment_start = start;
        self.fragment_end = start + u64::from(len);
        self.began = false;
        let named = named && !self.single();
        match self.state {
            State::Sniff(_) | State::TilePeek(..) => {}
            State::Tail(_) => {
                self.segment.clear();
                self.state = State::Sniff(if named { Otherwise::Refuse } else { Otherwise::Tail });
            }
            State::Opaque => {
                self.segment.clear();
                if !self.single() {
                    self.state = State::Sniff(Otherwise::Opaque);
                }
            }
            State::TileData(left) if left >= 4 && !self.single() => self.state = State::TilePeek(left, 0),
            State::Entropy | State::EntropyFf(_) | State::TileData(_) | State::LastTile | State::LastTileFf => {}
            State::Marker if self.form == Form::J2k && self.place == Place::Between && !self.single() => {
                // The end mark of the frame before may be missing; a new one is told by its first bytes.
                self.segment.clear();
                self.state = State::Sniff(Otherwise::Refuse);
            }
            State::BoxHeader if self.form == Form::JpegXl && self.segment.is_empty() && !self.single() => {
                self.state = State::Sniff(Otherwise::Refuse);
            }
            // A box that goes to the end of its frame.
            State::BoxContent(u64::MAX, goes) if !self.single() => {
                self.state = State::Sniff(if goes { Otherwise::Tail } else { Otherwise::Opaque });
            }
            _ if named => return Err(unwalkable("a frame ends inside a marker segment", start)),
            _ => {}
        }
        Ok(())
    }

    /// Walks through `bytes` at the logical offset `offset`, inside the present fragment.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        offset: u64,
        cuts: &mut Vec<Cut>,
        budget: &mut Budget,
    ) -> Result<(), Rejection> {
        let mut sink = Sink { cuts, budget };
        let mut at = 0;
        // Bounded: each turn takes at least one byte.
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += self.advance(rest, offset + at as u64, &mut sink)?.max(1);
        }
        Ok(())
    }

    /// Takes some of `bytes` and returns how many.
    fn advance(&mut self, bytes: &[u8], offset: u64, sink: &mut Sink<'_>) -> Result<usize, Rejection> {
        let byte = bytes[0];
        match self.state {
            State::Sniff(otherwise) => self.sniff(byte, offset, otherwise, sink)?,
            State::Marker => return self.marker(bytes, offset, sink),
            State::MarkerCode(ff) => self.marker_code(byte, ff, offset, sink)?,
            State::Length(None) => {
                self.segment.take(&bytes[..1], offset);
                self.state = State::Length(Some(byte));
            }
            State::Length(Some(first)) => {
                self.segment.take(&bytes[..1], offset);
                let length = u32::from(u16::from_be_bytes([first, byte]));
                let Some(left) = length.checked_sub(2) else {
                    return Err(unwalkable("a marker segment is shorter than its length field", offset));
                };
                self.segment.length = length;
                self.state = State::Payload(left);
                if left == 0 {
                    self.end_segment(offset, sink)?;
                }
            }
            State::Payload(left) => {
                let taken = bytes.len().min(left as usize);
                self.segment.take(&bytes[..taken], offset);
                // `taken` is at most `left`.
                let left = left - taken as u32;
                self.state = State::Payload(left);
                if left == 0 {
                    self.end_segment(offset + taken as u64 - 1, sink)?;
                }
                return Ok(taken);
            }
            State::Entropy => {
                let Some(at) = memchr(0xFF, bytes) else { return Ok(bytes.len()) };
                self.state = State::EntropyFf(offset + at as u64);
                return Ok(at + 1);
            }
            // Stuffing and restart markers; JPEG-LS stuffs one bit, so that anything below 80 may follow.
            State::EntropyFf(_) if byte < 0x80 || matches!(byte, 0xD0..=0xD7) => self.state = State::Entropy,
            State::EntropyFf(ff) => self.marker_code(byte, ff, offset, sink)?,
            State::TileData(_) | State::TilePeek(..) | State::LastTile | State::LastTileFf => {
                return Ok(self.tile_data(bytes, offset));
            }
            State::BoxHeader => self.box_header(byte, offset, sink)?,
            State::BoxContent(..) => return self.box_content(bytes, offset, sink),
            State::Opaque => return Ok(bytes.len()),
            State::Tail(_) => return self.tail(bytes, offset),
        }
        Ok(1)
    }

    /// Collects the first bytes of a code stream until they tell its form.
    fn sniff(&mut self, byte: u8, offset: u64, otherwise: Otherwise, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        self.segment.collect();
        self.segment.take(&[byte], offset);
        let form = match *self.segment.head() {
            [0xFF, 0xD8] => Form::Jpeg,
            [0xFF, 0x4F] => Form::J2k,
            [0xFF, 0x0A] => Form::JpegXl,
            [0xFF] => return Ok(()),
            ref head if JP2_SIGNATURE.starts_with(head) || JXL_SIGNATURE.starts_with(head) => {
                if head.len() < JP2_SIGNATURE.len() {
                    return Ok(());
                }
                if *head == JP2_SIGNATURE { Form::Jp2 } else { Form::JpegXl }
            }
            _ => return self.no_code_stream(offset, otherwise),
        };
        let inside_box = self.form == Form::Jp2 && self.segment.in_box;
        if inside_box && form != Form::J2k {
            return Err(unwalkable("a JP2 box holds no code stream", offset));
        }
        if !inside_box {
            if otherwise == Otherwise::Tail && self.single() {
                return Err(unwalkable("there are more code streams than frames", offset));
            }
            self.began = true;
        }
        self.form = form;
        self.segment.in_box = false;
        self.place = Place::Main;
        self.tile_left = None;
        let raw_xl = self.segment.head().len() == 2;
        if form == Form::Jp2 {
            self.segment.cut_all("BOX", sink)?;
        }
        self.segment.clear();
        self.state = match form {
            Form::Jpeg | Form::J2k => State::Marker,
            Form::JpegXl if raw_xl => State::Opaque,
            Form::Jp2 | Form::JpegXl => State::BoxHeader,
        };
        Ok(())
    }

    fn no_code_stream(&mut self, offset: u64, otherwise: Otherwise) -> Result<(), Rejection> {
        match otherwise {
            Otherwise::Refuse => return Err(unwalkable("a frame does not begin with an image marker", offset)),
            Otherwise::Opaque => self.state = State::Opaque,
            Otherwise::Tail => {
                let len = offset + 1 - self.fragment_start.max(self.segment.first_offset());
                self.tail = Some((offset + 1 - len, len, len == 1 && self.segment.head() == [0]));
                self.state = State::Tail(u8::MAX);
            }
        }
        self.segment.clear();
        Ok(())
    }

    /// Before a marker: JPEG allows decoders to skip what is none (T.81 B.1.1.2 fill bytes; libjpeg any), so it is cut.
    fn marker(&mut self, bytes: &[u8], offset: u64, sink: &mut Sink<'_>) -> Result<usize, Rejection> {
        if bytes[0] == 0xFF {
            self.state = State::MarkerCode(offset);
            return Ok(1);
        }
        if self.form == Form::J2k {
            let is_pad = self.place == Place::Between && bytes[0] == 0 && offset + 1 == self.fragment_end;
            return if is_pad {
                Ok(1)
            } else {
                Err(unwalkable("no marker where a tile-part or the end must stand", offset))
            };
        }
        let junk = memchr(0xFF, bytes).unwrap_or(bytes.len());
        sink.cut(offset, junk as u64, Vec::new(), "JUNK")?;
        Ok(junk)
    }

    fn marker_code(&mut self, code: u8, ff: u64, offset: u64, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        if self.form == Form::J2k {
            return self.j2k_marker(code, ff, offset);
        }
        let in_entropy = matches!(self.state, State::EntropyFf(_));
        match code {
            // Fill bytes: any number of FF may stand before a marker.
            0xFF => {
                self.state = if in_entropy { State::EntropyFf(offset) } else { State::MarkerCode(offset) };
            }
            0x00 => {
                sink.cut(ff, 1, Vec::new(), "JUNK")?;
                sink.cut(offset, 1, Vec::new(), "JUNK")?;
                self.state = State::Marker;
            }
            // The frame before has no end mark, and this one begins with the fragment.
            0xD8 if in_entropy && ff == self.fragment_start && !self.single() => {
                self.began = true;
                self.state = State::Marker;
            }
            0xD8 => return Err(unwalkable("an image begins inside an image", offset)),
            0xD9 => self.state = State::Tail(0),
            0x01 | 0xD0..=0xD7 => self.state = State::Marker,
            _ => self.begin_segment(code, ff, offset, segment::jpeg_action(code)),
        }
        Ok(())
    }

    fn begin_segment(&mut self, code: u8, ff: u64, offset: u64, action: Action) {
        self.segment.begin(code, action);
        self.segment.take(&[0xFF], ff);
        self.segment.take(&[code], offset);
        self.segment.head_begins();
        self.state = State::Length(None);
    }

    fn end_segment(&mut self, offset: u64, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        self.segment.end(sink)?;
        if self.form == Form::J2k {
            return self.end_j2k_segment(offset);
        }
        self.state = if self.segment.code == segment::SOS { State::Entropy } else { State::Marker };
        Ok(())
    }

    /// Behind the end: everything goes, but a second image in the same fragment is a frame that nobody could find again.
    fn tail(&mut self, bytes: &[u8], offset: u64) -> Result<usize, Rejection> {
        if let State::Tail(seen @ 0..=2) = self.state {
            let more = match (seen, bytes[0]) {
                (0, 0xFF) | (1, 0xD8 | 0x4F) => seen + 1,
                (2, 0xFF) if !self.single() => {
                    return Err(unwalkable("a fragment holds more than one frame", offset));
                }
                _ => u8::MAX,
            };
            self.state = State::Tail(more);
            self.add_tail(offset, 1, bytes[0]);
            return Ok(1);
        }
        self.add_tail(offset, bytes.len() as u64, bytes[0]);
        Ok(bytes.len())
    }

    fn add_tail(&mut self, offset: u64, len: u64, first: u8) {
        self.tail = match self.tail {
            Some((start, before, _)) => Some((start, before + len, false)),
            None => Some((offset, len, len == 1 && first == 0)),
        };
    }

    /// Leaves the present fragment; `true` if a code stream began with it.
    pub(super) fn end_fragment(&mut self, cuts: &mut Vec<Cut>, budget: &mut Budget) -> Result<bool, Rejection> {
        if let State::Sniff(otherwise @ (Otherwise::Tail | Otherwise::Opaque)) = self.state
            && !self.segment.is_empty()
        {
            // Too short to tell: a further frame begins with its form whole.
            self.no_code_stream(self.fragment_end - 1, otherwise)?;
        }
        if let Some((start, len, zero)) = self.tail.take() {
            // One zero that makes the fragment even is its padding (PS3.5 A.4).
            let is_pad = zero && (self.fragment_end - self.fragment_start).is_multiple_of(2);
            if !is_pad {
                Sink { cuts, budget }.cut(start, len, Vec::new(), "TAIL")?;
            }
        }
        Ok(self.began)
    }

    /// Ends the walk behind the last fragment.
    pub(super) fn finish(&self, offset: u64) -> Result<(), Rejection> {
        let walked = match self.state {
            State::Sniff(_) => self.segment.is_empty(),
            State::Marker => self.form == Form::J2k && self.place == Place::Between,
            State::BoxHeader => self.form == Form::JpegXl && self.segment.is_empty(),
            State::MarkerCode(_) | State::Length(_) | State::Payload(_) => false,
            State::BoxContent(left, goes) => self.form == Form::JpegXl && (left == u64::MAX || !goes),
            State::Entropy | State::EntropyFf(_) | State::Opaque | State::Tail(_) => true,
            State::TileData(_) | State::TilePeek(..) | State::LastTile | State::LastTileFf => true,
        };
        if walked { Ok(()) } else { Err(unwalkable("a frame ends before its picture data", offset)) }
    }
}
