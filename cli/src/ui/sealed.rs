//! How `verify` tells what the checkpoints prove: up to which size, by whose keys, and what they cannot.

use handlers::audit::{Audit, Sealed};
use ledger::verify::Finding;
use serde_json::{Value, json};

/// Of which file or checkpoint each finding of the log with this number is. Findings that are alike are told apart by their order,
/// which is the same in both lists.
pub(crate) fn about<'a>(audit: &'a Audit, at: usize, findings: &'a [Finding]) -> Vec<(&'a Finding, Option<&'a str>)> {
    let mut rest: Vec<_> = audit.sealed.get(at).map(|sealed| sealed.about.iter().collect()).unwrap_or_default();
    let mut name = |finding: &Finding| {
        let place = rest.iter().position(|(known, _)| known == finding)?;
        Some(rest.remove(place).1.as_str())
    };
    findings.iter().map(|finding| (finding, name(finding))).collect()
}

/// How many entries the log has that is the one with this number.
fn entries(audit: &Audit, at: usize) -> u64 {
    audit.past.get(at).map_or(audit.ledger.entries, |(_, report)| report.entries)
}

/// Returns what the checkpoints prove, for people.
pub(crate) fn told(audit: &Audit) -> String {
    let mut text = String::new();
    for (at, sealed) in audit.sealed.iter().enumerate() {
        let log = audit.past.get(at).map(|(name, _)| format!("{name}: ")).unwrap_or_default();
        for line in lines(sealed, entries(audit, at)) {
            text.push_str(&format!("  {log}{line}\n"));
        }
    }
    text
}

fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

fn lines(sealed: &Sealed, entries: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let below = |size: u64| if size == entries { "all of them".to_owned() } else { format!("the first {size}") };
    match sealed.published {
        None => lines.push(
            "no checkpoint is published that is believed: nothing here shows a rewrite of the whole log".to_owned(),
        ),
        Some(size) => {
            let witnesses = match sealed.witnesses {
                0 => String::new(),
                count => format!(", signed by {count} of the witnesses"),
            };
            lines.push(format!(
                "sealed: {}, by the published checkpoint of size {size}{witnesses}; {} and {} of the published log \
                 were compared",
                below(size),
                counted(sealed.kept, "kept checkpoint"),
                counted(sealed.files, "file")
            ));
            if size < entries {
                lines.push(format!("not sealed yet: the last {}", entries - size));
            }
        }
    }
    for (number, signed, agrees) in &sealed.given {
        let number = number + 1;
        lines.push(match (signed, agrees) {
            (None, _) => format!("checkpoint {number} that you gave is not believed, and proves nothing"),
            (Some(signed), false) => {
                format!("checkpoint {number} that you gave, of size {}: this log does not go on from it", signed.checkpoint.size)
            }
            (Some(signed), true) => {
                let size = signed.checkpoint.size;
                let older = sealed.published.filter(|published| *published > size);
                let older = older.map(|published| format!(" (older: {published} are sealed)")).unwrap_or_default();
                format!(
                    "checkpoint {number} that you gave{older}: the headers of {} are as they were when it was signed; none was \
                     changed, added, removed or put elsewhere since (a header holds the hash of its body)",
                    below(size)
                )
            }
        });
    }
    if !sealed.keys_given {
        lines.push(
            "keys: those that the store lists, which prove nothing against whoever owns the store; give --vkey"
                .to_owned(),
        );
    }
    lines
}

/// Returns the same for a program, a log each.
pub(crate) fn objects(audit: &Audit) -> Vec<Value> {
    let object = |(at, sealed): (usize, &Sealed)| {
        let given: Vec<Value> = sealed
            .given
            .iter()
            .map(|(number, signed, agrees)| {
                json!({ "number": number + 1, "believed": signed.is_some(), "agrees": agrees,
                    "size": signed.as_ref().map(|signed| signed.checkpoint.size),
                    "witnesses": signed.as_ref().map(|signed| signed.witnesses) })
            })
            .collect();
        json!({ "log": audit.past.get(at).map(|(name, _)| name), "published": sealed.published, "kept": sealed.kept,
            "unsealed": entries(audit, at).saturating_sub(sealed.published.unwrap_or(0)), "witnesses": sealed.witnesses,
            "keys": if sealed.keys_given { "given" } else { "of the store" }, "files": sealed.files, "checkpoints": given })
    };
    audit.sealed.iter().enumerate().map(object).collect()
}
