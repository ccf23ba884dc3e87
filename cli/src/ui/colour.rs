//! Colours, and when there are none.

/// What a piece of text means; the colour follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// It went as it should.
    Good,
    /// A person should look at it.
    Warn,
    /// It went wrong.
    Bad,
    /// Less important than the rest.
    Dim,
    /// A heading.
    Strong,
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    /// No colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { colour: false };

    /// Returns the style of a stream: colours on a terminal, unless `NO_COLOR` is set (no-color.org) or `TERM` is `dumb`.
    pub(crate) fn of(terminal: bool) -> Self {
        Self::decide(terminal, std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
    }

    fn decide(terminal: bool, no_color: Option<&std::ffi::OsStr>, term: Option<&std::ffi::OsStr>) -> Self {
        let refused = no_color.is_some_and(|value| !value.is_empty());
        Self { colour: terminal && !refused && term.is_none_or(|term| term != "dumb") }
    }

    /// Returns the text in the colour of its tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Strong => "1",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let colour = |terminal, no_color: Option<&str>, term: Option<&str>| {
            Style::decide(terminal, no_color.map(AsRef::as_ref), term.map(AsRef::as_ref)).colour
        };
        assert!(colour(true, None, Some("xterm")));
        assert!(colour(true, Some(""), None), "an empty NO_COLOR counts as unset");
        assert!(!colour(true, Some("1"), Some("xterm")));
        assert!(!colour(true, None, Some("dumb")));
        assert!(!colour(false, None, Some("xterm")));
    }

    #[test]
    fn plain_style_adds_nothing() {
        assert_eq!(Style::PLAIN.paint(Tone::Bad, "x"), "x");
        assert_eq!(Style { colour: true }.paint(Tone::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
