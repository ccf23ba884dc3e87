//! What an event says, in a few words for people.

use domain::events::{
    AccessPurpose, ChangedSetting, Counts, EventData, HistoryQuery, InstanceDeidentified, InstanceIngested,
    InstanceValidated, Intake, ReplayCause, ReportFormat, ReportScope, ReviewVerdict, StudyCompleted,
    VerificationOutcome,
};

/// Returns what happened.
pub(super) fn told(data: &EventData) -> String {
    match data {
        EventData::ObjectReceived(said) => {
            let copied = if said.raw_copied { ", copied" } else { "" };
            format!("received: {} bytes, {}{copied}", grouped(said.size_bytes), intake(said.intake))
        }
        EventData::InstanceIngested(said) => ingested(said),
        EventData::InstanceValidated(said) => validated(said),
        EventData::InstanceQuarantined(said) => {
            let at = said.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
            format!("quarantined: {}, {}{at}", said.reason, said.detail)
        }
        EventData::InstanceDeidentified(said) => deidentified(said),
        EventData::InstanceDelivered(said) => {
            let already = if said.already_present { "; the same bytes were there" } else { "" };
            format!("delivered: {} bytes{already}", grouped(said.size_bytes))
        }
        EventData::ProcessingFailed(said) => {
            format!("failed: {} in {} ({}), tried {}", said.code, said.step, said.kind.word(), times(said.attempts))
        }
        EventData::StudyCompleted(said) => {
            let failed = if said.failed == 0 { String::new() } else { format!("{} failed, ", said.failed) };
            let StudyCompleted { instances, delivered, quarantined, idle_s, .. } = said;
            format!(
                "study completed: {instances} objects, {delivered} delivered, {quarantined} quarantined, {failed}idle for {idle_s} s"
            )
        }
        EventData::StudyReopened(said) => format!("study reopened: it had {} objects", said.instances_before),
        EventData::ReviewDecided(said) => {
            let verdict = match said.verdict {
                ReviewVerdict::Accepted => "accepted",
                ReviewVerdict::Refused => "refused",
            };
            format!("reviewed: {verdict}, about {}", said.about)
        }
        EventData::ReplayRequested(said) => {
            let cause = match said.cause {
                ReplayCause::PixelsAccepted => "its pixels were accepted",
                ReplayCause::FailureRepaired => "the failure was repaired",
                ReplayCause::OperatorAsked => "a person asked",
            };
            match said.streams {
                Some(streams) => format!("replay asked for: {streams} streams, from {} on", said.from_step),
                None => format!("taken up again from {}: {cause}", said.from_step),
            }
        }
        EventData::ReplayCompleted(said) => format!(
            "replay completed: {} streams, {} delivered, {} quarantined, {} failed",
            said.streams, said.delivered, said.quarantined, said.failed
        ),
        EventData::HistoryQueried(said) => {
            let about = match said.query {
                HistoryQuery::Study => "a study",
                HistoryQuery::Patient => "a patient",
                HistoryQuery::Accession => "an accession number",
                HistoryQuery::Object => "an object",
                HistoryQuery::Actor => "what somebody did",
                HistoryQuery::Selection => "a selection",
                HistoryQuery::All => "everything",
            };
            format!("history read: {about}, {} entries as of size {}", said.matched, said.as_of_size)
        }
        EventData::ReportExported(said) => {
            let about = match said.scope {
                ReportScope::All => "everything",
                ReportScope::Study => "a study",
                ReportScope::Span => "a span of time",
                ReportScope::Stream => "a stream",
                ReportScope::Entry => "an entry",
            };
            let made = if said.format == ReportFormat::Proof { "proof" } else { "report" };
            format!("{made} made: {about}, {} bytes, as of size {}", grouped(said.size_bytes), said.as_of_size)
        }
        EventData::ObjectAccessed(said) => {
            let purpose = match said.purpose {
                AccessPurpose::Diff => "to compare it with what was delivered",
            };
            let object = said.object.map(|stream| format!(" {stream}")).unwrap_or_default();
            format!("values of a raw object{object} shown {purpose}")
        }
        EventData::LedgerVerified(said) => match said.outcome {
            VerificationOutcome::Clean => format!("ledger verified: {} entries, nothing found", said.size),
            VerificationOutcome::Findings => {
                format!("ledger verified: {} entries, {} findings", said.size, said.findings)
            }
        },
        EventData::LedgerHeartbeat(said) => format!("the log lives: its newest checkpoint has {} entries", said.size),
        EventData::LedgerRecovered(said) => format!(
            "recovered: goes on after {} entries of the log before, of which {} were seen",
            said.restored_size, said.held_size
        ),
        EventData::SourceForgotten(said) => format!(
            "forgotten: {} places, {} copies and {} notes; {} objects without an end",
            said.sources, said.copies, said.notes, said.unfinished
        ),
        EventData::ConfigChanged(said) => match said.setting {
            ChangedSetting::SigningKey => format!(
                "checkpoints are signed by key {:08x} now, before by {:08x}; both signed that over {} entries",
                said.key_after, said.key_before, said.size
            ),
        },
        EventData::BackupMade(said) => {
            let keys = if said.keys_wrapped { "with the keys" } else { "without keys" };
            let missing = if said.missing == 0 { String::new() } else { format!("; {} objects missing", said.missing) };
            format!("backup made: {} parts, {} entries, {keys}{missing}", said.parts, said.size)
        }
    }
}

const fn intake(intake: Intake) -> &'static str {
    match intake {
        Intake::Process => "named on the command line",
        Intake::Watch => "seen in a watched folder",
        Intake::Http => "sent over HTTP",
        Intake::S3 => "created in the raw bucket",
    }
}

fn ingested(said: &InstanceIngested) -> String {
    let modality = said.modality.map_or("modality not a defined term", |modality| modality.as_str());
    let notes: Vec<_> = said.notes.iter().map(|note| note.as_str()).collect();
    let noted = if notes.is_empty() { String::new() } else { format!("; noted: {}", notes.join(", ")) };
    format!("ingested: {modality}, {} elements{noted}", grouped(said.elements))
}

fn validated(said: &InstanceValidated) -> String {
    let warnings = match said.warnings_total {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        many => format!("{} warnings", grouped(many)),
    };
    format!("validated as {}: {warnings}", said.iod)
}

fn deidentified(said: &InstanceDeidentified) -> String {
    format!("de-identified: {} profile, {}; {}", said.profile, said.edition, actions(&said.counts))
}

/// `removed 12, emptied 3`: the letters of the receipt in words; one that has none stands as it is.
fn actions(counts: &Counts) -> String {
    let told: Vec<_> = counts
        .by_letter()
        .filter(|(_, count)| *count > 0)
        .map(|(letter, count)| {
            let word = match letter {
                'a' => "added".to_owned(),
                'd' => "replaced".to_owned(),
                'k' => "kept".to_owned(),
                'u' => "mapped".to_owned(),
                'x' => "removed".to_owned(),
                'z' => "emptied".to_owned(),
                other => other.to_string(),
            };
            format!("{word} {}", grouped(u64::from(count)))
        })
        .collect();
    if told.is_empty() { "nothing changed".to_owned() } else { told.join(", ") }
}

fn times(attempts: u32) -> String {
    if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") }
}

/// Returns the number with a comma between groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
    }

    #[test]
    fn action_letters_are_told_in_words() {
        let counts = Counts::of(&[('x', 12), ('z', 3), ('u', 1_004), ('k', 0)]).expect("letters");
        assert_eq!(actions(&counts), "mapped 1,004, removed 12, emptied 3");
    }
}
