//! The text for whoever gets a bundle and has never heard of us: what it is, how to check it, what it proves and what not.

use super::write::Contents;
use super::{Kind, grouped};

const TEXT: &str = include_str!("bundle/README.txt");

const ENTRIES: &str = "  - Each entry stood in the log, at the place that is told, when the checkpoint was signed, with this header and this
    body. Not a byte of them was changed since.
";
const LINKED: &str = "  - Within each stream (the life of one object, or what one person did in one act) no entry between the first and the last
    one shown is left out, and their order is that in which they were written.
";
const COMPLETE: &str = "  - These are all entries about the study up to the checkpoint: of all {size} leaves of the log, {carrying} carry one of the
    subjects in statement.json, and with all other entries of the {streams} streams in which those stand they are {entries}.
";
const COMPLETE_WITH_LOG: &str =
    "    check.py recomputes this from the headers of all leaves, which lie in `log/` and name nobody.
";
const COMPLETE_WITHOUT_LOG: &str = "    This is checked only if you give a copy of the log: python3 check.py --log DIR.
";
const NOT_COMPLETE: &str =
    "  - That the stream has no later entry, or the log no other entry about the same study. Ask for the bundle of the study.
";
const UNKNOWN_SUBJECT: &str =
    "  - What concerns the study without naming it. An object that was refused before its study could be read, and what a person did
    with everything at once, carry no subject.
";
const OLDER_WITH_LOG: &str = " An older one is
                                       held against all leaves: was the log only continued?";
const OLDER_WITHOUT_LOG: &str = " One of another
                                       size can be held against it only with --log DIR.";
const ELSEWHERE: &str =
    "  - What stands in other logs of the same operator: a store that was put back from a backup goes on in a new log. These hold
    more of the same, and have bundles of their own: {elsewhere}.
";
const WITHOUT_LOG: &str = "
Exit code 3 means that everything that could be checked holds, but that the log was not at hand: this bundle was made without
one, so whether the study has further entries is not checked. Ask the operator for the folder `log/{number}` of the store, or for
the same bundle with the log, and run: python3 check.py --log DIR --vkey KEY";

/// Returns the text of README.txt.
pub(super) fn of(contents: &Contents<'_>) -> String {
    let is_study = contents.kind == Kind::Study;
    let what = match (contents.kind, contents.leaves) {
        (Kind::Entry, [leaf]) => format!("entry {leaf} of a ledger"),
        (Kind::Entry | Kind::Stream, _) => {
            "the life of one stream of a ledger: one object, or one act of a person".to_owned()
        }
        (Kind::Study, _) => "everything that a ledger holds about one study".to_owned(),
    };
    let mut proves = ENTRIES.to_owned();
    if contents.kind != Kind::Entry {
        proves += LINKED;
    }
    if is_study {
        proves += COMPLETE;
        proves += if contents.with_log { COMPLETE_WITH_LOG } else { COMPLETE_WITHOUT_LOG };
    }
    let mut not_proved = if is_study { String::new() } else { NOT_COMPLETE.to_owned() };
    if !contents.elsewhere.is_empty() {
        not_proved += &ELSEWHERE.replace("{elsewhere}", &contents.elsewhere.join(", "));
    }
    let files = if contents.with_log {
        "  log/                  the whole log up to the checkpoint, headers only, in the form of c2sp.org/tlog-tiles\n"
    } else if is_study {
        ""
    } else {
        "  <leaf>.tlog-proof     the same inclusion proof as c2sp.org/tlog-proof, with the checkpoint\n"
    };
    let older = if contents.with_log { OLDER_WITH_LOG } else { OLDER_WITHOUT_LOG };
    let (size, entries) = (contents.published.checkpoint.size, contents.leaves.len() as u64);
    let without_log = if is_study && !contents.with_log { WITHOUT_LOG } else { "" };
    let filled = [
        ("{proves}", proves.trim_end().to_owned()),
        ("{without_log}", without_log.to_owned()),
        ("{complete_short}", if is_study { ", completeness".to_owned() } else { String::new() }),
        ("{unknown_subject}", if is_study { UNKNOWN_SUBJECT.to_owned() } else { String::new() }),
        ("{not_proved}", not_proved),
        ("{files}", files.to_owned()),
        ("{older}", older.to_owned()),
        ("{what}", what),
        ("{number}", contents.number.to_string()),
        ("{origin}", contents.published.checkpoint.origin.clone()),
        ("{size}", grouped(size)),
        ("{last}", size.saturating_sub(1).to_string()),
        ("{root}", contents.published.checkpoint.root.base64()),
        ("{entries}", grouped(entries)),
        ("{carrying}", grouped(contents.carrying.len() as u64)),
        ("{streams}", grouped(contents.streams)),
    ];
    filled.iter().fold(TEXT.to_owned(), |text, (mark, value)| text.replace(mark, value))
}
