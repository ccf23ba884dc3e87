//! The receipt of a de-identification read again: which attribute, what was done to it, by which rule.
//!
//! The packed text is `path action rule [*count]`, comma-separated (`domain::dicom::plan::Receipt`); it holds no value.

mod words;

use domain::dicom::Tag;
use domain::dicom::facts::Row;

/// More lines than this have no receipt that this program wrote.
const LINES_MAX: usize = 10_000;
/// Sequences nest no deeper than the scan allows.
const DEPTH_MAX: usize = 65;

/// What was done to an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Put in by the profile.
    Added,
    /// A dummy stands in its place.
    Dummy,
    /// A new UID or pseudonym stands in its place.
    Mapped,
    /// Gone.
    Removed,
    /// Zero length.
    Emptied,
}

impl Action {
    const fn of_letter(letter: &str) -> Option<Self> {
        Some(match letter.as_bytes() {
            b"a" => Self::Added,
            b"d" => Self::Dummy,
            b"u" => Self::Mapped,
            b"x" => Self::Removed,
            b"z" => Self::Emptied,
            _ => return None,
        })
    }

    /// Returns the code as Table E.1-1 spells it, `A` for what the profile puts in.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Added => "A",
            Self::Dummy => "D",
            Self::Mapped => "U",
            Self::Removed => "X",
            Self::Emptied => "Z",
        }
    }

    /// Returns what it means, one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Dummy => "replaced",
            Self::Mapped => "mapped",
            Self::Removed => "removed",
            Self::Emptied => "emptied",
        }
    }
}

/// The rule that was followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A row of Table E.1-1, by its number from 1.
    Row(u16),
    /// A general rule, by its name.
    General(String),
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('r').and_then(|number| number.parse().ok()) {
            Some(number) => Some(Self::Row(number)),
            None if (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Some(Self::General(text.to_owned()))
            }
            None => None,
        }
    }

    /// Returns the rule as receipts spell it: `r72`, `iod`.
    pub fn code(&self) -> String {
        match self {
            Self::Row(number) => format!("r{number}"),
            Self::General(name) => name.clone(),
        }
    }

    /// Returns the rule in a few words.
    pub fn told(&self) -> String {
        match self {
            Self::Row(number) => words::row(*number),
            Self::General(name) => words::general(name).map_or_else(|| format!("rule {name}"), str::to_owned),
        }
    }
}

/// One line: what was done to an attribute of one place, in how many items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The chain of tags; items of one sequence share it. A private attribute is `(gggg,FFFF)` of its odd group.
    pub path: Vec<Tag>,
    /// What was done.
    pub action: Action,
    /// By which rule.
    pub rule: Rule,
    /// How often.
    pub count: u32,
}

/// A receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Its lines.
    pub lines: Vec<Line>,
    /// Actions that found no room and were only counted.
    pub unlisted: u32,
}

impl Receipt {
    /// Reads a packed receipt; `None` if it is none.
    pub fn read(packed: &str) -> Option<Self> {
        let mut receipt = Self::default();
        for (at, entry) in packed.split(',').filter(|entry| !entry.is_empty()).enumerate() {
            let mut words = entry.split(' ');
            let (path, action, rule) = (words.next()?, words.next()?, words.next()?);
            let count = match words.next() {
                Some(count) => count.strip_prefix('*')?.parse().ok()?,
                None => 1,
            };
            if words.next().is_some() || at >= LINES_MAX {
                return None;
            }
            if path == "*" {
                receipt.unlisted = receipt.unlisted.saturating_add(count);
                continue;
            }
            let path = path.split(".*.").map(tag).collect::<Option<Vec<_>>>().filter(|path| path.len() <= DEPTH_MAX)?;
            receipt.lines.push(Line { path, action: Action::of_letter(action)?, rule: Rule::parse(rule)?, count });
        }
        Some(receipt)
    }
}

/// Returns the Basic Profile's codes of a row, as Table E.1-1 spells them: `X/Z/D`.
pub const fn codes_of_row(row: &Row) -> &'static str {
    words::code(row.action)
}

/// Reads `00100010`, or `0029xxxx` for the private attributes of a group.
fn tag(text: &str) -> Option<Tag> {
    let (group, element) = text.is_ascii().then(|| text.split_at_checked(4)).flatten()?;
    let element = if element == "xxxx" { "FFFF" } else { element };
    (element.len() == 4).then_some(())?;
    Some(Tag(u16::from_str_radix(group, 16).ok()?, u16::from_str_radix(element, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_receipt_is_read_line_by_line() {
        let receipt = Receipt::read(
            "0002FFFF a meta,00100010 u r72,0029xxxx x r656 *12,00081140.*.00081155 u r62 *3,* * more *7",
        )
        .expect("a receipt");
        assert_eq!((receipt.lines.len(), receipt.unlisted), (4, 7));
        assert_eq!(receipt.lines[1].rule, Rule::Row(72));
        assert_eq!(receipt.lines[2].path, [Tag(0x0029, 0xFFFF)]);
        assert_eq!((receipt.lines[2].action, receipt.lines[2].count), (Action::Removed, 12));
        assert_eq!(receipt.lines[3].path, [Tag(0x0008, 0x1140), Tag(0x0008, 0x1155)]);
        assert_eq!(Receipt::read(""), Some(Receipt::default()));
    }

    #[test]
    fn what_is_no_receipt_is_refused() {
        for text in
            ["0010001 x r1", "00100010 q r1", "00100010 x", "00100010 x r1 3", "00100010 x DOE^JANE", "é0100010 x r1"]
        {
            assert_eq!(Receipt::read(text), None, "{text}");
        }
    }
}
