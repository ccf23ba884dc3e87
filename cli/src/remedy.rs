//! What a person may do about an object that did not end delivered: a closed table, one row a reason, the codes of failures
//! through `advice`.

use domain::Reason;

use crate::advice;

/// A command that helps on; what is in capitals the person fills in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Take the file, or the one that comes in its place, in again.
    Process,
    /// The same, and take on its pixels.
    AcceptPixels,
    /// Begin again where the work was given up.
    Replay,
    /// Look at what happened to the object.
    History,
    /// Look at the settings.
    Config,
    /// Look at the whole ledger.
    Verify,
    /// Look at the store and the machine.
    Doctor,
}

impl Command {
    /// Returns the words behind the program's name; `stream` is the object's.
    pub(crate) fn words(self, stream: &str) -> String {
        match self {
            Self::Process => "process PATH".to_owned(),
            Self::AcceptPixels => "process --accept-pixels PATH".to_owned(),
            Self::Replay => "replay --failed --reason TEXT".to_owned(),
            Self::History => format!("history --object {stream}"),
            Self::Config => "config show".to_owned(),
            Self::Verify => "verify".to_owned(),
            Self::Doctor => "doctor".to_owned(),
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// In words, one line.
    pub(crate) told: &'static str,
    /// The command that comes next.
    pub(crate) command: Command,
}

const fn remedy(told: &'static str, command: Command) -> Remedy {
    Remedy { told, command }
}

/// Returns what may be done about an object that was refused for this reason.
pub(crate) const fn of_reason(reason: Reason) -> Remedy {
    use Command::{AcceptPixels, Config, History, Process};
    match reason {
        Reason::NotDicom => remedy("if it should be DICOM, have the site export it again; else leave it out", Process),
        Reason::Truncated => remedy("have the site send it again whole, and wait until it is written", Process),
        Reason::BadMeta => remedy("have the site export it again: its file meta and its data set disagree", Process),
        Reason::BadLength => remedy("have the site export it again: a length in it is wrong", Process),
        Reason::Depth => remedy("ask the maker of the object: no object of the standard nests this deep", History),
        Reason::Vr => remedy("have the site export it again: it holds a VR that does not exist", Process),
        Reason::Charset => {
            remedy("have the site put the Specific Character Set (0008,0005) right and send it again", Process)
        }
        Reason::Oversize => {
            remedy("raise the limit in config.toml, if the machine bears it, and send the object again", Config)
        }
        Reason::Bomb => remedy("find out who sent it: it inflates to far more than an image does", History),
        Reason::Pixel => {
            remedy("have the site send it again with pixel data that fit its Rows, Columns and Frames", Process)
        }
        Reason::DupConflict => {
            remedy("compare both objects with the site; a true other image needs a UID of its own", History)
        }
        Reason::UnsupportedTs => {
            remedy("have the site convert it to a transfer syntax of PS3.6, then send it again", Process)
        }
        Reason::MissingRequired => {
            remedy("have the site put the UIDs of class, instance, series and study right", Process)
        }
        Reason::PathName => remedy("choose an output name that is made of new UIDs", Config),
        Reason::PixelsNotJudged => remedy(
            "look at the pixels; if they name nobody, take them on: that is recorded with every decision",
            AcceptPixels,
        ),
        Reason::ResidualIdentifier => {
            remedy("tell the privacy officer: the object repeats an identifier where no rule expects one", History)
        }
        Reason::Policy => remedy("ask whoever set the policy of this store", Config),
    }
}

/// Returns what may be done about an object on which work was given up with this code.
pub(crate) fn of_failure(code: &str) -> Remedy {
    let advice = advice::on(code);
    let command = match advice.exit {
        crate::exit::Exit::Integrity => Command::Verify,
        crate::exit::Exit::TryAgain => Command::Doctor,
        // An object that ended keeps its verdict in `process`; a replay takes it up again.
        _ => Command::Replay,
    };
    remedy(advice.next, command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_line_of_its_own() {
        let mut lines: Vec<_> = Reason::ALL.iter().map(|reason| of_reason(*reason).told).collect();
        assert!(lines.iter().all(|line| (20..=120).contains(&line.len()) && !line.contains('\n')));
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), Reason::ALL.len());
    }

    #[test]
    fn every_command_is_one_that_this_program_takes() {
        use Command::{AcceptPixels, Config, Doctor, History, Process, Replay, Verify};
        for command in [Process, AcceptPixels, Replay, History, Config, Verify, Doctor] {
            let words = format!("medimg {}", command.words("0123456789abcdef0123456789abcdef"));
            let asked = crate::args::parse(words.split(' ').map(std::ffi::OsString::from));
            assert!(matches!(asked, Ok(crate::args::Asked::Run(_))), "{words}");
        }
    }

    #[test]
    fn a_failure_is_told_by_its_advice() {
        assert_eq!(of_failure("source_gone").command, Command::Replay);
        assert_eq!(of_failure("contradiction").command, Command::Verify);
        assert_eq!(of_failure("no such code").command, Command::Verify);
    }
}
