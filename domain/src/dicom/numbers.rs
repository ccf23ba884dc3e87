//! Numeric text (DS, IS) that is too long to be kept: contours, tables. It is read once, while it is copied, and nothing of it may
//! be anything but a number of nobody.

use std::collections::BTreeSet;

use crate::{Phi, Reason, Rejection};

/// 16 characters are the limit of DS (PS3.5 6.2); real writers reach 32. Anything longer is not a number.
pub(super) const NUMBER_BYTES_MAX: usize = 32;
/// A number shorter than this is no identifier.
pub(super) const IDENTIFIER_BYTES_MIN: usize = 4;

/// Whether numeric text may hold this byte: digits, signs, point, exponent, space, and the backslash between two numbers.
pub(super) const fn is_numeric(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E' | b' ' | b'\\')
}

/// What no number of one object's long numeric texts may be: its own identifiers.
#[derive(Clone, Debug)]
pub struct NumberRule {
    identifiers: Phi<BTreeSet<Box<[u8]>>>,
    /// The object has too many identifiers to tell: any number may be one.
    any: bool,
}

impl NumberRule {
    pub(super) fn new(identifiers: impl Iterator<Item = Box<[u8]>>, any: bool) -> Self {
        let short = IDENTIFIER_BYTES_MIN..=NUMBER_BYTES_MAX;
        Self { identifiers: Phi::new(identifiers.filter(|one| short.contains(&one.len())).collect()), any }
    }

    /// Returns a check of one value whose first byte has this logical offset.
    pub fn check(&self, offset: u64) -> NumberCheck<'_> {
        NumberCheck { rule: self, offset, number: [0; NUMBER_BYTES_MAX], len: 0, padded: false }
    }
}

/// The check of one value, fed piece by piece in order. Takes constant memory.
pub struct NumberCheck<'a> {
    rule: &'a NumberRule,
    offset: u64,
    number: [u8; NUMBER_BYTES_MAX],
    len: usize,
    /// NULs were seen: padding, behind which only padding may follow.
    padded: bool,
}

impl NumberCheck<'_> {
    /// Reads the next bytes of the value.
    ///
    /// # Errors
    /// `residual_identifier` where a number is one of the object's identifiers, or something is no number.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Rejection> {
        for &byte in bytes {
            match byte {
                0 => self.padded = true,
                b' ' if self.padded => {}
                _ if self.padded || !is_numeric(byte) => return Err(self.refuse("a numeric text holds no number")),
                b'\\' => self.number()?,
                // Spaces around a number are padding; one inside it makes two numbers that one value cannot hold.
                b' ' if self.len == 0 => {}
                _ if self.len == NUMBER_BYTES_MAX => return Err(self.refuse("a number in a text is too long for one")),
                _ => {
                    self.number[self.len] = byte;
                    self.len += 1;
                }
            }
        }
        Ok(())
    }

    /// Reads the end of the value.
    ///
    /// # Errors
    /// As [`NumberCheck::feed`].
    pub fn finish(mut self) -> Result<(), Rejection> {
        self.number()
    }

    fn number(&mut self) -> Result<(), Rejection> {
        let number = self.number[..self.len].trim_ascii_end();
        let plain = number.strip_prefix(b"+").or(number.strip_prefix(b"-")).unwrap_or(number);
        if plain.len() >= IDENTIFIER_BYTES_MIN && (self.rule.any || self.rule.identifiers.expose().contains(plain)) {
            return Err(self.refuse("one of the object's own identifiers stands among its numbers"));
        }
        self.len = 0;
        Ok(())
    }

    fn refuse(&self, detail: &'static str) -> Rejection {
        Rejection::new(Reason::ResidualIdentifier, detail).at_offset(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on a value, which must be the same however it is cut into pieces.
    fn passes(identifiers: &[&str], value: &[u8]) -> bool {
        let rule = NumberRule::new(identifiers.iter().map(|one| one.as_bytes().into()), false);
        let verdicts: Vec<bool> = (1..=value.len().max(1))
            .map(|piece| {
                let mut check = rule.check(0);
                value.chunks(piece).try_for_each(|bytes| check.feed(bytes)).and_then(|()| check.finish()).is_ok()
            })
            .collect();
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{}", String::from_utf8_lossy(value));
        verdicts[0]
    }

    #[test]
    fn numbers_pass_however_they_are_spelled_and_padded() {
        for value in [
            &b"-1.50\\2e-3\\ +7 \\\\0012 "[..],
            b"",
            b"1\\2\0",
            b"1\\2 \0",
            b"3\0 \0",
            b"   ",
            b"12345678901234567890123456789012",
        ] {
            assert!(passes(&["77001"], value), "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn what_is_no_number_and_who_is_an_identifier_does_not_pass() {
        for value in [
            &b"1\\Smith\\2"[..],
            b"1\\77001\\2",
            b"77001",
            b"1\\+77001 ",
            b"1\\ -77001",
            b"1\x002",
            b"123456789012345678901234567890123",
            b"1\n2",
        ] {
            assert!(!passes(&["77001", "123"], value), "{}", String::from_utf8_lossy(value));
        }
        assert!(passes(&["77001", "123"], b"123\\770011\\7700"), "short identifiers and parts of numbers do not count");
    }

    #[test]
    fn nobody_sees_the_identifiers_of_a_rule() {
        let rule = NumberRule::new(std::iter::once(b"77001".as_slice().into()), false);
        assert!(!format!("{rule:?}").contains("77001"));
    }
}
