//! The options of `medimg history` that choose entries, and the question that they make. What names a person goes into
//! `Phi` at once; a value that is refused is not repeated.

use domain::events::{Code, TYPES};
use domain::ids::{IndexHash, PatientIdentity, StreamId};
use domain::{Phi, Reason};
use handlers::ports::views::Standing;
use handlers::search::{ActorAsked, Question};

use crate::error::Error;
use crate::times::Times;

/// Which entries; conditions are joined by "and"
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which entries (all that are given must hold)")]
pub(super) struct Which {
    /// A study: its original or new Study Instance UID, or the short name that process printed
    #[arg(value_name = "STUDY")]
    study: Option<String>,
    /// A patient: the Patient ID as the objects carry it; hashed, never logged
    #[arg(long, value_name = "ID")]
    patient: Option<String>,
    /// The Issuer of Patient ID, if the objects carry one
    #[arg(long, value_name = "ISSUER", requires = "patient")]
    issuer: Option<String>,
    /// An accession number; hashed, never logged
    #[arg(long, value_name = "NUMBER")]
    accession: Option<String>,
    /// One stream (32 hex digits)
    #[arg(long, value_name = "STREAM", visible_alias = "object")]
    stream: Option<String>,
    /// Objects that stand so: delivered, quarantined (or refused), failed, open; studies: completed; acts: recorded
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Objects that were refused for this reason class, or failed with this code
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Who acted: system:STEP, the hash that history prints (u:k1:…), or the name of a user of this machine
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Event types, such as instance.delivered; several with commas
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    #[command(flatten)]
    times: Times,
    /// The whole log, in its order
    #[arg(long, conflicts_with_all = ["study", "patient", "accession", "stream", "outcome", "reason", "actor", "types"])]
    all: bool,
}

impl Which {
    /// Returns the question.
    ///
    /// # Errors
    /// A usage error for a word that is none of ours.
    pub(super) fn question(&self, now_ms: u64) -> Result<Question, Error> {
        let phi = |text: &String| Phi::new(text.trim().to_owned());
        let range = self.times.range(now_ms)?;
        let texts =
            [&self.study, &self.patient, &self.accession, &self.stream, &self.outcome, &self.reason, &self.actor];
        if texts.iter().all(|text| text.is_none()) && self.types.is_empty() && self.times.is_empty() && !self.all {
            return Err(usage("history was asked about nothing: name a STUDY, a condition, or --all".to_owned(), None));
        }
        let patient = self.patient.as_ref().map(|id| PatientIdentity {
            patient_id: phi(id),
            issuer: self.issuer.as_ref().map_or_else(|| Phi::new(String::new()), phi),
        });
        Ok(Question {
            study: self.study.as_ref().map(phi),
            patient,
            accession: self.accession.as_ref().map(phi),
            stream: self.stream.as_ref().map(|text| StreamId::parse(text).ok_or(Error::StreamForm)).transpose()?,
            standing: self.outcome.as_deref().map(standing).transpose()?,
            why: self.reason.as_deref().map(why).transpose()?,
            actor: self.actor.as_deref().map(actor).transpose()?,
            types: types(&self.types)?,
            from_ms: Some(range.from_ms).filter(|ms| *ms > 0),
            to_ms: Some(range.to_ms).filter(|ms| *ms < u64::MAX),
        })
    }

    /// Returns the options for the command of the next page, without what names a patient or a person: those are to be
    /// written again by whoever has them.
    pub(super) fn again(&self) -> String {
        let mut words = Vec::new();
        let secret = |given: bool, word: &str| given.then(|| word.to_owned());
        words.extend(secret(self.study.is_some(), "STUDY"));
        words.extend(secret(self.patient.is_some(), "--patient ID"));
        words.extend(secret(self.issuer.is_some(), "--issuer ISSUER"));
        words.extend(secret(self.accession.is_some(), "--accession NUMBER"));
        words.extend(self.stream.as_ref().map(|stream| format!("--stream {stream}")));
        words.extend(self.outcome.as_ref().map(|outcome| format!("--outcome {outcome}")));
        words.extend(self.reason.as_ref().map(|reason| format!("--reason {reason}")));
        let actor = self.actor.as_ref().map(|actor| match actor.contains(':') {
            true => format!("--actor {actor}"),
            false => "--actor ACTOR".to_owned(),
        });
        words.extend(actor);
        words.extend((!self.types.is_empty()).then(|| format!("--type {}", self.types.join(","))));
        words.extend(secret(self.times.from.is_some(), "--from TIME"));
        words.extend(secret(self.times.to.is_some(), "--to TIME"));
        words.extend(secret(self.all, "--all"));
        words.join(" ")
    }
}

fn usage(what: String, near: Option<&str>) -> Error {
    Error::Usage { what, near: near.map(str::to_owned) }
}

fn standing(word: &str) -> Result<Standing, Error> {
    let known = || Standing::ALL.map(Standing::word).join(", ");
    Standing::of_word(word).ok_or_else(|| usage(format!("--outcome takes one of {}", known()), None))
}

fn why(word: &str) -> Result<String, Error> {
    let reason = Reason::ALL.iter().find(|reason| reason.code() == word);
    let code = || Code::parse(word).map(|code| code.to_string());
    let refused = || usage("--reason takes a reason class or the code of a failure".to_owned(), None);
    reason.map(|reason| reason.code().to_owned()).or_else(code).ok_or_else(refused)
}

fn actor(text: &str) -> Result<ActorAsked, Error> {
    let spelled = ledger::Actor::parse(text).map(|actor| actor.to_string());
    match spelled {
        Some(actor) => Ok(ActorAsked::Spelled(actor)),
        None if text.starts_with("system:") => {
            Err(usage("--actor takes system:STEP, a hash or a name".to_owned(), None))
        }
        // The hash as it stands in tags.
        None => Ok(match IndexHash::parse(text) {
            Some(hash) => ActorAsked::Spelled(format!("u:{hash}")),
            None => ActorAsked::Person(Phi::new(text.trim().to_owned())),
        }),
    }
}

/// Returns the full types: `instance.delivered` and `imaging.instance.delivered.v1` are the same.
fn types(asked: &[String]) -> Result<Vec<&'static str>, Error> {
    let full = |word: &String| {
        let name = word.strip_prefix("imaging.").unwrap_or(word);
        let fits = |row: &&domain::events::EventType| {
            let short = row.full.strip_prefix("imaging.").unwrap_or(row.full);
            short == name || row.name.strip_prefix("imaging.") == Some(name)
        };
        TYPES.iter().find(fits).map(|row| row.full)
    };
    let refused =
        || usage("--type takes event types such as instance.delivered".to_owned(), Some("instance.delivered"));
    asked.iter().map(|word| full(word).ok_or_else(refused)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_known_with_and_without_its_ends() {
        for word in ["instance.delivered", "imaging.instance.delivered", "instance.delivered.v1"] {
            assert_eq!(types(&[word.to_owned()]).expect(word), ["imaging.instance.delivered.v1"]);
        }
        assert!(types(&["instance.lost".to_owned()]).is_err());
    }

    #[test]
    fn an_actor_is_a_step_a_hash_or_a_name_that_is_not_told() {
        assert!(matches!(actor("system:intake"), Ok(ActorAsked::Spelled(a)) if a == "system:intake"));
        let hash = format!("k1:{}", "ab".repeat(16));
        assert!(matches!(actor(&hash), Ok(ActorAsked::Spelled(a)) if a == format!("u:{hash}")));
        assert_eq!(format!("{:?}", actor("jdoe").expect("a name")), "Person([phi])");
        assert!(actor("system:No Step").is_err());
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        for error in [why("DOE^JANE").expect_err("no"), standing("DOE").expect_err("no")] {
            assert!(!error.told().contains("DOE"), "{}", error.told());
        }
    }
}
