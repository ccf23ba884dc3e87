//! Specific Character Set (0008,0005): text of every repertoire of PS3.3 C.12.1.1.2, ISO 2022 code extensions included.
//!
//! Escape sequences are obeyed whether or not the attribute declares them: real objects forget to, and a name that is not
//! decoded is a name that is not found.

use std::borrow::Cow;

use encoding_rs::{
    EUC_JP, EUC_KR, Encoding, GB18030, GBK, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6, ISO_8859_7,
    ISO_8859_8, ISO_8859_15, SHIFT_JIS, UTF_8, WINDOWS_874, WINDOWS_1252, WINDOWS_1254,
};

/// The right half (G1) of the code table, or the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upper {
    /// Bytes above 127 mean nothing.
    None,
    /// One byte a character.
    Single(&'static Encoding),
    /// IR 13: half-width katakana.
    Katakana,
    /// IR 149 or IR 58: two bytes a character.
    Double(&'static Encoding),
    /// UTF-8, GB18030, GBK: no code extensions.
    Whole(&'static Encoding),
}

/// The left half (G0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lower {
    Ascii,
    /// IR 87, two bytes a character.
    Jis208,
    /// IR 159, two bytes a character.
    Jis212,
}

/// How text is read: the first value of Specific Character Set is the state at the beginning and after each delimiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset {
    upper: Upper,
    known: bool,
}

impl Charset {
    /// The default repertoire, ISO IR 6.
    pub const DEFAULT: Self = Self { upper: Upper::None, known: true };

    /// Returns the character set that the raw value of (0008,0005) declares.
    pub fn parse(value: &[u8]) -> Self {
        let first = value.split(|&byte| byte == b'\\').next().unwrap_or(&[]);
        let Some(upper) = upper_of(trim(first)) else { return Self { upper: Upper::None, known: false } };
        Self { upper, known: value.split(|&byte| byte == b'\\').all(|term| upper_of(trim(term)).is_some()) }
    }

    /// Whether every term of the declaration is one of the standard's.
    pub const fn is_known(self) -> bool {
        self.known
    }

    /// Returns the text of `bytes`; `None` if they do not obey the character set. `person_name` makes `^` and `=` delimiters.
    pub fn decode(self, bytes: &[u8], person_name: bool) -> Option<Cow<'_, str>> {
        if bytes.iter().all(|&byte| byte < 0x80 && byte != 0x1B) {
            return std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
        }
        if let Upper::Whole(encoding) = self.upper {
            return encoding.decode_without_bom_handling_and_without_replacement(bytes);
        }
        self.decode_extended(bytes, person_name).map(Cow::Owned)
    }

    fn decode_extended(self, bytes: &[u8], person_name: bool) -> Option<String> {
        let mut text = String::with_capacity(bytes.len() * 2);
        let (mut lower, mut upper) = (Lower::Ascii, self.upper);
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if byte == 0x1B {
                let (length, next) = escape(&bytes[at..])?;
                match next {
                    Shift::Lower(set) => lower = set,
                    Shift::Upper(set) => upper = set,
                }
                at += length;
                continue;
            }
            let run = run_length(&bytes[at..], byte >= 0x80);
            let piece = &bytes[at..at + run];
            if byte >= 0x80 {
                decode_upper(upper, piece, &mut text)?;
                at += run;
            } else if lower == Lower::Ascii || byte < 0x21 {
                // One character, so that a delimiter is seen (PS3.5 6.1.2.5.3): it returns to the initial state.
                text.push(char::from(byte));
                if matches!(byte, b'\r' | b'\n' | 0x0C | b'\t' | b'\\') || person_name && matches!(byte, b'^' | b'=') {
                    (lower, upper) = (Lower::Ascii, self.upper);
                }
                at += 1;
            } else {
                // In a double-byte G0 a single byte that is a delimiter cannot be told apart; whole runs are pairs.
                let pairs = piece.iter().take_while(|&&b| b >= 0x21).count();
                decode_lower(lower, &piece[..pairs], &mut text)?;
                at += pairs;
            }
        }
        Some(text)
    }
}

enum Shift {
    Lower(Lower),
    Upper(Upper),
}

fn trim(term: &[u8]) -> &[u8] {
    term.trim_ascii().strip_suffix(b"\0").unwrap_or(term.trim_ascii()).trim_ascii()
}

fn upper_of(term: &[u8]) -> Option<Upper> {
    let term = std::str::from_utf8(term).ok()?;
    let rest = term.strip_prefix("ISO_IR ").or_else(|| term.strip_prefix("ISO 2022 IR "));
    Some(match rest {
        None => match term {
            "" => Upper::None,
            "GB18030" => Upper::Whole(GB18030),
            "GBK" => Upper::Whole(GBK),
            _ => return None,
        },
        Some("6" | "14" | "87" | "159") => Upper::None,
        Some("100") => Upper::Single(WINDOWS_1252),
        Some("101") => Upper::Single(ISO_8859_2),
        Some("109") => Upper::Single(ISO_8859_3),
        Some("110") => Upper::Single(ISO_8859_4),
        Some("144") => Upper::Single(ISO_8859_5),
        Some("127") => Upper::Single(ISO_8859_6),
        Some("126") => Upper::Single(ISO_8859_7),
        Some("138") => Upper::Single(ISO_8859_8),
        Some("148") => Upper::Single(WINDOWS_1254),
        Some("203") => Upper::Single(ISO_8859_15),
        Some("166") => Upper::Single(WINDOWS_874),
        Some("13") => Upper::Katakana,
        Some("149") => Upper::Double(EUC_KR),
        Some("58") => Upper::Double(GBK),
        Some("192") => Upper::Whole(UTF_8),
        Some(_) => return None,
    })
}

/// Returns the length of an escape sequence and what it selects (PS3.3 Tables C.12-3 and C.12-4).
fn escape(bytes: &[u8]) -> Option<(usize, Shift)> {
    let shift = |length, shift| Some((length, shift));
    match (bytes.get(1)?, bytes.get(2)?, bytes.get(3)) {
        (b'$', b'(', Some(b'D')) => shift(4, Shift::Lower(Lower::Jis212)),
        (b'$', b')', Some(b'C')) => shift(4, Shift::Upper(Upper::Double(EUC_KR))),
        (b'$', b')', Some(b'A')) => shift(4, Shift::Upper(Upper::Double(GBK))),
        (b'$', b'B' | b'@', _) => shift(3, Shift::Lower(Lower::Jis208)),
        (b'(', b'B' | b'J', _) => shift(3, Shift::Lower(Lower::Ascii)),
        (b')', b'I', _) => shift(3, Shift::Upper(Upper::Katakana)),
        (b'-', set, _) => {
            let encoding = match set {
                b'A' => WINDOWS_1252,
                b'B' => ISO_8859_2,
                b'C' => ISO_8859_3,
                b'D' => ISO_8859_4,
                b'L' => ISO_8859_5,
                b'G' => ISO_8859_6,
                b'F' => ISO_8859_7,
                b'H' => ISO_8859_8,
                b'M' => WINDOWS_1254,
                b'b' => ISO_8859_15,
                b'T' => WINDOWS_874,
                _ => return None,
            };
            shift(3, Shift::Upper(Upper::Single(encoding)))
        }
        _ => None,
    }
}

/// Returns how many bytes from the first on belong to the same half of the code table.
fn run_length(bytes: &[u8], high: bool) -> usize {
    bytes.iter().take_while(|&&byte| byte != 0x1B && (byte >= 0x80) == high).count()
}

fn decode_upper(upper: Upper, bytes: &[u8], text: &mut String) -> Option<()> {
    let encoding = match upper {
        Upper::Single(encoding) | Upper::Double(encoding) | Upper::Whole(encoding) => encoding,
        Upper::Katakana => SHIFT_JIS,
        Upper::None => return None,
    };
    if upper == Upper::Katakana && !bytes.iter().all(|byte| (0xA1..=0xDF).contains(byte)) {
        return None;
    }
    text.push_str(&encoding.decode_without_bom_handling_and_without_replacement(bytes)?);
    Some(())
}

fn decode_lower(lower: Lower, bytes: &[u8], text: &mut String) -> Option<()> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let mut euc = Vec::with_capacity(bytes.len() * 2);
    for pair in bytes.chunks_exact(2) {
        if lower == Lower::Jis212 {
            euc.push(0x8F);
        }
        euc.extend([pair[0] | 0x80, pair[1] | 0x80]);
    }
    text.push_str(&EUC_JP.decode_without_bom_handling_and_without_replacement(&euc)?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(declared: &str, bytes: &[u8]) -> Option<String> {
        Charset::parse(declared.as_bytes()).decode(bytes, true).map(Cow::into_owned)
    }

    #[test]
    fn the_examples_of_ps3_5_annexes_h_i_j_k_are_read() {
        let japanese = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
        assert_eq!(read("\\ISO 2022 IR 87", japanese).unwrap(), "Yamada^Tarou=山田^太郎=やまだ^たろう");
        let katakana = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J";
        assert_eq!(read("ISO 2022 IR 13\\ISO 2022 IR 87", katakana).unwrap(), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎");
        let korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
        assert_eq!(read("\\ISO 2022 IR 149", korean).unwrap(), "Hong^Gildong=洪^吉洞=홍^길동");
        let chinese = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=";
        assert_eq!(read("\\ISO 2022 IR 58", chinese).unwrap(), "Zhang^XiaoDong=张^小东=");
        assert_eq!(read("GB18030", b"Wang=\xcd\xf5").unwrap(), "Wang=王");
        assert_eq!(read("ISO_IR 192", "Wang=王".as_bytes()).unwrap(), "Wang=王");
    }

    #[test]
    fn single_byte_sets_are_read() {
        for (declared, bytes, expected) in [
            ("ISO_IR 100", &b"Buc^J\xe9r\xf4me"[..], "Buc^Jérôme"),
            ("ISO_IR 101", b"W\xb3", "Wł"),
            ("ISO_IR 144", b"\xbb\xee\xda", "Люк"),
            ("ISO_IR 127", b"\xe2\xc8", "قب"),
            ("ISO_IR 126", b"\xc4\xe9", "Δι"),
            ("ISO_IR 138", b"\xf9\xf8", "שר"),
            ("ISO_IR 148", b"\xdd\xfd", "İı"),
            ("ISO_IR 166", b"\xca\xc1", "สม"),
            ("ISO_IR 13", b"\xd4\xcf", "ﾔﾏ"),
        ] {
            assert_eq!(read(declared, bytes).as_deref(), Some(expected), "{declared}");
        }
    }

    #[test]
    fn bytes_that_do_not_obey_their_set_are_not_read() {
        assert_eq!(read("", b"J\xe9r"), None);
        assert_eq!(read("ISO_IR 192", b"J\xe9r"), None);
        assert_eq!(read("ISO 2022 IR 13", b"\xe9"), None);
        assert_eq!(read("\\ISO 2022 IR 87", b"\x1b$B;3E"), None);
        assert_eq!(read("", b"\x1b"), None);
    }

    #[test]
    fn a_delimiter_returns_to_the_initial_state() {
        assert_eq!(read("\\ISO 2022 IR 100", b"\x1b-A\xe9^\xe9"), None);
        assert_eq!(read("\\ISO 2022 IR 100", b"\x1b-A\xe9^\x1b-A\xe9").as_deref(), Some("é^é"));
    }

    #[test]
    fn unknown_declarations_are_told_apart() {
        assert!(Charset::parse(b"ISO_IR 100 ").is_known());
        assert!(Charset::parse(b"\\ISO 2022 IR 87\0").is_known());
        assert!(!Charset::parse(b"LATIN9").is_known());
        assert!(!Charset::parse(b"ISO_IR 100\\Smith").is_known());
    }
}
