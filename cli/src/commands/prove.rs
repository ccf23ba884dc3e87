//! `medimg prove`: entries as a zip that an outsider checks without this program. That it was made is recorded.

use std::path::{Path, PathBuf};

use domain::Phi;
use handlers::acting::Person;
use handlers::prove::{self, Asked, Kind, Made, Request};
use handlers::sealer::StoreSealer;
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use ledger::StreamKey;

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::person;
use crate::ui::colour::Tone;
use crate::whole;

/// Who may read a bundle: it goes out by the hand of whoever made it.
const MODE: u32 = 0o600;

/// Prove entries to someone who does not trust us: a zip that checks itself; that you made it is recorded
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The zip holds the entries with their inclusion proofs, the signed checkpoint, for a study the log's headers and \
    the statement that nothing about it is left out, and a README and scripts that check all this with Python and openssl alone. \
    It holds no identifier of a patient. Give the verifier key to the reader on another way than the zip."
)]
pub(crate) struct Args {
    /// A leaf index, STREAM/NUMBER or STREAM as history prints them, or a study: its original or new UID, or its short name
    #[arg(value_name = "ENTRY|STREAM|STUDY")]
    what: String,
    /// The zip to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Leave the log's headers out of the bundle of a study: smaller, but its reader needs a copy of the log to see that it is all
    #[arg(long)]
    without_log: bool,
    /// In a recovered store: the log, by the number behind # of its origin, 0 for the first; else the newest that holds it
    #[arg(long, value_name = "NUMBER")]
    log: Option<u32>,
    /// Prove against the checkpoint of this size instead of the newest; makes an earlier bundle again
    #[arg(long, value_name = "SIZE")]
    as_of: Option<u64>,
    /// Replace the file if it is there and differs
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let asked = asked(args.what.trim())?;
    let config = context.config(&[])?;
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    let person = Person::of_user(&person::name(), &store.keys);
    let size_min = block_on(handlers::ask::head_size(&store))??;
    let checkpoint = match args.as_of {
        Some(size) => Some(prove::checkpoint_of(&store, size)?),
        None => {
            // What is asked for may have been recorded a moment ago.
            block_on(StoreSealer::open(store.root())?.seal())??;
            None
        }
    };
    let request = Request { asked, log: args.log, with_log: !args.without_log, checkpoint, size_min };
    let made = deliver(args, &store, person, &request)?;
    tell(&made, args, context)?;
    Ok(Exit::Well)
}

/// Returns what a word names. Only digits are a leaf index: of a study with such a short name the whole UID is to be given.
fn asked(word: &str) -> Result<Asked, Error> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        let beyond = || Error::Usage { what: "the leaf index is larger than any log".to_owned(), near: None };
        return word.parse().map(Asked::Leaf).map_err(|_| beyond());
    }
    if let Some(stream) = StreamKey::parse(word) {
        return Ok(Asked::Stream(stream));
    }
    let entry = word.split_once(['/', ':']).and_then(|(stream, seq)| Some((StreamKey::parse(stream)?, seq)));
    match entry {
        Some((stream, seq)) => {
            let ill = || Error::Usage { what: "an entry of a stream is STREAM/NUMBER".to_owned(), near: None };
            seq.parse().map(|seq| Asked::Entry(stream, seq)).map_err(|_| ill())
        }
        None => Ok(Asked::Study(Phi::new(word.to_owned()))),
    }
}

/// Writes the bundle beside its name, records it, and only then lets it be seen.
fn deliver(args: &Args, store: &Store, person: Person, request: &Request) -> Result<Made, Error> {
    let part = whole::part_of(&args.output);
    let file = whole::create(&part, MODE).map_err(broken)?;
    let done = make(args, store, person, request, file, &part);
    // After a rename there is nothing left to remove; after an error what is left is only a part.
    let _ = std::fs::remove_file(&part);
    done
}

fn make(
    args: &Args,
    store: &Store,
    person: Person,
    request: &Request,
    file: std::fs::File,
    part: &Path,
) -> Result<Made, Error> {
    let made = block_on(prove::prove(store, &System, person, request, file))??;
    let stands = whole::stands(&args.output, part).map_err(broken)?;
    if stands == Some(false) && !args.force {
        return Err(Error::ProofExists);
    }
    block_on(prove::record(store, &System, person, &made))??;
    // The record is durable from here on. If we stop before the file has its name, the same command makes it again.
    whole::publish(part, &args.output, stands).map_err(broken)?;
    Ok(made)
}

fn broken(cause: std::io::Error) -> Error {
    Error::Write { what: "the proof", cause }
}

fn tell(made: &Made, args: &Args, context: &mut Context) -> Result<(), Error> {
    let Made { kind, entries, streams, size, size_bytes, .. } = made;
    if !context.quiet && !made.elsewhere.is_empty() {
        let logs = made.elsewhere.join(", ");
        note(&format!(
            "note: other logs of this store hold more of it and are proved apart, with --log NUMBER: {logs}\n"
        ));
    }
    if context.output.json {
        return context.output.object(&serde_json::json!({
            "kind": kind.word(), "origin": made.origin, "size": size, "root": made.root, "vkey": made.vkey,
            "entries": entries, "carrying": made.carrying, "streams": streams, "elsewhere": made.elsewhere,
            "sha256": made.sha256, "size_bytes": size_bytes, "with_log": *kind == Kind::Study && !args.without_log,
        }));
    }
    let style = context.output.style;
    let told = match kind {
        Kind::Entry => "one entry".to_owned(),
        Kind::Stream => format!("a stream of {entries} entries"),
        Kind::Study => format!("a study of {entries} entries in {streams} streams"),
    };
    context.output.line(format!("proof of {told}, in the log of {size} entries"))?;
    context.output.line(format!("{size_bytes} bytes, sha256 {}", made.sha256))?;
    context.output.line(format!("verifier key, for the reader on another way than the zip: {}", made.vkey))?;
    let seal = format!("as of size {size}, root {}; that you made it is recorded", made.root);
    context.output.line(style.paint(Tone::Dim, &seal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_leaf_an_entry_a_stream_or_a_study() {
        let stream = "0123456789abcdef0123456789abcdef";
        assert!(matches!(asked("17"), Ok(Asked::Leaf(17))));
        assert!(matches!(asked(stream), Ok(Asked::Stream(_))));
        for joint in ['/', ':'] {
            assert!(matches!(asked(&format!("{stream}{joint}4")), Ok(Asked::Entry(_, 4))));
        }
        for study in ["ABC234", "1.2.840.113619.2", "2.25.7"] {
            assert!(matches!(asked(study), Ok(Asked::Study(_))), "{study}");
        }
        for refused in [format!("{stream}/x"), format!("{stream}/"), "9".repeat(30)] {
            assert_eq!(asked(&refused).expect_err("refused").code(), "usage");
        }
    }
}
