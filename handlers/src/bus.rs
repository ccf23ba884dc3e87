//! `Bus`: the in-process twin of the event bus. It holds the rule table and says what an event sets in motion.

use std::collections::BTreeSet;

use domain::events::EventData;
use domain::workflow::Step;
use domain::workflow::rules::{Action, RULES, Rule};

use crate::error::{Error, Result};

/// The rules, each on or off.
#[derive(Clone, Debug, Default)]
pub struct Bus {
    off: BTreeSet<&'static str>,
}

impl Bus {
    /// Returns the bus with the table's rules, those named in `off` switched off.
    ///
    /// # Errors
    /// `unknown_rule` for a name that the table does not have: a typing error must not leave a rule on.
    pub fn new<'a>(off: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut bus = Self::default();
        bus.off.extend(RULES.iter().filter(|rule| !rule.enabled).map(|rule| rule.name));
        for name in off {
            let known = || RULES.iter().map(|rule| rule.name).collect::<Vec<_>>().join(", ");
            let rule = Rule::named(name).ok_or_else(|| {
                Error::damaged(
                    "unknown_rule",
                    format!("switch off a rule that does not exist; the rules are {}", known()),
                    None,
                )
            })?;
            bus.off.insert(rule.name);
        }
        Ok(bus)
    }

    /// Returns the rules that this event sets off, in the order of the table.
    pub fn matches(&self, event: &EventData) -> impl Iterator<Item = &'static Rule> {
        RULES.iter().filter(|rule| rule.matches(event) && !self.off.contains(rule.name))
    }

    /// Returns the step at which this event sets the work off, on a stream whose next step is `due`; none if no rule that
    /// is on starts or resumes anything.
    pub fn begins(&self, event: &EventData, due: Option<Step>) -> Option<Step> {
        self.matches(event).fold(None, |begun, rule| match rule.action {
            Action::Start { step } => begun.or(Some(step)),
            Action::Resume => begun.or(due),
            Action::Notify => begun,
        })
    }
}
