//! The fold: entries in leaf order go in, one at a time, and only counts stay. Memory: the objects, studies and people in
//! scope; never a body.

use std::collections::BTreeMap;

use domain::events::{Event, EventData, HistoryQueried, InstanceDeidentified};
use ledger::{Actor, Frontier, Header, UtcMillis, leaf_hash};
use serde::Serialize;

use super::chain::Chain;
use super::classes::{self, Sums};
use super::controls;
use super::sample::{self, Runs};
use super::studies::{Object, Phased, Standing, Studies};
use super::{
    Access, Deidentification, FORMAT, Finding, Incident, Incidents, Integrity, NOT_SHOWN, ProfileUse, ROWS_MAX,
    ReplayRun, Replays, Report, Scope, Seal, Sealing, Told, Warnings,
};

/// Most distinct codes, people and profiles that are told apart; what comes later counts in the totals only.
const DISTINCT_MAX: usize = 10_000;

/// Takes in the log and gives the report of a scope.
#[derive(Debug)]
pub struct Fold {
    scope: Scope,
    as_of: u64,
    /// Index that the next entry must have.
    next: u64,
    frontier: Option<Frontier>,
    /// A size whose root is wanted, and the root once the log was read so far.
    wanted: Option<(u64, Option<String>)>,
    origin: String,
    chain: Chain,
    in_scope: Runs,
    entries: u64,
    leaves: Option<(u64, u64)>,
    span: Option<(UtcMillis, UtcMillis)>,
    events: BTreeMap<&'static str, u64>,
    studies: Studies,
    sums: Sums,
    attributes: BTreeMap<&'static str, u64>,
    profiles: BTreeMap<(String, String, String), (u64, UtcMillis, UtcMillis)>,
    warnings: Warnings,
    quarantine: Incidents,
    failures: Incidents,
    replays: Replays,
    accesses: BTreeMap<(String, String), (u64, UtcMillis, UtcMillis)>,
}

impl Fold {
    /// Begins a report of the first `as_of` entries; `None` for all.
    pub fn new(scope: Scope, as_of: Option<u64>) -> Self {
        Self {
            scope,
            as_of: as_of.unwrap_or(u64::MAX),
            next: 0,
            frontier: Some(Frontier::new()),
            wanted: None,
            origin: String::new(),
            chain: Chain::new(),
            in_scope: Runs::default(),
            entries: 0,
            leaves: None,
            span: None,
            events: BTreeMap::new(),
            studies: Studies::default(),
            sums: Sums::default(),
            attributes: BTreeMap::new(),
            profiles: BTreeMap::new(),
            warnings: Warnings::default(),
            quarantine: Incidents::default(),
            failures: Incidents::default(),
            replays: Replays::default(),
            accesses: BTreeMap::new(),
        }
    }

    /// Notes on the way which root the first `size` entries have.
    #[must_use]
    pub fn with_root_at(mut self, size: Option<u64>) -> Self {
        self.wanted = size.map(|size| (size, None));
        self
    }

    /// Returns that root, once so many entries were read.
    pub fn root_at(&self) -> Option<&str> {
        self.wanted.as_ref()?.1.as_deref()
    }

    /// Returns the lowest and the highest leaf index in scope so far.
    pub fn leaves(&self) -> Option<(u64, u64)> {
        self.leaves
    }

    /// Takes in the next entry; one beyond the size asked for is passed over. A lower index than before begins anew: the
    /// verification that feeds this may read the store a second time. `events` are those of its body; none where this program
    /// cannot read them, and then the entry counts as an entry only.
    pub fn push(&mut self, leaf_index: u64, header: &Header, events: &[Event]) {
        if leaf_index < self.next {
            let as_of = (self.as_of != u64::MAX).then_some(self.as_of);
            let wanted = self.wanted.as_ref().map(|(size, _)| *size);
            *self = Self::new(self.scope.clone(), as_of).with_root_at(wanted);
        }
        if leaf_index >= self.as_of {
            return;
        }
        let after_gap = leaf_index != self.next;
        self.next = leaf_index + 1;
        match &mut self.frontier {
            Some(frontier) if !after_gap => frontier.push(leaf_hash(&header.render())),
            frontier => *frontier = None,
        }
        if let (Some((size, root)), Some(frontier)) = (&mut self.wanted, &self.frontier)
            && *size == self.next
        {
            *root = Some(frontier.root().base64());
        }
        if self.origin.is_empty() {
            self.origin = header.origin.to_string();
        }
        let in_scope = self.scope.holds(header);
        self.chain.add(leaf_index, header.recorded_at, in_scope, after_gap);
        if !in_scope {
            return;
        }
        self.in_scope.push(leaf_index);
        self.entries += 1;
        self.leaves = Some(self.leaves.map_or((leaf_index, leaf_index), |(first, _)| (first, leaf_index)));
        let at = header.recorded_at;
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        for event in events {
            self.take_in(leaf_index, header, event);
        }
    }

    fn take_in(&mut self, leaf_index: u64, header: &Header, event: &Event) {
        *self.events.entry(event.event_type()).or_default() += 1;
        let at = header.recorded_at;
        if let Actor::Person(person) = &header.actor {
            note(&mut self.accesses, (person.to_string(), action(&event.data)), at);
        }
        let phase = match &event.data {
            EventData::ObjectReceived(_) => Phased::Received,
            EventData::InstanceIngested(_) => Phased::Ingested,
            EventData::InstanceValidated(_) => Phased::Validated,
            EventData::InstanceDeidentified(_) => Phased::Deidentified,
            EventData::InstanceDelivered(_) => Phased::Delivered,
            EventData::InstanceQuarantined(_) => Phased::Quarantined,
            EventData::ProcessingFailed(_) => Phased::Failed,
            _ => return self.take_in_other(header, event),
        };
        let study = header.subject.map(|subject| self.studies.number(subject));
        let object = self.studies.objects.entry(header.stream).or_insert_with(|| Object::new(leaf_index));
        object.study = study.or(object.study);
        object.reach(phase, at);
        let incident = |code: &dyn std::fmt::Display, step: &dyn std::fmt::Display, detail: String| Incident {
            leaf_index,
            recorded_at: at.to_string(),
            stream: header.stream.to_string(),
            study: header.subject.map(|subject| subject.to_string()),
            code: code.to_string(),
            step: step.to_string(),
            detail,
        };
        match &event.data {
            EventData::InstanceIngested(said) => {
                object.modality = said.modality.map(|modality| modality.as_str());
                said.notes.iter().for_each(|code| tally(&mut self.warnings.notes, code.as_str()));
            }
            EventData::InstanceValidated(said) => {
                object.warnings += said.warnings_total;
                self.warnings.total += said.warnings_total;
                self.warnings.objects += u64::from(said.warnings_total > 0);
                said.warnings.iter().for_each(|warning| tally(&mut self.warnings.by_code, warning.code.as_str()));
            }
            EventData::InstanceDeidentified(said) => self.deidentified(said, study, at),
            EventData::InstanceQuarantined(said) => {
                let at = said.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
                add(&mut self.quarantine, incident(&said.reason, &said.step, format!("{}{at}", said.detail)));
            }
            EventData::ProcessingFailed(said) => {
                let detail = format!("{}, attempts: {}", said.kind.word(), said.attempts);
                add(&mut self.failures, incident(&said.code, &said.step, detail));
            }
            _ => {}
        }
    }

    /// What is no phase of an object.
    fn take_in_other(&mut self, header: &Header, event: &Event) {
        match &event.data {
            EventData::ReplayRequested(said) => {
                self.replays.requested += 1;
                self.replays.with_reason += u64::from(said.reason_given);
                tally(&mut self.replays.by_cause, &format!("{}, from {}", spelt(&said.cause), said.from_step));
                if let Some(object) = self.studies.objects.get_mut(&header.stream) {
                    object.standing = Standing::Open;
                }
            }
            EventData::ReplayCompleted(said) if self.replays.completed.len() < ROWS_MAX => {
                self.replays.completed.push(ReplayRun {
                    recorded_at: header.recorded_at.to_string(),
                    streams: said.streams,
                    delivered: said.delivered,
                    quarantined: said.quarantined,
                    failed: said.failed,
                });
            }
            _ => {}
        }
    }

    fn deidentified(&mut self, said: &InstanceDeidentified, study: Option<u32>, at: UtcMillis) {
        if let Some(study) = study {
            self.studies.name(study, said.key.new_study_instance_uid());
        }
        for (letter, count) in said.counts.by_letter() {
            *self.attributes.entry(classes::word(letter)).or_default() += u64::from(count);
        }
        self.sums.add(said.receipt.as_str());
        let profile = (said.profile.to_string(), said.edition.to_string(), said.profile_digest.to_string());
        note(&mut self.profiles, profile, at);
    }

    /// Returns the report. `integrity` is what a verification of the same store found; the sample holds indices and ranks, and
    /// the caller fills in the headers.
    pub fn finish(self, integrity: Integrity, sealing: Sealing) -> Report {
        let (funnel, studies, objects) = self.studies.finish();
        let root = self.frontier.map(|frontier| frontier.root().base64());
        // Of a sound log the verdict is on the entries that the seal counts, however far the log has grown since.
        let (size, beyond) = (self.next, integrity.sound);
        let integrity = Integrity {
            verified: if beyond { size } else { integrity.verified },
            proved_below: integrity.proved_below.min(size),
            ..integrity
        };
        let told = |(actor, action): (String, String), (count, first, last): (u64, UtcMillis, UtcMillis)| Access {
            actor,
            action,
            count,
            first: first.to_string(),
            last: last.to_string(),
        };
        let profiles = self.profiles.into_iter().map(|((profile, edition, digest), (objects, first, last))| {
            ProfileUse { profile, edition, digest, objects, first: first.to_string(), last: last.to_string() }
        });
        let mut report = Report {
            format: FORMAT,
            generator: concat!("medimg ", env!("CARGO_PKG_VERSION")),
            scope: self.scope.told(),
            chain: self.chain.finish(&integrity.findings),
            sample: sample::draw(&self.in_scope, root.clone()),
            seal: Seal { origin: self.origin, size, root },
            integrity,
            sealing,
            entries: self.entries,
            first_recorded_at: self.span.map(|(first, _)| first.to_string()),
            last_recorded_at: self.span.map(|(_, last)| last.to_string()),
            events: self.events.into_iter().map(|(full, count)| (full.to_owned(), count)).collect(),
            funnel,
            studies,
            objects,
            deidentification: Deidentification {
                attributes: self.attributes,
                classes: self.sums.finish(),
                unlisted: self.sums.unlisted,
                profiles: profiles.collect(),
            },
            warnings: self.warnings,
            quarantine: self.quarantine,
            failures: self.failures,
            replays: self.replays,
            accesses: self.accesses.into_iter().map(|(key, seen)| told(key, seen)).collect(),
            controls: Vec::new(),
            not_shown: NOT_SHOWN.to_vec(),
        };
        report.controls = controls::judge(&report);
        report
    }
}

impl Scope {
    /// Whether the entry of this header is in scope.
    pub fn holds(&self, header: &Header) -> bool {
        match self {
            Self::All => true,
            Self::Study { streams, .. } => streams.contains(&header.stream),
            Self::Span { from_ms, to_ms } => (*from_ms..*to_ms).contains(&header.recorded_at.unix_ms()),
        }
    }

    fn told(&self) -> Told {
        let mut told = Told { kind: "all", from: None, to: None, study: None };
        match self {
            Self::All => {}
            Self::Study { subject, .. } => (told.kind, told.study) = ("study", subject.clone()),
            Self::Span { from_ms, to_ms } => {
                let time = |ms: u64| UtcMillis::from_unix_ms(ms).to_string();
                told.kind = "span";
                told.from = (*from_ms > 0).then(|| time(*from_ms));
                told.to = (*to_ms < u64::MAX).then(|| time(*to_ms));
            }
        }
        told
    }
}

impl Finding {
    /// An entry that cannot stand where it does, as the audit of the steps' order says; `why` is a constant sentence.
    pub fn step_order(leaf_index: u64, why: &str) -> Self {
        let meaning = format!("The entry cannot stand there: {why}.");
        Self { code: "step_order".to_owned(), leaf_index: Some(leaf_index), log: None, at_or_after: false, meaning }
    }

    /// The same in another log than the present one.
    #[must_use]
    pub fn of_log(self, log: Option<String>) -> Self {
        Self { log, ..self }
    }
}

impl From<&ledger::verify::Finding> for Finding {
    fn from(found: &ledger::verify::Finding) -> Self {
        let (code, meaning) = (found.code.code().to_owned(), found.code.meaning().to_owned());
        Self { code, meaning, leaf_index: found.leaf_index, log: None, at_or_after: found.at_or_after }
    }
}

fn note<K: Ord>(seen: &mut BTreeMap<K, (u64, UtcMillis, UtcMillis)>, key: K, at: UtcMillis) {
    if seen.len() >= DISTINCT_MAX && !seen.contains_key(&key) {
        return;
    }
    let (count, first, last) = seen.entry(key).or_insert((0, at, at));
    (*count, *first, *last) = (*count + 1, (*first).min(at), (*last).max(at));
}

fn tally(counts: &mut BTreeMap<String, u64>, code: &str) {
    if let Some(count) = counts.get_mut(code) {
        *count += 1;
    } else if counts.len() < DISTINCT_MAX {
        counts.insert(code.to_owned(), 1);
    }
}

fn add(incidents: &mut Incidents, incident: Incident) {
    incidents.total += 1;
    tally(&mut incidents.by_code, &incident.code);
    if incidents.rows.len() < ROWS_MAX {
        incidents.rows.push(incident);
    }
}

/// What a person did: the type without its first word and version, and what a history was about.
pub(super) fn action(data: &EventData) -> String {
    let name = data.event_type().name;
    let name = name.strip_prefix("imaging.").unwrap_or(name);
    match data {
        EventData::HistoryQueried(HistoryQueried { query, .. }) => format!("{name} {}", spelt(query)),
        EventData::ReportExported(said) => format!("{name} {}", spelt(&said.format)),
        _ => name.to_owned(),
    }
}

/// A word of a closed list as events spell it.
fn spelt(word: &impl Serialize) -> String {
    serde_json::to_value(word).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
