//! Folding: text as it is compared: lower case, no accents, full-width forms as ASCII.

/// Appends the folded form of `text` as UTF-8.
pub(super) fn fold(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
        return;
    }
    for character in text.chars() {
        fold_char(character, out);
    }
}

fn fold_char(character: char, out: &mut Vec<u8>) {
    match character {
        '\0'..='\x7F' => out.push(character.to_ascii_lowercase() as u8),
        // Combining marks: an accent that was written apart is no other letter.
        '\u{300}'..='\u{36F}' => {}
        '\u{FF01}'..='\u{FF5E}' => {
            let ascii = (character as u32 - 0xFF01 + 0x21) as u8;
            out.push(ascii.to_ascii_lowercase());
        }
        '\u{3000}' | '\u{A0}' => out.push(b' '),
        _ => match base(character) {
            Some(letters) => out.extend_from_slice(letters.as_bytes()),
            None => {
                let mut buffer = [0; 4];
                for lower in character.to_lowercase() {
                    out.extend_from_slice(lower.encode_utf8(&mut buffer).as_bytes());
                }
            }
        },
    }
}

/// Returns the ASCII letters that a Latin letter with a mark is compared as.
fn base(character: char) -> Option<&'static str> {
    Some(match character {
        'À'..='Å' | 'à'..='å' | 'Ā'..='ą' | 'Ǎ' | 'ǎ' | 'Ạ'..='ặ' => "a",
        'Æ' | 'æ' => "ae",
        'Ç' | 'ç' | 'Ć'..='č' => "c",
        'Ð' | 'ð' | 'Ď'..='đ' => "d",
        'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' | 'Ẹ'..='ệ' => "e",
        'Ĝ'..='ģ' => "g",
        'Ĥ'..='ħ' => "h",
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='ı' | 'Ỉ'..='ị' => "i",
        'Ĵ' | 'ĵ' => "j",
        'Ķ'..='ĸ' => "k",
        'Ĺ'..='ł' => "l",
        'Ñ' | 'ñ' | 'Ń'..='ŋ' => "n",
        'Ò'..='Ö' | 'Ø' | 'ò'..='ö' | 'ø' | 'Ō'..='ő' | 'Ơ' | 'ơ' | 'Ọ'..='ợ' => "o",
        'Œ' | 'œ' => "oe",
        'Ŕ'..='ř' => "r",
        'Ś'..='š' | 'Ș' | 'ș' => "s",
        'ß' | 'ẞ' => "ss",
        'Þ' | 'þ' => "th",
        'Ţ'..='ŧ' | 'Ț' | 'ț' => "t",
        'Ù'..='Ü' | 'ù'..='ü' | 'Ũ'..='ų' | 'Ư' | 'ư' | 'Ụ'..='ự' => "u",
        'Ŵ' | 'ŵ' => "w",
        'Ý' | 'ý' | 'ÿ' | 'Ŷ'..='Ÿ' | 'Ỳ'..='ỹ' => "y",
        'Ź'..='ž' => "z",
        _ => return None,
    })
}

/// Returns the text with letters spelled as where marks cannot be typed: `Müller` as `Mueller`; `None` if nothing changes.
pub(super) fn transliterated(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let mut out = String::with_capacity(text.len() + 4);
    let mut changed = false;
    for character in text.chars() {
        let letters = match character {
            'ä' | 'Ä' => "ae",
            'ö' | 'Ö' | 'ø' | 'Ø' => "oe",
            'ü' | 'Ü' => "ue",
            'å' | 'Å' => "aa",
            _ => {
                out.push(character);
                continue;
            }
        };
        changed = true;
        out.push_str(letters);
    }
    changed.then_some(out)
}

/// Whether a byte of folded text belongs to a word: ASCII letters and digits, and every part of another script's letters.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Appends the letters and digits of folded text, nothing else.
pub(super) fn squeeze(folded: &[u8], out: &mut Vec<u8>) {
    out.extend(folded.iter().copied().filter(|&byte| is_word(byte)));
}
