//! Text from outside on a terminal. A path may hold the name of a patient, so it is shown to the operator's own terminal
//! only; everywhere else an item is its number in walk order and its stream id.

/// Returns the text without control characters: a file name must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
