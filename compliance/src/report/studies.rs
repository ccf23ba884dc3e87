//! What became of each study: its objects gathered by the keyed hash that their entries name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::ids;
use ledger::{StreamKey, UtcMillis};
use serde::Serialize;

use super::Funnel;

/// The steps of an object, in order; an object's times stand in this order.
pub(super) const PHASES: [&str; 7] =
    ["received", "ingested", "validated", "deidentified", "delivered", "quarantined", "failed"];
/// More objects than this are not listed one by one.
const OBJECTS_MAX: usize = 400;

/// How an object stands after its last entry in scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has no end yet.
    #[default]
    Open,
    /// The end is that of this phase.
    Ended(Phased),
}

/// A phase, by its place in [`PHASES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phased {
    Received = 0,
    Ingested = 1,
    Validated = 2,
    Deidentified = 3,
    Delivered = 4,
    Quarantined = 5,
    Failed = 6,
}

/// What is kept of one object: below 150 bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    /// Number in the list of studies.
    pub(super) study: Option<u32>,
    /// When each phase was recorded last, in milliseconds.
    at_ms: [Option<u64>; PHASES.len()],
    pub(super) standing: Standing,
    pub(super) modality: Option<&'static str>,
    pub(super) warnings: u64,
    first_leaf: u64,
}

impl Object {
    pub(super) fn new(first_leaf: u64) -> Self {
        Self { first_leaf, ..Self::default() }
    }

    pub(super) fn reach(&mut self, phase: Phased, at: UtcMillis) {
        self.at_ms[phase as usize] = Some(at.unix_ms());
        if matches!(phase, Phased::Delivered | Phased::Quarantined | Phased::Failed) {
            self.standing = Standing::Ended(phase);
        }
    }

    const fn word(&self) -> &'static str {
        match self.standing {
            Standing::Open => "open",
            Standing::Ended(phase) => PHASES[phase as usize],
        }
    }
}

/// A phase of a study.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// `received`, `ingested`, …
    pub phase: &'static str,
    /// How many objects.
    pub objects: u64,
    /// When the first of them reached it.
    pub first: String,
    /// When the last of them reached it.
    pub last: String,
}

/// A study in scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Study {
    /// The keyed hash of the original study, `k1:…`; none for objects whose study was never read.
    pub study: Option<String>,
    /// The new Study Instance UID, once an object has one.
    pub new_uid: Option<String>,
    /// Short name of the new UID.
    pub short_name: Option<String>,
    /// Modalities of its objects.
    pub modalities: BTreeSet<&'static str>,
    /// Objects with an entry in scope.
    pub objects: u64,
    /// Standing of its objects: `delivered`, `quarantined`, `failed`, `open`.
    pub standing: BTreeMap<&'static str, u64>,
    /// Warnings recorded.
    pub warnings: u64,
    /// What happened when.
    pub phases: Vec<Phase>,
}

/// An object in scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectRow {
    /// The stream.
    pub stream: String,
    /// Short name or keyed hash of its study.
    pub study: Option<String>,
    /// Modality.
    pub modality: Option<&'static str>,
    /// `delivered`, `quarantined`, `failed`, `open`.
    pub standing: &'static str,
    /// Warnings recorded.
    pub warnings: u64,
    /// When each phase was recorded last.
    pub times: BTreeMap<&'static str, String>,
}

/// All studies and objects under construction.
#[derive(Debug, Default)]
pub(super) struct Studies {
    pub(super) objects: HashMap<StreamKey, Object>,
    known: HashMap<(u32, [u8; 16]), u32>,
    list: Vec<(ledger::IndexHash, Option<String>)>,
}

impl Studies {
    /// Returns the number of a study.
    pub(super) fn number(&mut self, subject: ledger::IndexHash) -> u32 {
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        *self.known.entry((subject.version, subject.hash)).or_insert_with(|| {
            self.list.push((subject, None));
            next
        })
    }

    /// Notes the new UID of a study.
    pub(super) fn name(&mut self, study: u32, new_uid: &str) {
        if let Some((_, name @ None)) = self.list.get_mut(study as usize) {
            *name = Some(new_uid.to_owned());
        }
    }

    /// Returns the funnel, the studies by first entry, and the objects if they are few.
    pub(super) fn finish(self) -> (Funnel, Vec<Study>, Vec<ObjectRow>) {
        let mut objects: Vec<(StreamKey, Object)> = self.objects.into_iter().collect();
        objects.sort_unstable_by_key(|(_, object)| object.first_leaf);
        let named = |study: &(ledger::IndexHash, Option<String>)| Study {
            study: Some(study.0.to_string()),
            new_uid: study.1.clone(),
            short_name: study.1.as_deref().and_then(ids::short_name),
            ..Study::default()
        };
        let mut sums: Vec<Sum> = self.list.iter().map(|study| Sum::of(named(study))).collect();
        let mut nameless = Sum::of(Study::default());
        let mut funnel = Funnel { objects: objects.len() as u64, ..Funnel::default() };
        for (_, object) in &objects {
            let sum = object.study.and_then(|study| sums.get_mut(study as usize)).unwrap_or(&mut nameless);
            sum.add(object);
            count(&mut funnel, object);
        }
        let few = if objects.len() > OBJECTS_MAX { &[] } else { &objects[..] };
        let rows = few.iter().map(|(stream, object)| {
            let study = object.study.and_then(|study| sums.get(study as usize)).map(|sum| &sum.study);
            let study = study.and_then(|study| study.short_name.clone().or_else(|| study.study.clone()));
            row(*stream, object, study)
        });
        let rows = rows.collect();
        let all = sums.into_iter().chain([nameless]).filter(|sum| sum.study.objects > 0);
        let mut all: Vec<Sum> = all.collect();
        all.sort_by_key(|sum| sum.first_leaf);
        (funnel, all.into_iter().map(Sum::finish).collect(), rows)
    }
}

fn count(funnel: &mut Funnel, object: &Object) {
    let reached = |phase: Phased| u64::from(object.at_ms[phase as usize].is_some());
    funnel.received += reached(Phased::Received);
    funnel.ingested += reached(Phased::Ingested);
    funnel.validated += reached(Phased::Validated);
    funnel.deidentified += reached(Phased::Deidentified);
    funnel.delivered += reached(Phased::Delivered);
    funnel.carried_over += 1 - reached(Phased::Received);
    match object.standing {
        Standing::Open => funnel.open += 1,
        Standing::Ended(Phased::Quarantined) => funnel.quarantined += 1,
        Standing::Ended(Phased::Failed) => funnel.failed += 1,
        Standing::Ended(_) => {}
    }
}

fn row(stream: StreamKey, object: &Object, study: Option<String>) -> ObjectRow {
    let times = PHASES.into_iter().zip(object.at_ms);
    ObjectRow {
        stream: stream.to_string(),
        study,
        modality: object.modality,
        standing: object.word(),
        warnings: object.warnings,
        times: times.filter_map(|(phase, ms)| Some((phase, UtcMillis::from_unix_ms(ms?).to_string()))).collect(),
    }
}

/// A study and the times of its phases.
struct Sum {
    study: Study,
    phases: [Option<(u64, u64, u64)>; PHASES.len()],
    first_leaf: u64,
}

impl Sum {
    const fn of(study: Study) -> Self {
        Self { study, phases: [None; PHASES.len()], first_leaf: u64::MAX }
    }

    fn add(&mut self, object: &Object) {
        self.first_leaf = self.first_leaf.min(object.first_leaf);
        self.study.objects += 1;
        self.study.warnings += object.warnings;
        self.study.modalities.extend(object.modality);
        *self.study.standing.entry(object.word()).or_default() += 1;
        for (phase, ms) in self.phases.iter_mut().zip(object.at_ms) {
            let Some(ms) = ms else { continue };
            let (count, first, last) = phase.unwrap_or((0, ms, ms));
            *phase = Some((count + 1, first.min(ms), last.max(ms)));
        }
    }

    fn finish(mut self) -> Study {
        let time = |ms| UtcMillis::from_unix_ms(ms).to_string();
        let phases = PHASES.into_iter().zip(self.phases).filter_map(|(phase, found)| {
            let (objects, first, last) = found?;
            Some(Phase { phase, objects, first: time(first), last: time(last) })
        });
        self.study.phases = phases.collect();
        self.study
    }
}
