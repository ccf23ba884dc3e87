//! The table of all settings: name, what values it takes, the embedded default, and what it is for.

use std::fmt;

use domain::workflow::rules::RULES;
use handlers::witness::client::{Address, WITNESSES_MAX};

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// `true` or `false`.
    Switch,
    /// A whole number between two bounds, both included.
    Number(u64, u64),
    /// One of some words.
    Word(&'static [&'static str]),
    /// A name of 1 to 32 characters `a-z 0-9 -`.
    Name,
    /// A list of names out of those that the function returns.
    Names(fn() -> Vec<&'static str>),
    /// Witnesses, each a URL, a space, and a verifier key of type 4.
    Witnesses,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its dotted name in `config.toml`; the environment variable follows from it.
    pub(crate) name: &'static str,
    /// What values it takes.
    pub(crate) form: Form,
    /// The embedded default, written as in the environment.
    pub(crate) default: &'static str,
    /// What it is for.
    pub(crate) told: &'static str,
}

/// All settings.
pub(crate) static SETTINGS: [Setting; 22] = [
    setting("environment", Form::Name, "dev", "name of the environment, part of the ledger's origin"),
    setting("workers", Form::Number(0, 256), "0", "threads that work on objects; 0 is one per processor"),
    setting(
        "in_flight_max",
        Form::Number(1, 4096),
        "40",
        "objects in flight at once, most of them waiting for the ledger",
    ),
    setting("in_flight_mb_max", Form::Number(1, 65_536), "12", "bytes of objects held in memory at once, in MiB"),
    setting("retry_delay_ms_max", Form::Number(0, 600_000), "500", "longest wait before a step is tried again, in ms"),
    setting("accept_pixels", Form::Switch, "false", "deliver objects whose pixels nobody has judged"),
    setting("copy_raw", Form::Switch, "false", "keep a copy of each original in raw/"),
    setting(
        "study.idle_ms",
        Form::Number(0, 604_800_000),
        "600000",
        "a study is complete when nothing came for so long, in ms",
    ),
    setting(
        "heartbeat.idle_ms",
        Form::Number(0, 604_800_000),
        "3600000",
        "a watch records that the log lives when nothing was recorded for so long, in ms; 0 is never",
    ),
    setting("witnesses", Form::Witnesses, "", "who cosigns the checkpoints of this store: \"URL VKEY\" of each"),
    setting("rules.disabled", Form::Names(rule_names), "", "rules that start nothing"),
    setting("watch.settle_ms", Form::Number(10, 600_000), "2000", "how long a watched file must not change, in ms"),
    setting("watch.rescan_ms", Form::Number(50, 86_400_000), "30000", "time between scans of a watched folder, in ms"),
    setting("limits.object_mb_max", Form::Number(1, 65_536), "65536", "largest object, in MiB"),
    setting("limits.nesting_max", Form::Number(1, 64), "64", "deepest nesting of sequences"),
    setting("limits.elements_max", Form::Number(1_000, 500_000), "500000", "most elements and items of an object"),
    setting("limits.kept_mb_max", Form::Number(1, 16), "16", "most bytes of values kept in memory, in MiB"),
    setting("limits.fragments_max", Form::Number(1, 1_000_000), "1000000", "most fragments of encapsulated pixel data"),
    setting("limits.inflated_mb_max", Form::Number(1, 4_096), "4096", "largest inflated data set, in MiB"),
    setting("limits.inflate_ratio_max", Form::Number(2, 1_032), "250", "largest growth of a deflated data set"),
    setting("log.level", Form::Word(&["error", "warn", "info", "debug", "trace"]), "warn", "what is logged"),
    setting("log.format", Form::Word(&["text", "json"]), "text", "how it is logged, to standard error"),
];

const fn setting(name: &'static str, form: Form, default: &'static str, told: &'static str) -> Setting {
    Setting { name, form, default, told }
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// Of a switch.
    Switch(bool),
    /// Of a number.
    Number(u64),
    /// Of a word or a name.
    Text(String),
    /// Of a list.
    Names(Vec<String>),
}

impl fmt::Display for Value {
    /// Writes the value as TOML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => write!(f, "{on}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Names(names) => {
                let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
                write!(f, "[{}]", quoted.join(", "))
            }
        }
    }
}

impl Form {
    /// Returns the value that text of the environment or of a flag spells; a list has commas between its names.
    pub(crate) fn read_text(self, text: &str) -> Option<Value> {
        let value = match self {
            Self::Switch => Value::Switch(text.parse().ok()?),
            Self::Number(..) => Value::Number(text.parse().ok()?),
            Self::Word(_) | Self::Name => Value::Text(text.to_owned()),
            Self::Names(_) | Self::Witnesses if text.is_empty() => Value::Names(Vec::new()),
            Self::Names(_) | Self::Witnesses => {
                Value::Names(text.split(',').map(|name| name.trim().to_owned()).collect())
            }
        };
        self.accept(value)
    }

    /// Returns the value if it is one that the setting takes.
    pub(crate) fn accept(self, value: Value) -> Option<Value> {
        let good = match (self, &value) {
            (Self::Switch, Value::Switch(_)) => true,
            (Self::Number(least, most), Value::Number(number)) => (least..=most).contains(number),
            (Self::Word(words), Value::Text(text)) => words.contains(&text.as_str()),
            (Self::Name, Value::Text(text)) => is_name(text),
            (Self::Names(known), Value::Names(names)) => {
                let known = known();
                names.len() <= known.len() && names.iter().all(|name| known.contains(&name.as_str()))
            }
            (Self::Witnesses, Value::Names(pairs)) => {
                pairs.len() <= WITNESSES_MAX && pairs.iter().all(|pair| Address::parse(pair).is_some())
            }
            _ => false,
        };
        good.then_some(value)
    }

    /// Returns what the setting takes, for people.
    pub(crate) fn wanted(self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Number(least, most) => format!("a whole number from {least} to {most}"),
            Self::Word(words) => format!("one of: {}", words.join(", ")),
            Self::Name => "a name of 1 to 32 characters a-z, 0-9 and -".to_owned(),
            Self::Witnesses => {
                format!("at most {WITNESSES_MAX} of \"URL VKEY\": http or https, and a verifier key of type 4")
            }
            Self::Names(known) => format!("names out of: {}", known().join(", ")),
        }
    }
}

fn rule_names() -> Vec<&'static str> {
    RULES.iter().map(|rule| rule.name).collect()
}

fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Returns the environment variable of a setting: `MEDIMG_LOG_LEVEL` for `log.level`.
pub(crate) fn variable(name: &str) -> String {
    format!("MEDIMG_{}", name.replace('.', "_").to_ascii_uppercase())
}

/// Returns the setting whose name takes the fewest edits to become `written`.
pub(crate) fn nearest(written: &str) -> &'static str {
    // A key is cut before it is compared: the work is bounded whatever the file holds.
    let written: Vec<char> = written.chars().take(64).collect();
    let distance = |setting: &&Setting| {
        let full = edits(&written, setting.name);
        let last = setting.name.rsplit('.').next().map_or(full, |part| edits(&written, part) + 1);
        full.min(last)
    };
    SETTINGS.iter().min_by_key(distance).map_or("environment", |setting| setting.name)
}

/// Returns the Levenshtein distance.
pub(crate) fn edits(written: &[char], name: &str) -> usize {
    let mut row: Vec<usize> = (0..=written.len()).collect();
    for (index, wanted) in name.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..written.len() {
            let replaced = diagonal + usize::from(written[column] != wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[written.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_its_setting_takes() {
        for setting in &SETTINGS {
            assert!(setting.form.read_text(setting.default).is_some(), "{}", setting.name);
        }
    }

    #[test]
    fn the_nearest_setting_is_found() {
        assert_eq!(nearest("worker"), "workers");
        assert_eq!(nearest("log.levle"), "log.level");
        assert_eq!(nearest("level"), "log.level");
        assert_eq!(nearest("accept-pixels"), "accept_pixels");
    }

    #[test]
    fn bounds_hold_on_both_sides() {
        let form = Form::Number(1, 9);
        assert_eq!(form.read_text("9"), Some(Value::Number(9)));
        for bad in ["0", "10", "-1", "x", "", "1e1"] {
            assert_eq!(form.read_text(bad), None, "{bad}");
        }
        assert_eq!(Form::Name.read_text("Prod"), None);
        let form = Form::Names(rule_names);
        assert_eq!(form.read_text("object-received"), Some(Value::Names(vec!["object-received".into()])));
        assert_eq!(form.read_text("object-received, no-such-rule"), None, "a typing error must not leave a rule on");
    }
}
