//! The parts of the page, in the order in which they stand.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::figures::{self, ACTIONS, short};
use super::grouped;
use crate::report::{Incidents, Report, Study};

/// Most studies that are shown with a figure; the others are counted.
const STUDIES_MAX: usize = 100;

/// Returns the scope in words.
pub(super) fn scope(report: &Report) -> String {
    let scope = &report.scope;
    match (scope.kind, &scope.from, &scope.to) {
        ("study", ..) => format!("one study, {}", scope.study.as_deref().unwrap_or("whose keyed hash is not known")),
        (_, Some(from), Some(to)) => format!("{from} to {to}"),
        (_, Some(from), None) => format!("from {from} on"),
        (_, None, Some(to)) => format!("up to {to}"),
        _ => "the whole log".to_owned(),
    }
}

pub(super) fn cover(report: &Report) -> Markup {
    html! {
        h1 { "Compliance report" }
        p.soft { "Medical imaging pipeline: what the ledger shows" }
        dl.cover {
            dt { "Scope" } dd { (scope(report)) }
            dt { "Entries in scope" }
            dd {
                (grouped(report.entries))
                @if let (Some(first), Some(last)) = (&report.first_recorded_at, &report.last_recorded_at) {
                    ", recorded " (first) " to " (last)
                }
            }
            dt { "Log" } dd.mono { (report.seal.origin) }
            dt { "Seal: size" } dd { (grouped(report.seal.size)) " entries" }
            dt { "Seal: root" } dd.mono { (report.seal.root.as_deref().unwrap_or("none: entries are missing")) }
            dt { "Made by" } dd { (report.generator) ", " (report.format) }
            dt { "To make it again" } dd.mono { "medimg report --as-of " (report.seal.size) " --format html -o FILE" (again(report)) }
        }
        (verdict(report))
    }
}

/// The options that name the same scope again.
fn again(report: &Report) -> String {
    let option =
        |name: &str, value: &Option<String>| value.as_ref().map(|value| format!(" {name} {value}")).unwrap_or_default();
    match report.scope.kind {
        "study" => " --study STUDY".to_owned(),
        _ => format!("{}{}", option("--from", &report.scope.from), option("--to", &report.scope.to)),
    }
}

fn verdict(report: &Report) -> Markup {
    let integrity = &report.integrity;
    html! {
        @if integrity.sound {
            p.verdict.good { "✓ The log is sound: all " (grouped(integrity.verified)) " entries verified: every hash, link, tag, and the order of the steps" }
        } @else {
            p.verdict.bad { "✗ The log is not what was written: " (grouped(integrity.findings_count)) " findings; proved as written: the entries below " (grouped(integrity.proved_below)) }
        }
    }
}

pub(super) fn summary(report: &Report) -> Markup {
    let funnel = &report.funnel;
    let tiles = [
        ("studies", report.studies.iter().filter(|study| study.study.is_some()).count() as u64, false),
        ("objects", funnel.objects, false),
        ("delivered", funnel.delivered, false),
        ("quarantined", funnel.quarantined, funnel.quarantined > 0),
        ("failed", funnel.failed, funnel.failed > 0),
        ("no end yet", funnel.open, false),
        ("replays asked for", report.replays.requested, false),
    ];
    html! {
        ul.tiles { @for (name, count, red) in tiles { li.red[red] { strong { (grouped(count)) } (name) } } }
        (figures::funnel(funnel))
        p { "An object counts in each step that an entry in scope records for it. Quarantined, failed and no end yet are how objects stand after their last entry in scope."
            @if funnel.carried_over > 0 { " " (grouped(funnel.carried_over)) " of them were received before the scope begins." } }
        (counts("Events in scope by type", "event type", &report.events))
    }
}

/// The head of a table; `#` in front of a name says that its column holds numbers.
fn heads(names: &[&str]) -> Markup {
    html! {
        thead {
            tr {
                @for name in names {
                    @let plain = name.trim_start_matches('#');
                    th.n[plain.len() < name.len()] scope="col" { (plain) }
                }
            }
        }
    }
}

fn counts(caption: &str, what: &str, counts: &BTreeMap<String, u64>) -> Markup {
    html! {
        table {
            caption { (caption) }
            (heads(&[what, "#count"]))
            tbody { @for (name, count) in counts { tr { td { (name) } td.n { (grouped(*count)) } } } }
        }
    }
}

pub(super) fn controls(report: &Report) -> Markup {
    html! {
        p { "Pass: the records show it. Partial: they show a part, or something for a person to look at. Manual: the evidence lies elsewhere. "
            "The rows are evidence for a reviewer and judge no organisation." }
        div.wide {
            table.controls {
                caption { "Sections of 45 CFR Part 164 and the evidence in scope" }
                (heads(&["section", "reading", "evidence", "#records", "what the records show, and what they do not"]))
                tbody {
                    @for row in &report.controls {
                        tr {
                            th scope="row" { (row.section) br; span.soft { (row.title) } }
                            td { (row.reading) }
                            td { span class=(format!("mark {}", row.verdict.word())) { (row.verdict.word()) } }
                            td.n { (grouped(row.count)) }
                            td { (row.told) "." br; span.soft { "Limit: " (row.limit) } br; span.soft.mono { "test: " (row.test) } }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn integrity(report: &Report) -> Markup {
    let integrity = &report.integrity;
    html! {
        (verdict(report))
        (figures::chain(&report.chain))
        p { "For this report every entry was read back and checked: the hash of its header and body, its link to the entry before it in its stream, its tags, the Merkle tree over all entries, and that the steps stand in an order the pipeline can have walked. "
            "What this finds is change, insertion, deletion and reordering below the seal. Keep the checkpoint below, or size and root of the cover, outside the store: a log that no longer contains them was rewritten." }
        @if !integrity.findings.is_empty() {
            table {
                caption { "Findings (" (integrity.findings.len()) " of " (grouped(integrity.findings_count)) ")" }
                (heads(&["code", "#entry", "meaning"]))
                tbody {
                    @for one in &integrity.findings {
                        tr {
                            td.mono { (one.code) }
                            td.n {
                                @if one.at_or_after { "≥ " }
                                (one.leaf_index.map_or_else(|| "–".to_owned(), grouped))
                            }
                            td { @if let Some(log) = &one.log { (log) ": " } (one.meaning) }
                        }
                    }
                }
            }
        }
        (sealed(report))
    }
}

/// How far the log is sealed: what an outsider can hold against it.
fn sealed(report: &Report) -> Markup {
    let sealing = &report.sealing;
    html! {
        h3 { "Sealed by signed checkpoints" }
        @match (&sealing.newest, sealing.newest_is_of_these_entries) {
            (None, _) => p { "No entry is sealed: the store keeps no signed checkpoint of this log." },
            (Some(_), Some(false)) => p.verdict.bad { "✗ The newest checkpoint names another root than the entries read for this report have." },
            (Some(_), _) => p.verdict.good { "✓ The root that the newest checkpoint names is that of the entries read for this report." },
        }
        p {
            @if sealing.unsealed == 0 { "Every entry is sealed. " }
            @else { (several(sealing.unsealed, "entry")) " at the end of the log " @if sealing.unsealed == 1 { "is" } @else { "are" } " not sealed yet. " }
            "A checkpoint is worth what it is worth outside this store: whoever keeps one, or a witness that has signed it, finds a log that was cut below it or rewritten."
        }
        @if !sealing.checkpoints.is_empty() {
            div.wide { table {
                caption { "Checkpoints that seal entries in scope (" (sealing.checkpoints.len()) " of " (grouped(sealing.checkpoints_count)) ", newest first)" }
                (heads(&["#entries", "root", "signed by key", "#cosignatures"]))
                tbody {
                    @for one in &sealing.checkpoints {
                        tr {
                            td.n { (grouped(one.size)) }
                            td.mono { (one.root.as_deref().unwrap_or("none: it is no checkpoint")) }
                            td.mono { @if one.keys.is_empty() { "no key of this log" } @else { (one.keys.join(", ")) } }
                            td.n { (grouped(one.cosignatures)) }
                        }
                    }
                }
            } }
        }
        @if let Some(newest) = &sealing.newest {
            p { "The newest checkpoint as it was signed (C2SP signed note), the public keys as the store lists them, and the command that holds a copy of the store against both. Take the key from where you trust it, not from here." }
            pre { (newest) }
            @if !sealing.verifier_keys.is_empty() { pre { (sealing.verifier_keys.join("\n")) } }
            pre { "medimg verify --checkpoint FILE --vkey KEY" }
        }
    }
}

pub(super) fn studies(report: &Report) -> Markup {
    let shown = report.studies.len().min(STUDIES_MAX);
    html! {
        p { "Studies are named by the short name and the number of their new UID, and by the keyed hash of the original one. Nothing here leads to a patient without the keys of the site." }
        @if report.studies.is_empty() { p { "No object is in scope." } }
        @for (at, study) in report.studies.iter().take(shown).enumerate() { (one_study(at, study)) }
        @if report.studies.len() > shown {
            p { (grouped((report.studies.len() - shown) as u64)) " more studies are not drawn here; the JSON form lists every one." }
        }
        @if report.objects.is_empty() && report.funnel.objects > 0 {
            p.soft { "The single objects are too many for a page; the CSV form has a line for every event of each." }
        } @else if !report.objects.is_empty() {
            h3 { "Objects" }
            div.wide { table {
                caption { "Each object by its stream, and when each phase was recorded (UTC)" }
                (heads(&["stream", "study", "modality", "standing", "received", "ended", "#warnings"]))
                tbody {
                    @for row in &report.objects {
                        tr {
                            td.mono.t { (row.stream) }
                            td { @if let Some(study) = &row.study { (figures::short(study)) } @else { "not read" } }
                            td { (row.modality.unwrap_or("–")) }
                            td { (row.standing) }
                            td.t { (row.times.get("received").map_or("before the scope", |time| time.as_str())) }
                            td.t { (row.times.get(row.standing).map_or("–", |time| time.as_str())) }
                            td.n { (grouped(row.warnings)) }
                        }
                    }
                }
            } }
        }
    }
}

fn one_study(at: usize, study: &Study) -> Markup {
    let standing: Vec<String> =
        study.standing.iter().map(|(word, count)| format!("{} {word}", grouped(*count))).collect();
    let modalities: Vec<&str> = study.modalities.iter().copied().collect();
    html! {
        @if study.study.is_some() {
            h3 { "Study " (study.short_name.as_deref().unwrap_or("without an output")) " " span.soft { (modalities.join(", ")) } }
        } @else {
            h3 { "Objects whose study was never read" }
        }
        p {
            (several(study.objects, "object")) ": " (standing.join(", ")) "; " (several(study.warnings, "warning")) br;
            @if let Some(uid) = &study.new_uid { span.mono { (uid) } br; }
            @if let Some(hash) = &study.study { span.soft.mono { (hash) } }
        }
        (figures::timeline(&format!("study-{at}"), study))
    }
}

/// `1 object`, `2 objects`.
fn several(count: u64, noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) if count != 1 => format!("{} {stem}ies", grouped(count)),
        _ => format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" }),
    }
}

pub(super) fn deidentification(report: &Report) -> Markup {
    let told = &report.deidentification;
    html! {
        @if told.profiles.is_empty() { p { "Nothing was de-identified in scope." } } @else {
            (figures::classes(&told.classes))
            div.wide { table {
                caption { "Attributes acted on, by class. An attribute counts in the class of its name and value representation; private attributes and free text have none." }
                thead { tr { th scope="col" { "class" } th.n scope="col" { "distinct attributes" } @for (word, _) in &ACTIONS[..5] { th.n scope="col" { (word) } } } }
                tbody {
                    @for sum in &told.classes {
                        tr {
                            th scope="row" { "(" (sum.class.letter) ") " (sum.class.name) }
                            td.n { (grouped(sum.attributes)) }
                            @for (word, _) in &ACTIONS[..5] { td.n { (grouped(sum.actions.get(word).copied().unwrap_or(0))) } }
                        }
                    }
                }
            } }
            p { "Over all objects: "
                @for (at, (word, count)) in told.attributes.iter().enumerate() { @if at > 0 { ", " } (grouped(*count)) " " (word) }
                ". " @if told.unlisted > 0 { (grouped(told.unlisted)) " actions found no room in their receipt and are in these totals only. " }
                "A class with no action was not met in the objects; that is no proof that it was not there in text or pixels." }
            div.wide { table {
                caption { "Profiles used. The digest covers every option and table of the profile: another configuration has another digest." }
                (heads(&["profile", "digest (SHA-256)", "#objects", "first use", "last use"]))
                tbody {
                    @for one in &told.profiles {
                        tr {
                            td { (one.profile) ", " (one.edition) }
                            td.mono { (one.digest) }
                            td.n { (grouped(one.objects)) }
                            td.t { (one.first) }
                            td.t { (one.last) }
                        }
                    }
                }
            } }
        }
    }
}

pub(super) fn incidents(report: &Report) -> Markup {
    html! {
        (list("Quarantined: refused because of what the object is; the original stays where it is", "reason", &report.quarantine))
        (list("Failed: given up after retries, or because something is broken", "code", &report.failures))
        h3 { "Warnings" }
        p { (grouped(report.warnings.total)) " breaches of their IOD in " (grouped(report.warnings.objects)) " objects were recorded and did not stop them." }
        @if !report.warnings.by_code.is_empty() { (counts("Warnings by rule (of the first 32 of each object)", "rule", &report.warnings.by_code)) }
        @if !report.warnings.notes.is_empty() { (counts("Oddities noted on reading", "note", &report.warnings.notes)) }
    }
}

fn list(caption: &str, what: &str, incidents: &Incidents) -> Markup {
    let heading = caption.split(':').next().unwrap_or(caption);
    html! {
        h3 { (heading) ": " (grouped(incidents.total)) }
        @if incidents.total == 0 { p { "None in scope." } } @else {
            p { @for (at, (code, count)) in incidents.by_code.iter().enumerate() { @if at > 0 { ", " } (grouped(*count)) " " (code) } }
            div.wide { table {
                caption { (caption) @if incidents.total > incidents.rows.len() as u64 { " (the first " (incidents.rows.len()) ")" } }
                (heads(&["#entry", "when (UTC)", what, "step", "detail", "stream"]))
                tbody {
                    @for one in &incidents.rows {
                        tr {
                            td.n { (one.leaf_index) }
                            td.t { (one.recorded_at) }
                            td { (one.code) }
                            td { (one.step) }
                            td { (one.detail) }
                            td.mono { (one.stream) }
                        }
                    }
                }
            } }
        }
    }
}

pub(super) fn replays(report: &Report) -> Markup {
    let replays = &report.replays;
    html! {
        @if replays.requested == 0 && replays.completed.is_empty() { p { "No work was taken up again in scope." } } @else {
            p { (grouped(replays.requested)) " requests, " (grouped(replays.with_reason)) " of them with a reason; the text of a reason is not in the ledger." }
            (counts("Requests by cause and first step", "cause", &replays.by_cause))
            @if !replays.completed.is_empty() {
                table {
                    caption { "Replays that ended" }
                    (heads(&["when (UTC)", "#streams", "#delivered", "#quarantined", "#failed"]))
                    tbody {
                        @for run in &replays.completed {
                            tr {
                                td.t { (run.recorded_at) }
                                @for count in [run.streams, run.delivered, run.quarantined, run.failed] { td.n { (grouped(count)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn access(report: &Report) -> Markup {
    // A page has room for so many; the table below and the JSON form have all.
    let people: BTreeSet<&str> = report.accesses.iter().map(|one| one.actor.as_str()).collect();
    let actions: BTreeSet<&str> = report.accesses.iter().map(|one| one.action.as_str()).collect();
    let people: Vec<&str> = people.into_iter().take(40).collect();
    let actions: Vec<&str> = actions.into_iter().take(8).collect();
    html! {
        p { "Users are known by a keyed hash only; whoever holds the index key can tell which user it is." }
        @if report.accesses.is_empty() { p { "No act of a person is in scope." } } @else {
            (figures::heat(&report.accesses, &people, &actions))
            div.wide { table {
                caption { "What people did" }
                (heads(&["user", "act", "#count", "first (UTC)", "last (UTC)"]))
                tbody {
                    @for one in report.accesses.iter().take(crate::report::ROWS_MAX) {
                        tr {
                            td.mono { (short(&one.actor)) }
                            td { (one.action) }
                            td.n { (grouped(one.count)) }
                            td.t { (one.first) }
                            td.t { (one.last) }
                        }
                    }
                }
            } }
        }
    }
}

pub(super) fn not_shown(report: &Report) -> Markup {
    html! {
        p { "Absence from this report is no evidence of absence:" }
        ul { @for line in &report.not_shown { li { (line) } } }
    }
}

pub(super) fn check(report: &Report) -> Markup {
    let root = report.seal.root.as_deref().unwrap_or("");
    html! {
        p { "The log can be exported as lines of JSON, the first naming size and root. Thirty lines of Python that use SHA-256 only recompute every link and the root; they are in the source as ledger/verify_export.py and can be written anew from docs/adr/0001." }
        pre { "medimg export -o log.ndjson\npython3 verify_export.py log.ndjson" }
        p { "The root over the first " (grouped(report.seal.size)) " entries must be the one on the cover. Leaf: SHA-256(0x00 ‖ header); node: SHA-256(0x01 ‖ left ‖ right), RFC 6962." }
        pre { (CHECK_BEFORE) (report.seal.size) (CHECK_BETWEEN) (root) (CHECK_AFTER) }
    }
}

const CHECK_BEFORE: &str = "python3 - <<'EOF'\nimport base64, hashlib, itertools, json\nsha = lambda *p: hashlib.sha256(b\"\".join(p)).digest()\nnodes = []\nwith open(\"log.ndjson\") as lines:\n    next(lines)\n    for i, line in enumerate(itertools.islice(lines, ";
const CHECK_BETWEEN: &str = ")):\n        node = sha(b\"\\0\", json.loads(line)[\"header\"].encode())\n        for _ in range((i ^ (i + 1)).bit_length() - 1): node = sha(b\"\\1\", nodes.pop(), node)\n        nodes.append(node)\nroot = nodes.pop()\nwhile nodes: root = sha(b\"\\1\", nodes.pop(), root)\nprint(base64.b64encode(root).decode() == \"";
const CHECK_AFTER: &str = "\")\nEOF";

pub(super) fn sample(report: &Report) -> Markup {
    let sample = &report.sample;
    html! {
        p { "Nobody chose these entries. Draw k (from 0) is the entry in scope with the rank: the first eight bytes of SHA-256(root in base64, a colon, k), as a big-endian number, modulo "
            (grouped(sample.population)) "; a rank that came before is passed over. Find each in an export by its entry number, and compare." }
        @if sample.entries.is_empty() { p { "Nothing could be drawn." } }
        @for one in &sample.entries {
            h3 { "Entry " (grouped(one.leaf_index)) " " span.soft { "rank " (grouped(one.rank)) } }
            @if one.header.is_empty() { p { "The store could not read it back." } } @else {
                pre { (one.header) "leaf " (one.leaf) }
            }
        }
    }
}

pub(super) fn glossary(_: &Report) -> Markup {
    let words = [
        ("Entry", "One decision of one step or person, with its events; it is never changed."),
        ("Stream", "The entries of one object, or of what one person did in one run; named by a keyed hash."),
        ("Root", "The Merkle tree hash over all entries: any change of any entry changes it."),
        ("Seal", "Size and root together: they pin the log that this report is of."),
        (
            "Checkpoint",
            "A seal that the log has signed; a cosignature says that a witness saw it go on from the one before.",
        ),
        (
            "Keyed hash",
            "HMAC-SHA256 under a key of the site: equal values have equal hashes, and without the key nobody finds the value.",
        ),
        ("New UID", "The UID that de-identified objects carry in place of the original one."),
        ("Quarantine", "An object was refused because of what it is; nothing of it was delivered."),
        (
            "Failed",
            "Work was given up because of the surroundings or a mistake of the program; it can be taken up again.",
        ),
        ("Profile digest", "SHA-256 over every option and table by which objects are de-identified."),
    ];
    html! { dl.cover { @for (word, meaning) in words { dt { (word) } dd { (meaning) } } } }
}

pub(super) fn sign_off() -> Markup {
    html! {
        section aria-labelledby="sign" {
            h2 id="sign" { "Reviewed by" }
            p { "A review is a human act; this report does not record it." }
            div.sign { div { "name" } div { "date" } div { "findings" } div { "signature" } }
        }
    }
}
