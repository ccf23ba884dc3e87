//! What to do next for every code of the handlers and the ledger, and how the program ends on it. One table: a test holds
//! it to the sources, so no code is without advice.

use crate::exit::Exit;

/// A code, how the program ends when it stops a verb, and what to do next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advice {
    /// Stable code.
    pub(crate) code: &'static str,
    /// How the program ends.
    pub(crate) exit: Exit,
    /// What to do next.
    pub(crate) next: &'static str,
}

const SAME: &str = "run the same command again; what was recorded stays valid";
const OURS: &str = "run `medimg verify`; if that finds nothing, report this code: it is a mistake of the program";
const STOP: &str = "stop using the store, run `medimg verify`, and restore the last backup beside it to compare";
const SOURCE: &str = "look at the file; when it can be read again, run process on it again";

#[rustfmt::skip]
static TABLE: &[Advice] = &[
    // The surroundings: nothing is lost, streams stay open.
    advice("disk_full", Exit::TryAgain, "free space on the store's disk, then run the same command; it goes on where it stopped"),
    advice("store_unwritable", Exit::TryAgain, "let the user of this program write to the store, then run the same command"),
    advice("store_io", Exit::TryAgain, "look at the store's disk with `medimg doctor`, then run the same command"),
    advice("store_locked", Exit::TryAgain, "wait until the other worker has ended, or name another store with --store"),
    advice("sources_io", Exit::TryAgain, SAME),
    advice("stage_lost", Exit::TryAgain, "find out what removes files from the store's staging/, then run the same command"),
    advice("stages_left", Exit::TryAgain, "run `medimg verify`, then remove what lies in the store's staging/ and run the same command"),
    advice("ledger_contended", Exit::TryAgain, SAME),
    advice("ledger_conflict", Exit::TryAgain, SAME),
    advice("ledger_unknown", Exit::TryAgain, SAME),
    advice("ledger_unavailable", Exit::TryAgain, "wait until no other process holds the store, then run the same command"),
    advice("ledger_no_access", Exit::TryAgain, "let the user of this program read and write ledger.sqlite and its folder"),
    advice("ledger_disk_full", Exit::TryAgain, "free space on the store's disk, then run the same command"),
    // What the operator named or configured.
    advice("store_missing", Exit::Usage, "run `medimg process PATH` first, or name the store with --store"),
    advice("key_permissions", Exit::Usage, "chmod 600 the file, and find out who could read it"),
    advice("sources_permissions", Exit::Usage, "chmod 600 sources.sqlite, and find out who could read it"),
    advice("environment_name", Exit::Usage, "set `environment` to 1 to 32 characters a-z, 0-9 and -"),
    advice("unknown_rule", Exit::Usage, "take the name out of `rules.disabled`, or correct it"),
    advice("as_of_beyond", Exit::Usage, "give a smaller --as-of; `medimg verify` tells how many entries there are"),
    advice("study_ambiguous", Exit::Usage, "give the whole Study Instance UID"),
    advice("ledger_missing", Exit::Usage, "run `medimg process PATH` first, or name the store with --store"),
    advice("ledger_exists", Exit::TryAgain, SAME),
    advice("ledger_schema_version", Exit::Usage, "use the version of medimg that wrote the store"),
    // Nothing was found.
    advice("study_unknown", Exit::SomeFailed, "give the original UID, the new UID, or the short name that process printed"),
    advice("stream_unknown", Exit::SomeFailed, "give the stream as process printed it: 32 hex digits; and the store it was processed in"),
    advice("source_unknown", Exit::SomeFailed, "run process on the same paths again, so that the store knows where they lie"),
    // The store is not what it must be.
    advice("key_missing", Exit::Integrity, "restore the file from the backup of the keys; a new key would be another project"),
    advice("key_damaged", Exit::Integrity, "restore the file from the backup of the keys"),
    advice("key_other", Exit::Integrity, "restore the store's own keys/ from the backup of the keys"),
    advice("ledger_damaged", Exit::Integrity, STOP),
    advice("ledger_gone", Exit::Integrity, "restore the last backup of ledger.sqlite; a new ledger would hide what was recorded"),
    advice("ledger_not_a_ledger", Exit::Integrity, "correct --store; if this was a ledger, restore the last backup"),
    advice("ledger_invalid", Exit::Integrity, OURS),
    advice("sources_damaged", Exit::Integrity, "move sources.sqlite away and run process on the same paths again"),
    advice("source_mismatch", Exit::Integrity, "sources.sqlite was altered: move it away and run process on the same paths again"),
    advice("stream_unreadable", Exit::Integrity, STOP),
    advice("not_recorded", Exit::Integrity, STOP),
    advice("not_received", Exit::Integrity, STOP),
    advice("contradiction", Exit::Integrity, STOP),
    advice("out_of_order", Exit::Integrity, STOP),
    advice("output_key", Exit::Integrity, STOP),
    advice("stage_token", Exit::Integrity, STOP),
    advice("output_differs", Exit::Integrity, OURS),
    advice("profile_damaged", Exit::Integrity, "install the program again: its tables are not whole"),
    // One source; told in reports.
    advice("source_gone", Exit::SomeFailed, "put the file back, then run process on it again"),
    advice("source_unreadable", Exit::SomeFailed, "let the user of this program read the file, then run process on it again"),
    advice("source_changed", Exit::SomeFailed, "wait until nothing writes to the file, then run process on it again"),
    advice("source_io", Exit::SomeFailed, SOURCE),
    // Mistakes of ours.
    advice("task_panicked", Exit::Integrity, OURS),
    advice("rule_panicked", Exit::Integrity, OURS),
    advice("plan_offsets", Exit::Integrity, OURS),
    advice("scan_stuck", Exit::Integrity, OURS),
    advice("no_rejection", Exit::Integrity, OURS),
    advice("no_failure", Exit::Integrity, OURS),
    advice("event_types", Exit::Integrity, OURS),
    advice("event_body", Exit::Integrity, OURS),
    advice("deidentified_facts", Exit::Integrity, OURS),
];

const fn advice(code: &'static str, exit: Exit, next: &'static str) -> Advice {
    Advice { code, exit, next }
}

/// Returns the advice for a code. One that the table lacks is told as a mistake of ours.
pub(crate) fn on(code: &str) -> Advice {
    let found = TABLE.iter().find(|advice| advice.code == code).copied();
    found.unwrap_or(Advice { code: "unknown", exit: Exit::Integrity, next: OURS })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Words in snake case that stand in the sources as literals and are no codes of errors.
    const NO_CODES: &[&str] = &[
        // Notes of a scan, recorded with `instance.ingested`.
        "no_meta",
        "meta_group_length",
        "no_transfer_syntax",
        "trailing_bytes",
        "odd_length",
        "stray_delimiter",
        "no_delimiter",
        // Names for SQLite.
        "journal_mode",
        "sources_open",
        "user_version",
        "application_id",
        "page_size",
    ];

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
            match path.is_dir() {
                _ if is_test => {}
                true => sources(&path, found),
                false => found.push(path),
            }
        }
    }

    /// Every literal of the text that looks like a code: two or more words of a-z and digits, joined by `_`.
    fn literals(text: &str) -> Vec<&str> {
        let program = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_word = |word: &&str| {
            word.contains('_')
                && word.split('_').all(|part| !part.is_empty())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        program.split('"').filter(is_word).collect()
    }

    #[test]
    fn every_code_of_the_handlers_and_the_ledger_has_advice() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut files = vec![root.join("ledger/src/error.rs")];
        sources(&root.join("handlers/src"), &mut files);
        let mut codes = 0;
        for file in files {
            let text = fs::read_to_string(&file).expect("a source");
            for word in literals(&text).into_iter().filter(|word| !NO_CODES.contains(word)) {
                assert!(TABLE.iter().any(|advice| advice.code == word), "{word} in {} has no advice", file.display());
                codes += 1;
            }
        }
        assert!(codes > 50, "the sources name {codes} codes: the search is broken");
    }

    #[test]
    fn no_code_stands_twice_and_every_advice_is_one_line() {
        let mut codes: Vec<_> = TABLE.iter().map(|advice| advice.code).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(TABLE.iter().all(|advice| !advice.next.is_empty() && !advice.next.contains('\n')));
    }
}
