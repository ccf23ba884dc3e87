//! How items ended: one line for each that needs a person, one line for all.

use std::path::PathBuf;

use domain::Rejection;
use domain::ids::StreamId;
use serde_json::{Value, json};

use super::colour::{Style, Tone};
use super::item::Item;
use super::table::{Cell, Table};
use crate::exit::Exit;

/// How an item ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Delivered, in the study of this short name; `already` if an earlier run did it.
    Delivered {
        /// First six characters of the new Study Instance UID's base32.
        study: String,
        /// Nothing new was written.
        already: bool,
    },
    /// Refused because of what it is.
    Quarantined(Rejection),
    /// Given up after the retries; the code says which surroundings failed.
    Failed(&'static str),
    /// Not at its end; the next run goes on.
    Pending,
    /// The path could not be read, so there is no stream and no entry.
    Unreadable,
}

/// An item and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// Its number in walk order, from 1.
    pub(crate) number: u64,
    /// Its stream, unless it could not be read.
    pub(crate) stream: Option<StreamId>,
    /// Where it was found.
    pub(crate) path: PathBuf,
    /// How it ended.
    pub(crate) ending: Ending,
}

impl Ending {
    const fn word(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Quarantined(_) => "quarantined",
            Self::Failed(_) => "failed",
            Self::Pending => "pending",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Verdict {
    /// Returns the verdict for a program: the item is its number and its stream, never its path.
    pub(crate) fn object(&self) -> Value {
        let mut object = json!({
            "item": self.number,
            "stream": self.stream.map(|stream| stream.to_string()),
            "ending": self.ending.word(),
        });
        match &self.ending {
            Ending::Delivered { study, already } => {
                object["study"] = json!(study);
                object["already"] = json!(already);
            }
            Ending::Quarantined(Rejection { reason, detail, at }) => {
                object["reason"] = json!(reason);
                object["detail"] = json!(detail);
                object["at"] = json!(at);
            }
            Ending::Failed(code) => object["code"] = json!(code),
            Ending::Pending | Ending::Unreadable => {}
        }
        object
    }

    fn name(&self, terminal: bool) -> String {
        Item { number: self.number, stream: self.stream, path: &self.path }.name(terminal)
    }
}

/// Returns the items that a person should look at, one a line with its reason and what that means; empty if there are
/// none.
pub(crate) fn told(verdicts: &[Verdict], terminal: bool, style: Style) -> String {
    let mut table = Table::new(["item", "ending", "why"]);
    let mut rows = 0;
    for verdict in verdicts {
        let (tone, ending, why) = match &verdict.ending {
            Ending::Delivered { .. } => continue,
            Ending::Quarantined(Rejection { reason, at, .. }) => {
                let place = at.as_deref().map(|at| format!(" ({at})")).unwrap_or_default();
                (Tone::Warn, reason.code(), format!("{}{place}", reason.condition()))
            }
            Ending::Failed(code) => (Tone::Bad, "failed", format!("{code}: given up after the retries; replay it")),
            Ending::Pending => (Tone::Dim, "pending", "Run the same command again to go on.".to_owned()),
            Ending::Unreadable => {
                (Tone::Bad, "unreadable", "It could not be read, so nothing was recorded.".to_owned())
            }
        };
        table.row([verdict.name(terminal).into(), Cell::new(tone, ending), why.into()]);
        rows += 1;
    }
    if rows == 0 { String::new() } else { table.render(style) }
}

/// How many items ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    delivered: u64,
    already: u64,
    quarantined: u64,
    failed: u64,
    pending: u64,
    unreadable: u64,
}

impl Counts {
    /// Counts the verdicts.
    pub(crate) fn of(verdicts: &[Verdict]) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            match verdict.ending {
                Ending::Delivered { already, .. } => {
                    counts.delivered += 1;
                    counts.already += u64::from(already);
                }
                Ending::Quarantined(_) => counts.quarantined += 1,
                Ending::Failed(_) => counts.failed += 1,
                Ending::Pending => counts.pending += 1,
                Ending::Unreadable => counts.unreadable += 1,
            }
        }
        counts
    }

    /// Returns how a run that ended so ends.
    pub(crate) const fn exit(self) -> Exit {
        match self {
            Self { pending: 1.., .. } => Exit::TryAgain,
            Self { quarantined: 0, failed: 0, unreadable: 0, .. } => Exit::Well,
            _ => Exit::SomeFailed,
        }
    }

    /// Returns the counts for a program.
    pub(crate) fn object(self) -> Value {
        json!({ "summary": { "delivered": self.delivered, "already": self.already, "quarantined": self.quarantined,
            "failed": self.failed, "pending": self.pending, "unreadable": self.unreadable } })
    }

    /// Returns the counts in one line; what did not happen is left out.
    pub(crate) fn line(self, style: Style) -> String {
        let delivered = match self.already {
            0 => format!("{} delivered", self.delivered),
            already => format!("{} delivered ({already} already)", self.delivered),
        };
        let others = [
            (Tone::Warn, self.quarantined, "quarantined"),
            (Tone::Bad, self.failed, "failed"),
            (Tone::Warn, self.pending, "pending"),
            (Tone::Bad, self.unreadable, "unreadable"),
        ];
        let mut parts = vec![style.paint(Tone::Good, &delivered)];
        let happened = others.into_iter().filter(|(_, count, _)| *count > 0);
        parts.extend(happened.map(|(tone, count, word)| style.paint(tone, &format!("{count} {word}"))));
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use domain::Reason;

    use super::*;

    fn verdict(number: u64, ending: Ending) -> Verdict {
        let stream = StreamId::parse("0123456789abcdef0123456789abcdef");
        Verdict { number, stream, path: "in/DOE^JANE.dcm".into(), ending }
    }

    fn delivered() -> Ending {
        Ending::Delivered { study: "7K2MQX".into(), already: false }
    }

    fn truncated() -> Ending {
        Ending::Quarantined(Rejection::new(Reason::Truncated, "the value ends behind the file").at_offset(1234))
    }

    #[test]
    fn only_what_needs_a_person_is_told_and_a_pipe_gets_no_path() {
        let verdicts = [verdict(1, delivered()), verdict(2, truncated())];
        let piped = told(&verdicts, false, Style::PLAIN);
        assert_eq!(piped.lines().count(), 2);
        assert!(piped.contains("#2 0123456789abcdef0123456789abcdef  truncated  "));
        assert!(piped.contains("inside an element, an item or a sequence. (@1234)") && !piped.contains("DOE"));
        assert!(told(&verdicts, true, Style::PLAIN).contains("in/DOE^JANE.dcm"));
        assert_eq!(told(&verdicts[..1], true, Style::PLAIN), "");
    }

    #[test]
    fn a_program_gets_reason_and_place_but_no_path() {
        let object = verdict(2, truncated()).object();
        assert_eq!(object["reason"], "truncated");
        assert_eq!(object["at"], "@1234");
        assert!(!object.to_string().contains("DOE"));
    }

    #[test]
    fn the_exit_code_follows_from_the_endings() {
        let exit = |endings: &[Ending]| {
            let verdicts: Vec<_> = endings.iter().map(|ending| verdict(1, ending.clone())).collect();
            Counts::of(&verdicts).exit()
        };
        assert_eq!(exit(&[]), Exit::Well);
        assert_eq!(exit(&[delivered()]), Exit::Well);
        assert_eq!(exit(&[delivered(), truncated()]), Exit::SomeFailed);
        assert_eq!(exit(&[Ending::Unreadable]), Exit::SomeFailed);
        assert_eq!(exit(&[Ending::Failed("store_full")]), Exit::SomeFailed);
        assert_eq!(exit(&[truncated(), Ending::Pending]), Exit::TryAgain);
    }

    #[test]
    fn the_summary_names_what_happened_only() {
        let again = Ending::Delivered { study: "7K2MQX".into(), already: true };
        let counts = Counts::of(&[verdict(1, delivered()), verdict(2, again), verdict(3, truncated())]);
        assert_eq!(counts.line(Style::PLAIN), "2 delivered (1 already), 1 quarantined");
    }
}
