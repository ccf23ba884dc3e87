//! The scan that bounds an object's bytes before anything else looks at them (DESIGN §6): lengths, nesting, delimiters,
//! fragments, marker segments. Its answer is a [`Skeleton`] or a [`Rejection`] with the byte offset.
//!
//! Sans-I/O and without an input buffer of its own: the caller shows a window of the bytes that begins at
//! [`Scanner::position`], and is told what to show next. One linear pass; only where the encoding has to be found from the
//! bytes (no transfer syntax, or one that contradicts the data set) `position` goes back, at most twice.

mod build;
mod dictionary;
mod elements;
mod fragments;

mod plain;
mod sequences;
mod slice;
mod start;
pub(crate) mod syntax;
#[cfg(test)]
mod tests;

pub use dictionary::is_text;
pub use slice::scan_slice;

pub(crate) use dictionary::{has_long_length, vr_of_letters, vr_of_tag};

use build::{Builder, Mark};
use elements::{Frame, Speculation};
use fragments::PixelScan;

use super::limits::Limits;
use super::skeleton::{Encoding, Skeleton, Syntax};
use crate::{Reason, Rejection};

/// What the scanner wants next. Whatever it is, the next window begins at [`Scanner::position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A window of at least this many bytes; at most a kept value (1 MiB) and its header. Never more than the object has.
    Bytes(usize),
    /// Nothing of the `len` bytes at `offset`, which lie behind the window just shown: the position is behind them already.
    Bulk {
        /// Logical offset of the first byte that is not needed.
        offset: u64,
        /// How many bytes are not needed.
        len: u64,
    },
    /// From `offset` on the object is deflated. Count it with [`inflate::Counter`](super::inflate::Counter), call
    /// [`Scanner::inflated`], and from then on show inflated bytes; offsets go on at `offset`.
    Inflate {
        /// Offset in the file of the first deflated byte.
        offset: u64,
    },
    /// The scan is complete (bytes up to the end of the object may not have been shown); [`Scanner::finish`] gives the
    /// skeleton.
    End,
}

/// Why a step stops: it needs something, or the object is refused.
enum Stop {
    Want(Want),
    Refuse(Rejection),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Refuse(rejection)
    }
}

/// What the caller shows, and where it lies.
#[derive(Clone, Copy)]
struct Window<'a> {
    bytes: &'a [u8],
    base: u64,
}

impl<'a> Window<'a> {
    /// Returns everything from `position` on, empty if the window does not reach it.
    #[inline]
    fn from(self, position: u64) -> &'a [u8] {
        let at = position.wrapping_sub(self.base);
        usize::try_from(at).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }

    /// Returns the `len` bytes at `position`, or wants them; of a window that ends before `position`, the gap is bulk.
    #[inline]
    fn get(self, position: u64, len: usize) -> Result<&'a [u8], Stop> {
        self.from(position).get(..len).ok_or_else(|| Stop::Want(self.missing(position, len)))
    }

    #[cold]
    fn missing(self, position: u64, len: usize) -> Want {
        let end = self.base + self.bytes.len() as u64;
        if position > end { Want::Bulk { offset: end, len: position - end } } else { Want::Bytes(len) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Preamble and prefix have not been seen.
    Start,
    /// In the file meta.
    Meta,
    /// Waiting for the length of the inflated data set.
    Inflate,
    /// In the data set, between elements.
    DataSet,
    /// In top-level encapsulated pixel data.
    Pixels,
    /// At the top level every byte from here to the end must be `byte`: padding that is no element.
    Padding {
        byte: u8,
    },
    Done,
}

/// The scan of one object. See the [module](self).
#[derive(Debug)]
pub struct Scanner {
    limits: Limits,
    /// Logical length of the object.
    total: u64,
    position: u64,
    phase: Phase,
    builder: Builder,
    stack: Vec<Frame>,
    /// The frames among them that began as UN, innermost last.
    speculations: Vec<Speculation>,
    /// Tag of the last element at the top level, as a number.
    last_tag: Option<u32>,
    preamble: bool,
    /// Where the file meta should end, by its group length.
    meta_end: Option<u64>,
    data_set: u64,
    data_set_end: u64,
    syntax: Syntax,
    /// Encapsulated pixel data are walked for marker segments.
    walked: bool,
    pixels: Option<PixelScan>,
    attempts: Attempts,
    /// Why padding is being looked for: what the object is refused with if the rest is none.
    suspicion: Option<Rejection>,
    refused: Option<Rejection>,
}

/// The encodings under which the data set is read.
#[derive(Debug, Default)]
struct Attempts {
    /// The meta named the transfer syntax.
    declared: bool,
    /// The bytes look like a DICOM file even if no encoding fits: there is a prefix, or the first element is one of group 0008.
    is_dicom: bool,
    /// What is still to be tried, the likeliest last.
    others: Vec<Encoding>,
    /// Why the first attempt failed.
    first: Option<Rejection>,
    /// Where the builder stood at the start of the data set.
    mark: Option<Mark>,
}

impl Scanner {
    /// Begins the scan of an object of `total_len` bytes (as stored: deflated, if it is).
    pub fn new(total_len: u64, limits: Limits) -> Self {
        Self {
            limits,
            total: total_len,
            position: 0,
            phase: Phase::Start,
            builder: Builder::new(&limits),
            stack: Vec::new(),
            speculations: Vec::new(),
            last_tag: None,
            preamble: false,
            meta_end: None,
            data_set: 0,
            data_set_end: 0,
            syntax: syntax::Form::ImplicitLe.syntax(syntax::IMPLICIT_LE),
            walked: false,
            pixels: None,
            attempts: Attempts::default(),
            suspicion: None,
            refused: None,
        }
    }

    /// Returns the logical offset of the first byte that the next window has to show.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Reads on in `window`, whose first byte is the one at [`Scanner::position`] and which may have any length.
    ///
    /// # Errors
    /// The object is refused; every later call repeats the rejection.
    pub fn feed(&mut self, window: &[u8]) -> Result<Want, Rejection> {
        if let Some(rejection) = &self.refused {
            return Err(rejection.clone());
        }
        let window = Window { bytes: window, base: self.position };
        // Bounded: each turn moves the position, changes the phase, or returns.
        loop {
            match self.step(window) {
                Ok(()) => {}
                Err(Stop::Want(want)) => return Ok(want),
                Err(Stop::Refuse(rejection)) => match self.recover(window, rejection) {
                    Ok(Some(want)) => return Ok(want),
                    Ok(None) => {}
                    Err(rejection) => {
                        self.refused = Some(rejection.clone());
                        return Err(rejection);
                    }
                },
            }
        }
    }

    fn step(&mut self, window: Window<'_>) -> Result<(), Stop> {
        match self.phase {
            Phase::Start => self.start(window),
            Phase::Meta => self.meta(window),
            Phase::Inflate => Err(Stop::Want(Want::Inflate { offset: self.data_set })),
            Phase::DataSet => self.data_set(window),
            Phase::Pixels => self.pixels(window),
            Phase::Padding { byte } => self.padding(window, byte),
            Phase::Done => Err(Stop::Want(Want::End)),
        }
    }

    /// Tells the scanner, after [`Want::Inflate`], how many bytes the data set has when inflated.
    pub fn inflated(&mut self, len: u64) {
        if self.phase == Phase::Inflate {
            self.total = self.data_set.saturating_add(len);
            self.phase = Phase::DataSet;
        }
    }

    /// Returns the skeleton, after [`Want::End`].
    ///
    /// # Errors
    /// `truncated` if the source ended (or the caller stopped) before that.
    pub fn finish(self) -> Result<Skeleton, Rejection> {
        if self.phase != Phase::Done {
            return Err(self.refused.unwrap_or_else(|| {
                Rejection::new(Reason::Truncated, "the source ended before the object did").at_offset(self.position)
            }));
        }
        let notes = self.builder.notes();
        Ok(Skeleton {
            len: self.total,
            preamble: self.preamble,
            data_set: self.data_set,
            data_set_end: self.data_set_end,
            syntax: self.syntax,
            meta: self.builder.meta,
            elements: self.builder.elements,
            kept: self.builder.kept,
            encapsulated: self.builder.encapsulated,
            notes,
        })
    }

    /// Decides what a rejection means: the end, a UN that is no sequence after all, or another encoding to try.
    /// Returns what is wanted next, `None` to go on in the same window.
    fn recover(&mut self, window: Window<'_>, rejection: Rejection) -> Result<Option<Want>, Rejection> {
        if rejection.reason == Reason::Oversize {
            return Err(rejection);
        }
        if matches!(self.phase, Phase::DataSet) && self.give_up_speculation(window)? {
            return Ok(None);
        }
        self.next_attempt(rejection)
    }
}
