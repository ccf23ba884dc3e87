//! What an item is called. A path may hold the name of a patient, so it is shown to the operator's own terminal only;
//! everywhere else an item is its number in walk order and its stream id.

use std::path::Path;

use domain::ids::StreamId;

/// An item of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// Its number in walk order, from 1.
    pub(crate) number: u64,
    /// Its stream, if it got one.
    pub(crate) stream: Option<StreamId>,
    /// Where it was found.
    pub(crate) path: &'a Path,
}

impl Item<'_> {
    /// Returns the name of the item for this audience.
    pub(crate) fn name(&self, terminal: bool) -> String {
        if terminal {
            return printable(&self.path.to_string_lossy());
        }
        match self.stream {
            Some(stream) => format!("#{} {stream}", self.number),
            None => format!("#{}", self.number),
        }
    }
}

/// Returns the text without control characters: a file name must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_to_a_terminal_only() {
        let stream = StreamId::parse("0123456789abcdef0123456789abcdef");
        let item = Item { number: 12, stream, path: Path::new("in/DOE^JANE.dcm") };
        assert_eq!(item.name(true), "in/DOE^JANE.dcm");
        assert_eq!(item.name(false), "#12 0123456789abcdef0123456789abcdef");
        assert_eq!(Item { stream: None, ..item }.name(false), "#12");
    }

    #[test]
    fn a_file_name_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
