//! What can stop a verb. Each error has a stable code, says what was tried on which item, and what to do next.

use std::io;

use domain::Rejection;

use crate::advice;
use crate::exit::Exit;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What stopped a verb. Messages hold no path and no value of an object; those could name a patient.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line cannot be understood.
    #[error("the command line was read: {what}")]
    Usage {
        /// What is wrong with it.
        what: String,
        /// The word of ours that comes nearest to what was typed.
        near: Option<String>,
    },
    /// `config.toml` cannot be read.
    #[error("config.toml of the store was read")]
    ConfigUnreadable {
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// `config.toml` is not TOML.
    #[error("config.toml of the store was parsed, line {line}: {what}")]
    ConfigSyntax {
        /// Line, from 1.
        line: usize,
        /// What the parser found.
        what: String,
    },
    /// A key of `config.toml` is no setting.
    #[error("config.toml line {line} sets `{key}`, which is no setting")]
    ConfigUnknownKey {
        /// The key as written, dotted.
        key: String,
        /// Line, from 1.
        line: usize,
        /// The nearest setting.
        nearest: &'static str,
    },
    /// A setting has a value it cannot have.
    #[error("setting `{key}` was read from {origin}, and its value is none that it takes")]
    ConfigValue {
        /// The setting.
        key: &'static str,
        /// Where the value stands.
        origin: String,
        /// What the setting takes.
        wanted: String,
    },
    /// The files of the demo could not be written because one of them is there already.
    #[error("the demo's files could not be written: the folder named by --write holds one of them already")]
    DemoExists,
    /// Something could not be written.
    #[error("{what} could not be written")]
    Write {
        /// What was being written.
        what: &'static str,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The handlers or the ledger refused or failed; the code says what to do.
    #[error("{tried}")]
    Stopped {
        /// Their stable code.
        code: &'static str,
        /// What was tried, and on what.
        tried: String,
        /// What the system said.
        #[source]
        cause: Option<Cause>,
    },
    /// The run was stopped from outside before every item had its end.
    #[error("the items were processed: the run was asked to stop, {left} of them have no end yet")]
    Interrupted {
        /// Items without an end, and items that were not taken up.
        left: u64,
    },
    /// A rule is switched off, so streams wait.
    #[error("the items were processed: {left} of them wait, because rules are switched off: {rules}")]
    Waiting {
        /// Streams without an end.
        left: u64,
        /// The rules, by name.
        rules: String,
    },
    /// A file that was named could not be read.
    #[error("{what} was read")]
    Read {
        /// What was being read.
        what: &'static str,
        /// Why it cannot be.
        #[source]
        cause: io::Error,
    },
    /// What was named as events holds none that can be read.
    #[error("events were read from the file, line {line}: {code}")]
    Events {
        /// Line, from 1.
        line: usize,
        /// Why not, as the reader of events says it.
        code: &'static str,
    },
    /// The stream of `--stream` is not 32 hex digits.
    #[error("the stream named by --stream was read: it is not 32 hex digits")]
    StreamForm,
    /// Values were asked for where a person does not read along.
    #[error("values of an object were asked for, and standard output is no terminal")]
    ValuesNeedTerminal,
    /// What was typed is no attribute.
    #[error("an attribute was looked up: it is no keyword of PS3.6 and no number of eight hex digits")]
    TagUnknown {
        /// The keyword that comes nearest.
        near: Option<&'static str>,
    },
    /// An object that was named is none that can be read.
    #[error("{which} was scanned: {rejection}")]
    Object {
        /// Which of the objects.
        which: &'static str,
        /// Why not.
        rejection: Rejection,
    },
    /// An entry holds events that this program cannot read.
    #[error("entry {seq} of stream {stream} was read: {code}")]
    Entry {
        /// Its stream.
        stream: String,
        /// Its number in the stream.
        seq: u64,
        /// Why not, as the reader of events says it.
        code: &'static str,
    },
    /// The ledger or the order of its steps does not verify.
    #[error("the ledger was verified: it is not what was written; first bad: {first_bad}")]
    Unsound {
        /// Where.
        first_bad: String,
    },
    /// The ledger verifies, and what lies in the store is not what it says.
    #[error("the objects were held against the ledger: they are not what it says; first bad: {first_bad}")]
    ObjectsUnsound {
        /// Where.
        first_bad: String,
    },
    /// Another file stands under the name that a report was to have.
    #[error("the report was given its name: another file has it")]
    ReportExists,
    /// Another file stands under the name that a proof was to have.
    #[error("the proof was given its name: another file has it")]
    ProofExists,
    /// The demo was asked to use a store that holds something else.
    #[error("the demo was started in a store that holds more than the demo")]
    DemoStore,
    /// The passphrase cannot be used.
    #[error("a passphrase was read: {what}")]
    Passphrase {
        /// Why not; a constant sentence.
        what: &'static str,
    },
    /// Something that cannot be undone was not agreed to.
    #[error("a study was to be forgotten: nobody agreed to it")]
    NotConfirmed,
    /// A verifier key of a log or of a witness cannot be used.
    #[error("a verifier key was read ({place}): {why}")]
    LogKey {
        /// Where it stands.
        place: String,
        /// Why not; says nothing of what stands there.
        why: String,
    },
    /// The address cannot be listened at.
    #[error("an address was listened at")]
    Listen {
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The number of workers makes no runtime.
    #[error("the worker threads were started")]
    Threads {
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

impl From<handlers::Error> for Error {
    fn from(error: handlers::Error) -> Self {
        let code = error.code();
        match error {
            handlers::Error::Transient { tried, source, .. } | handlers::Error::Broken { tried, source, .. } => {
                Self::Stopped { code, tried, cause: source }
            }
            rejected @ handlers::Error::Rejected(_) => Self::Stopped { code, tried: rejected.to_string(), cause: None },
        }
    }
}

impl Error {
    /// Returns the stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Stopped { code, .. } => code,
            Self::Interrupted { .. } => "interrupted",
            Self::Waiting { .. } => "rules_off",
            Self::Threads { .. } => "threads",
            Self::LogKey { .. } => "verifier_key",
            Self::Listen { .. } => "listen",
            Self::Passphrase { .. } => "passphrase",
            Self::NotConfirmed => "not_confirmed",
            Self::Read { .. } => "read_failed",
            Self::Events { .. } => "events_unreadable",
            Self::StreamForm => "stream_form",
            Self::Entry { .. } => "entry_unreadable",
            Self::ValuesNeedTerminal => "values_need_terminal",
            Self::TagUnknown { .. } => "tag_unknown",
            Self::Object { .. } => "object_refused",
            Self::Unsound { .. } => "ledger_unsound",
            Self::ObjectsUnsound { .. } => "objects_unsound",
            Self::ReportExists => "report_exists",
            Self::ProofExists => "proof_exists",
            Self::DemoStore => "demo_store",
            Self::Usage { .. } => "usage",
            Self::ConfigUnreadable { .. } => "config_unreadable",
            Self::ConfigSyntax { .. } => "config_syntax",
            Self::ConfigUnknownKey { .. } => "config_unknown_key",
            Self::ConfigValue { .. } => "config_value",
            Self::DemoExists => "demo_exists",
            Self::Write { .. } => "write_failed",
        }
    }

    /// Returns what to do next.
    pub(crate) fn next(&self) -> String {
        match self {
            Self::Usage { near: Some(near), .. } => {
                format!("did you mean `{near}`? `medimg --help` lists what there is")
            }
            Self::Usage { .. } => "see `medimg --help`".to_owned(),
            Self::ConfigUnreadable { .. } => "let the user of this program read the file, or move it away".to_owned(),
            Self::ConfigSyntax { .. } => {
                "mend that line; `medimg config show` on another store prints a valid file".to_owned()
            }
            Self::ConfigUnknownKey { nearest, .. } => {
                format!("did you mean `{nearest}`? `medimg config show` lists every setting")
            }
            Self::ConfigValue { wanted, .. } => format!("give it {wanted}"),
            Self::DemoExists => "name a new folder".to_owned(),
            Self::Write { cause, .. } if is_there(cause) => {
                "name a new file; what is there was left as it is".to_owned()
            }
            Self::Write { cause, .. } if is_full(cause) => {
                "free space on the disk, then run the same command".to_owned()
            }
            Self::Write { .. } => "make the place writable, then run the same command".to_owned(),
            Self::Stopped { code, .. } => advice::on(code).next.to_owned(),
            Self::Interrupted { .. } => "run the same command; it goes on where it stopped".to_owned(),
            Self::Waiting { .. } => "switch the rules on and run the same command, or put the events by hand: \
                `medimg history --type object.received --limit 1000000 --json | medimg bus put -`"
                .to_owned(),
            Self::Read { .. } => {
                "name a file that the user of this program may read, or - for standard input".to_owned()
            }
            Self::Events { .. } => {
                "give one event, an array of them, or the lines of `medimg history --json`".to_owned()
            }
            Self::StreamForm => "give the stream as `medimg process --json` prints it".to_owned(),
            Self::ValuesNeedTerminal => {
                "leave out --show-values and --json, or run it on a terminal: values may name a patient".to_owned()
            }
            Self::TagUnknown { near: Some(near) } => format!("did you mean `{near}`?"),
            Self::TagUnknown { near: None } => {
                "give a keyword such as PatientName, or a number such as 00100010".to_owned()
            }
            Self::Object { .. } => "name a DICOM object that is whole".to_owned(),
            Self::Entry { .. } => "use the version of medimg that wrote the entry; run `medimg verify`".to_owned(),
            Self::Unsound { .. } => {
                "stop using the store, keep a copy of it as it is, and compare it with the last backup \
                and with an earlier `medimg export`"
                    .to_owned()
            }
            Self::ObjectsUnsound { .. } => {
                "keep a copy of the store as it is, restore the last backup beside it (`medimg restore`), and compare the \
                objects that are named above"
                    .to_owned()
            }
            Self::ReportExists | Self::ProofExists => "name a new file, or replace that one with --force; nothing was recorded".to_owned(),
            Self::Passphrase { .. } => {
                "give 12 characters or more at the prompt, or in the first line of a file of mode 600: --passphrase-file FILE"
                    .to_owned()
            }
            Self::NotConfirmed => "answer y, or give --yes; it cannot be undone".to_owned(),
            Self::DemoStore => "name another one: `medimg demo --store DIR`".to_owned(),
            Self::LogKey { .. } => {
                "give it as its owner prints it: <name>+<8 hex digits>+<base64>; a log's with type 1, a witness' with type 4"
                    .to_owned()
            }
            Self::Listen { .. } => "name an address of this machine that is free, as 127.0.0.1:8380".to_owned(),
            Self::Threads { .. } => "run the same command with fewer workers: -j 1".to_owned(),
        }
    }

    /// Returns how the program ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. }
            | Self::ConfigUnreadable { .. }
            | Self::ConfigSyntax { .. }
            | Self::ConfigUnknownKey { .. }
            | Self::ConfigValue { .. }
            | Self::DemoExists
            | Self::DemoStore
            | Self::ReportExists
            | Self::ProofExists
            | Self::Read { .. }
            | Self::Passphrase { .. }
            | Self::NotConfirmed
            | Self::LogKey { .. }
            | Self::Listen { .. }
            | Self::Events { .. }
            | Self::ValuesNeedTerminal
            | Self::TagUnknown { .. }
            | Self::StreamForm => Exit::Usage,
            Self::Object { .. } => Exit::SomeFailed,
            Self::Entry { .. } | Self::Unsound { .. } | Self::ObjectsUnsound { .. } => Exit::Integrity,
            Self::Write { cause, .. } if is_there(cause) => Exit::Usage,
            Self::Write { .. } | Self::Interrupted { .. } | Self::Waiting { .. } | Self::Threads { .. } => {
                Exit::TryAgain
            }
            Self::Stopped { code, .. } => advice::on(code).exit,
        }
    }

    /// Returns the causes behind this error, nearest first; at most eight. Libraries may put a path into their message, and
    /// a path may be a name: from the first slash on a message is cut.
    fn causes(&self) -> Vec<String> {
        let cut = |cause: &dyn std::error::Error| {
            let text = cause.to_string();
            text.split('/').next().unwrap_or_default().trim_end_matches([' ', ':', '"']).to_owned()
        };
        let causes = std::iter::successors(std::error::Error::source(self), |cause| cause.source()).take(8);
        let mut told: Vec<String> = causes.map(cut).filter(|text| !text.is_empty()).collect();
        // A transparent wrapper says what it wraps.
        told.dedup();
        told
    }

    /// Returns the error as the lines a person reads.
    pub(crate) fn told(&self) -> String {
        let causes: String = self.causes().iter().map(|cause| format!(": {cause}")).collect();
        format!("error[{}]: {self}{causes}\n  next: {}\n", self.code(), self.next())
    }

    /// Returns the error as one JSON object and a line feed.
    pub(crate) fn json(&self) -> String {
        let object = serde_json::json!({ "error": {
            "code": self.code(),
            "tried": self.to_string(),
            "causes": self.causes(),
            "next": self.next(),
            "exit": self.exit().code(),
        }});
        format!("{object}\n")
    }
}

fn is_there(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::AlreadyExists
}

fn is_full(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_disk() -> Error {
        Error::Write { what: "a file of the demo", cause: io::ErrorKind::StorageFull.into() }
    }

    #[test]
    fn a_person_reads_code_attempt_cause_and_next_step() {
        assert_eq!(
            full_disk().told(),
            "error[write_failed]: a file of the demo could not be written: no storage space\n  \
             next: free space on the disk, then run the same command\n"
        );
    }

    #[test]
    fn a_program_reads_one_json_object() {
        let read: serde_json::Value = serde_json::from_str(&full_disk().json()).expect("JSON");
        assert_eq!(read["error"]["code"], "write_failed");
        assert_eq!(read["error"]["exit"], 75);
        assert_eq!(read["error"]["causes"][0], "no storage space");
    }

    #[test]
    fn a_path_in_the_message_of_a_library_is_cut() {
        let cause = io::Error::other("unable to open database file: /data/DOE^JANE/x");
        let error = Error::Stopped { code: "store_io", tried: "open it".into(), cause: Some(Box::new(cause)) };
        assert!(
            error.told().starts_with("error[store_io]: open it: unable to open database file\n"),
            "{}",
            error.told()
        );
    }

    #[test]
    fn an_unknown_key_is_a_usage_error_that_names_the_nearest() {
        let error = Error::ConfigUnknownKey { key: "worker".into(), line: 3, nearest: "workers" };
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.told().contains("`workers`"));
    }
}
