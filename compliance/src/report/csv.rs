//! The events in scope as one flat table, RFC 4180: a header line, then one line an event, in leaf order.
//!
//! A cell that a spreadsheet would take for a formula (it begins with `= + - @`, tab or carriage return) gets an apostrophe in
//! front. No cell holds free text of an object; the guard is for whatever a later version may add.

use domain::events::{self, EventData, ReadError};
use ledger::Header;

use super::fold::action;

/// The columns.
pub const HEADER: &str = "leafindex,recorded_at,stream,seq,event_type,actor,study,outcome,code,detail,size_bytes,sha256,new_study_uid,\
    profile,profile_digest,warnings,decision_id,checkpoint\r\n";

/// Returns the lines of one entry, one an event; `checkpoint` is the size of the one that seals it.
///
/// # Errors
/// A body that this program cannot read.
pub fn lines(leaf_index: u64, header: &Header, body: &str, checkpoint: Option<u64>) -> Result<String, ReadError> {
    let mut text = String::new();
    for event in events::read(body.as_bytes())? {
        let Told { outcome, code, detail, size_bytes, sha256, new_study_uid, profile, profile_digest, warnings } =
            told(&event.data);
        let cells = [
            leaf_index.to_string(),
            header.recorded_at.to_string(),
            header.stream.to_string(),
            header.seq.to_string(),
            event.event_type().to_owned(),
            header.actor.to_string(),
            header.subject.map(|subject| subject.to_string()).unwrap_or_default(),
            outcome.to_owned(),
            code,
            detail,
            size_bytes,
            sha256,
            new_study_uid,
            profile,
            profile_digest,
            warnings,
            header.decision_id.to_string(),
            checkpoint.map(|size| size.to_string()).unwrap_or_default(),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    Ok(text)
}

#[derive(Default)]
struct Told {
    outcome: &'static str,
    code: String,
    detail: String,
    size_bytes: String,
    sha256: String,
    new_study_uid: String,
    profile: String,
    profile_digest: String,
    warnings: String,
}

fn told(data: &EventData) -> Told {
    let nothing = Told::default();
    match data {
        EventData::ObjectReceived(said) => Told {
            outcome: "received",
            size_bytes: said.size_bytes.to_string(),
            sha256: said.sha256.to_string(),
            ..nothing
        },
        EventData::InstanceIngested(said) => Told {
            outcome: "ingested",
            detail: said.modality.map(|modality| modality.as_str().to_owned()).unwrap_or_default(),
            ..nothing
        },
        EventData::InstanceValidated(said) => Told {
            outcome: "validated",
            detail: said.iod.to_string(),
            warnings: said.warnings_total.to_string(),
            ..nothing
        },
        EventData::InstanceDeidentified(said) => Told {
            outcome: "deidentified",
            size_bytes: said.size_bytes.to_string(),
            sha256: said.sha256.to_string(),
            new_study_uid: said.key.new_study_instance_uid().to_owned(),
            profile: format!("{} {}", said.profile, said.edition),
            profile_digest: said.profile_digest.to_string(),
            ..nothing
        },
        EventData::InstanceDelivered(said) => Told {
            outcome: "delivered",
            size_bytes: said.size_bytes.to_string(),
            sha256: said.sha256.to_string(),
            new_study_uid: said.key.new_study_instance_uid().to_owned(),
            ..nothing
        },
        EventData::InstanceQuarantined(said) => {
            Told { outcome: "quarantined", code: said.reason.to_string(), detail: said.detail.to_string(), ..nothing }
        }
        EventData::ProcessingFailed(said) => {
            Told { outcome: "failed", code: said.code.to_string(), detail: said.step.to_string(), ..nothing }
        }
        other => Told { outcome: "act", detail: action(other), ..nothing },
    }
}

/// Returns a cell as RFC 4180 writes it, and as no spreadsheet takes for a formula.
fn quoted(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !cell.contains([',', '"', '\r', '\n']) {
        return cell.to_owned();
    }
    format!("\"{guard}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_are_no_formulas() {
        assert_eq!(quoted("plain 1"), "plain 1");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"so\"\n"), "\"say \"\"so\"\"\n\"");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert!(quoted(formula).starts_with("\"'"), "{formula:?}");
        }
    }
}
