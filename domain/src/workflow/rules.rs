//! The rule table: which event starts or resumes the workflow, or calls a person; and how EventBridge gets it.

use serde_json::{Value, json};

use super::Step;
use crate::events::{EventData, ReplayScope, ReviewVerdict, SOURCE};

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Starts the workflow for the event's stream at a step.
    Start {
        /// The step.
        step: Step,
    },
    /// Starts the workflow for the event's stream where the stream stands: the embedded runner asks
    /// `Upload::next_step`; the state machine begins at its first step, and steps that are done answer at once.
    Resume,
    /// Tells an operator.
    Notify,
}

/// One row of the rule table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable name, also the rule's name on the bus and in the configuration.
    pub name: &'static str,
    /// What it is for, one sentence.
    pub description: &'static str,
    /// The event type with its version.
    pub event_type: &'static str,
    /// A field of `data` and the word it must have, if not every event of the type counts.
    pub only: Option<(&'static str, &'static str)>,
    /// What it does.
    pub action: Action,
    /// Whether it is on unless the configuration says otherwise.
    pub enabled: bool,
}

/// The rule table.
pub const RULES: &[Rule] = &[
    Rule {
        name: "object-received",
        description: "An object version exists: process it from the first step.",
        event_type: "imaging.object.received.v1",
        only: None,
        action: Action::Start { step: super::FIRST },
        enabled: true,
    },
    Rule {
        name: "replay-requested",
        description: "An ended stream was reopened: go on at the step that the request names.",
        event_type: "imaging.replay.requested.v1",
        only: Some(("scope", "object")),
        action: Action::Resume,
        enabled: true,
    },
    Rule {
        name: "review-accepted",
        description: "A reviewer released a quarantined object: go on where its stream stands.",
        event_type: "imaging.review.decided.v1",
        only: Some(("verdict", "accepted")),
        action: Action::Resume,
        enabled: true,
    },
    Rule {
        name: "study-completed",
        description: "No object came for the configured time: tell those who wait for the study.",
        event_type: "imaging.study.completed.v1",
        only: None,
        action: Action::Notify,
        enabled: true,
    },
    Rule {
        name: "instance-quarantined",
        description: "An object was refused: tell the operator.",
        event_type: "imaging.instance.quarantined.v1",
        only: None,
        action: Action::Notify,
        enabled: true,
    },
    Rule {
        name: "processing-failed",
        description: "Retries are exhausted or something is broken: call a person.",
        event_type: "imaging.processing.failed.v1",
        only: None,
        action: Action::Notify,
        enabled: true,
    },
];

impl Rule {
    /// Returns the rule of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.name == name)
    }

    /// Whether the rule is about this event; whether it is switched on is the caller's to ask.
    pub fn matches(&self, event: &EventData) -> bool {
        let only = self.only.is_none_or(|(field, word)| word_of(event, field) == Some(word));
        self.event_type == event.event_type().full && only
    }

    fn pattern(&self) -> Value {
        let mut pattern = json!({ "source": [SOURCE], "detail-type": [self.event_type] });
        if let Some((field, word)) = self.only {
            pattern["detail"] = json!({ "data": { field: [word] } });
        }
        pattern
    }

    fn target(&self) -> Value {
        match self.action {
            Action::Start { .. } | Action::Resume => json!({
                "kind": "workflow",
                "input_paths": { "stream_id": "$.detail.subject" },
                "input_template": "{\"stream_id\":<stream_id>}",
            }),
            Action::Notify => json!({
                "kind": "notification",
                "input_paths": { "stream_id": "$.detail.subject", "type": "$.detail-type", "time": "$.detail.time" },
                "input_template": "{\"stream_id\":<stream_id>,\"type\":<type>,\"time\":<time>}",
            }),
        }
    }
}

/// The word of a field that a rule may ask for.
fn word_of(event: &EventData, field: &str) -> Option<&'static str> {
    match (event, field) {
        (EventData::ReplayRequested(said), "scope") => Some(match said.scope {
            ReplayScope::Object => "object",
            ReplayScope::Study => "study",
            ReplayScope::Selection => "selection",
        }),
        (EventData::ReviewDecided(said), "verdict") => Some(match said.verdict {
            ReviewVerdict::Accepted => "accepted",
            ReviewVerdict::Refused => "refused",
        }),
        _ => None,
    }
}

/// How long EventBridge tries to reach a target before the event goes to the dead-letter queue: one day.
const EVENT_AGE_S_MAX: u32 = 86_400;
/// How often it tries; the service's own maximum.
const TARGET_RETRIES_MAX: u32 = 185;

/// Returns `terraform/rules.json`: what Terraform makes the EventBridge rules and targets of.
pub fn render() -> String {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "name": rule.name,
                "description": rule.description,
                "enabled": rule.enabled,
                "event_pattern": rule.pattern(),
                "target": rule.target(),
                "retry_policy": {
                    "maximum_event_age_in_seconds": EVENT_AGE_S_MAX,
                    "maximum_retry_attempts": TARGET_RETRIES_MAX,
                },
                "dead_letter_queue": true,
            })
        })
        .collect();
    super::rendered_text(&json!({ "source": SOURCE, "rules": rules }))
}
