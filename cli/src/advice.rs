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
const SOURCE: &str = "look at the file; when it can be read again, run the same command again";

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
    advice("entries_behind", Exit::TryAgain, SAME),
    advice("views_io", Exit::TryAgain, SAME),
    advice("consumer_contended", Exit::TryAgain, SAME),
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
    advice("note_form", Exit::Usage, "give a reason of 1 to 2,000 characters"),
    advice("note_differs", Exit::Integrity, OURS),
    advice("watch_folder", Exit::Usage, "name a folder that is there and that the user of this program may list"),
    advice("watch_in_store", Exit::Usage, "name a folder outside the store, or another store with --store"),
    advice("watch_folder_gone", Exit::TryAgain, "put the folder back, or mount what it lies on; a watch that runs goes on by itself"),
    // Nothing was found.
    advice("study_unknown", Exit::SomeFailed, "give the original UID, the new UID, or the short name that process printed"),
    advice("stream_unknown", Exit::SomeFailed, "give the stream as process printed it: 32 hex digits; and the store it was processed in"),
    advice("source_unknown", Exit::SomeFailed, "run process on the same paths again, so that the store knows where they lie"),
    // The store is not what it must be.
    advice("key_missing", Exit::Integrity, "restore the file from the backup of the keys; a new key would be another project"),
    advice("key_damaged", Exit::Integrity, "restore the file from the backup of the keys"),
    advice("key_other", Exit::Integrity, "restore the store's own keys/ from the backup of the keys"),
    advice("ledger_damaged", Exit::Integrity, STOP),
    advice("ledger_gap", Exit::Integrity, STOP),
    advice("consumer_ahead", Exit::Integrity, "the ledger is older than what was read of it: if it was restored, run `medimg views rebuild`"),
    advice("consumer_other_log", Exit::Integrity, "this is not the ledger that was read before: if it was restored, run `medimg views rebuild`"),
    advice("views_damaged", Exit::Integrity, "run `medimg views rebuild`; nothing is lost, the views are made of the ledger"),
    advice("views_differ", Exit::Integrity, "run `medimg verify`, then `medimg views rebuild`, and ask again"),
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
    advice("source_gone", Exit::SomeFailed, "put the file back, then run the same command again"),
    advice("source_unreadable", Exit::SomeFailed, "let the user of this program read the file, then run the same command again"),
    advice("source_changed", Exit::SomeFailed, "put the file back as it was, or run process on the new one once nothing writes to it"),
    advice("source_io", Exit::SomeFailed, SOURCE),
    // One stream of a replay.
    advice("already_done", Exit::Well, "nothing; to do it again all the same, name a step: --step deidentification"),
    advice("already_pending", Exit::Well, "nothing; the next run goes on with it"),
    advice("done_in_this_run", Exit::Well, "nothing; this replay has done it"),
    advice("not_meant", Exit::Well, "nothing; it is none of those that were asked for"),
    advice("still_quarantined", Exit::SomeFailed, "if the cause is gone, name a step: --step ingestion; pixels: --accept-pixels"),
    advice("step_not_reached", Exit::SomeFailed, "name an earlier step, or none: then work begins where it ended"),
    advice("profile_differs", Exit::SomeFailed, "say that you mean the profile in force: --profile basic or --accept-pixels"),
    advice("selection_too_large", Exit::Usage, "name a shorter span with --from and --to"),
    // Backup, restore, recover, forget.
    advice("backup_io", Exit::TryAgain, "look at the disk of the backup, then run the same command; the earlier backup is whole"),
    advice("backup_full", Exit::TryAgain, "free space where the backup lies, then run the same command; what was copied stays"),
    advice("backup_busy", Exit::TryAgain, "wait until the other backup or forget of this store has ended"),
    advice("backup_folder", Exit::Usage, "name an empty folder outside the store, or the one of the last backup"),
    advice("backup_other_store", Exit::Usage, "name another folder: one folder is for the backups of one store"),
    advice("backup_newer", Exit::Integrity, "keep that backup: it may hold what this store lost; compare, and back up to a new folder"),
    advice("backup_missing", Exit::Usage, "name the folder of a finished backup"),
    advice("backup_manifest", Exit::Integrity, "take another backup; this one was altered or is of another version"),
    advice("backup_contradicts", Exit::Integrity, "take another backup; this one was put together by another hand"),
    advice("part_missing", Exit::Integrity, "look for the part in another copy of the backup, or take an earlier one"),
    advice("part_altered", Exit::Integrity, "look for the part in another copy of the backup, or take an earlier one"),
    // Sealing: no entry is lost, and the next command seals.
    advice("seal_unavailable", Exit::TryAgain, "run `medimg checkpoint`; the next command that records something seals too"),
    advice("tiles_damaged", Exit::Integrity, "find out what changed the store's log/; `medimg checkpoint --mend` makes tiles anew from the ledger, held against the signed checkpoint"),
    advice("signer_failed", Exit::Integrity, OURS),
    advice("log_missing", Exit::Usage, "name the folder that holds `checkpoint` and `tile`: log/<n> of a store, or a copy of it"),
    advice("log_damaged", Exit::Integrity, "get another copy of the published log, and find out who changed this one"),
    advice("vkeys_damaged", Exit::Integrity, "restore log/vkeys from a backup, or move it away if keys/signing is the store's own: `medimg checkpoint --vkey` prints its line"),
    advice("restore_occupied", Exit::Usage, "name a folder that is empty or not there with --store"),
    advice("keys_file_exists", Exit::Usage, "name a new file; the keys do not change, so one file opens every backup of the store"),
    advice("keys_inside_backup", Exit::Usage, "name a file outside the backup, best on another machine"),
    advice("keys_file_damaged", Exit::Integrity, "take another copy of the file that backup --keys-to wrote"),
    advice("passphrase_wrong", Exit::Usage, "give the passphrase with which the keys were wrapped"),
    advice("ledger_rolled_back", Exit::Integrity, "find the newer store; if it is lost: `medimg recover --reason TEXT`"),
    advice("ledger_forked", Exit::Integrity, "keep both, find out who wrote the other; to go on with this one: `medimg recover --reason TEXT`"),
    advice("ledger_restored", Exit::Integrity, "if the store that was backed up is lost: `medimg recover --reason TEXT`"),
    advice("nothing_to_recover", Exit::Usage, "nothing is to be done: work on with the store"),
    advice("heads_io", Exit::TryAgain, "let the user of this program write to the folder of --heads, or name another"),
    advice("heads_damaged", Exit::Integrity, "look at the file in the folder of --heads: remove it only if you know why it was changed"),
    advice("source_forgotten", Exit::SomeFailed, "nothing is to be done: where the object lies was erased on purpose"),
    advice("study_unfinished", Exit::Usage, "run `medimg process` on its files first, or give --unfinished"),
    advice("source_link", Exit::SomeFailed, "put the file back where it was listed, without a link in its path, then run process on it again"),
    // Proofs.
    advice("entry_unknown", Exit::SomeFailed, "give a leaf index or STREAM/NUMBER as `medimg history --all` prints them"),
    advice("not_sealed", Exit::TryAgain, "run `medimg checkpoint`, then the same command; with --as-of: name a later checkpoint"),
    advice("checkpoint_unknown", Exit::Usage, "give the size of a checkpoint that was published, or leave out --as-of"),
    advice("proof_too_large", Exit::Usage, "prove its streams one by one"),
    advice("proof_io", Exit::TryAgain, "look at the disk of the bundle, then run the same command"),
    advice("proof_disk_full", Exit::TryAgain, "free space where the bundle is to lie, then run the same command"),
    // Witnesses: ours for others, and others' for us.
    advice("witness_store", Exit::Usage, "name a folder of its own for the witness with --store"),
    advice("witness_name", Exit::Usage, "leave out --name, or name a new folder with --store: another name is another witness"),
    advice("witness_gone", Exit::Integrity, "put witness.sqlite back as it was last; if it is lost, make a new witness in a new folder"),
    advice("witness_damaged", Exit::Integrity, "make a new witness in a new folder, and keep this one for whoever asks what it cosigned"),
    advice("witness_io", Exit::TryAgain, "look at the disk of the witness' folder, then run the same command"),
    advice("witness_away", Exit::TryAgain, "nothing is lost: the checkpoint is published without its cosignature; see whether the witness runs"),
    advice("witness_unknown_log", Exit::TryAgain, "give the log's verifier key to whoever runs the witness; see that the URL is right"),
    advice("witness_answer", Exit::TryAgain, "see that URL and verifier key are those of one witness; tell whoever runs it"),
    advice("witness_refuses", Exit::Integrity, "stop using the store and compare it with its backups: a witness saw another history of this log"),
    // What `verify --objects` finds.
    advice("scratch_io", Exit::TryAgain, "free space where temporary files go (TMPDIR), then run the same command"),
    advice("object_missing", Exit::Integrity, "copy the object from the last backup, or restore that beside the store"),
    advice("object_changed", Exit::Integrity, "keep the object as it is, and compare it with the one of the last backup"),
    advice("object_unknown", Exit::Integrity, "find out who put it there; what a recovered log has lost is named when its source is processed again"),
    advice("object_link", Exit::Integrity, "find out who put the link there, and put the object of the last backup in its place"),
    advice("object_foreign", Exit::Integrity, "find out who put it there, and move it out of processed/"),
    advice("object_unreadable", Exit::Integrity, "let the user of this program read it, look at the disk, and verify again"),
    advice("raw_missing", Exit::Integrity, "copy the original from the last backup, or from its source"),
    advice("raw_changed", Exit::Integrity, "keep the copy as it is, and compare it with its source or the last backup"),
    advice("raw_foreign", Exit::Integrity, "find out who put it there, and move it out of raw/"),
    advice("raw_unreadable", Exit::Integrity, "let the user of this program read it, look at the disk, and verify again"),
    advice("object_pending", Exit::Well, "run `medimg process` on its source, or on anything: unfinished objects go first"),
    advice("raw_unexplained", Exit::Well, "run `medimg process` on the source again, or remove the copy: nothing names it"),
    advice("raw_not_erased", Exit::Well, "run `medimg forget` on the study again: it finishes"),
    advice("staging_unexplained", Exit::Well, "nothing is to be done: the next run removes it"),
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
        "first_leaf",
        "secure_delete",
        "temp_store",
        // Commands, as decision ids spell them.
        "request_replay",
        "complete_replay",
    ];

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests" || stem == "sim");
            match path.is_dir() {
                _ if is_test => {}
                // What a bundle holds for its reader is no source of ours.
                false if path.extension().is_none_or(|extension| extension != "rs") => {}
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
