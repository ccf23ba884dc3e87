//! The configuration: embedded defaults, then `config.toml` of the store, then `MEDIMG_*`, then flags; the later wins.
//! Each value knows where it came from.

mod file;
mod settings;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

pub(crate) use settings::{SETTINGS, Setting, Value, edits, variable};

use crate::error::Error;

/// Where the store is when nobody says otherwise.
pub(crate) const STORE_DEFAULT: &str = "./medimg-data";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The program.
    Default,
    /// `config.toml` of the store.
    File {
        /// Line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { line } => write!(f, "config.toml line {line}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A setting with its value.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The setting.
    pub(crate) setting: &'static Setting,
    /// Its value.
    pub(crate) value: Value,
    /// Where that came from.
    pub(crate) origin: Origin,
}

/// A value from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    /// The setting's name.
    pub(crate) setting: &'static str,
    /// The flag: `--workers`.
    pub(crate) flag: &'static str,
    /// The value as text.
    pub(crate) text: String,
}

/// The configuration of one run.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Every setting in the order of the table.
    pub(crate) resolved: Vec<Resolved>,
    /// Environment variables that begin with `MEDIMG_` and are no setting. They are told, not refused: other programs
    /// may use the prefix.
    pub(crate) unknown_variables: Vec<String>,
}

impl Config {
    /// Returns the configuration for a store.
    pub(crate) fn load(
        store: &Path,
        environment: impl Iterator<Item = (OsString, OsString)>,
        flags: &[Flag],
    ) -> Result<Self, Error> {
        let mut resolved = defaults();
        for found in file::read(store)? {
            place(&mut resolved, found);
        }
        let mut unknown_variables = Vec::new();
        for (variable_name, text) in environment {
            let Some(name) = variable_name.to_str().filter(|name| name.starts_with("MEDIMG_")) else { continue };
            match SETTINGS.iter().find(|setting| variable(setting.name) == name) {
                Some(setting) => {
                    let origin = Origin::Environment(name.to_owned());
                    place(&mut resolved, read(setting, text.to_str(), origin)?);
                }
                None if name == STORE_VARIABLE || name == HEADS_VARIABLE => {}
                None => unknown_variables.push(name.to_owned()),
            }
        }
        unknown_variables.sort_unstable();
        for flag in flags {
            let setting = SETTINGS
                .iter()
                .find(|setting| setting.name == flag.setting)
                .expect("flags are declared with the names of settings; a test holds them to it");
            place(&mut resolved, read(setting, Some(&flag.text), Origin::Flag(flag.flag))?);
        }
        Ok(Self { resolved, unknown_variables })
    }

    /// Puts another value in the place of an embedded default; what somebody set stays.
    pub(crate) fn or(mut self, name: &'static str, text: &str) -> Self {
        let slot = self.resolved.iter_mut().find(|one| one.setting.name == name && one.origin == Origin::Default);
        if let Some((slot, value)) = slot.and_then(|slot| Some((&mut slot.value, slot.setting.form.read_text(text)?))) {
            *slot = value;
        }
        self
    }

    /// Returns whether a switch is on.
    pub(crate) fn switch(&self, name: &'static str) -> bool {
        match self.value(name) {
            Value::Switch(on) => *on,
            other => unreachable!("{name} is declared as a switch, not {other}"),
        }
    }

    /// Returns a number.
    pub(crate) fn number(&self, name: &'static str) -> u64 {
        match self.value(name) {
            Value::Number(number) => *number,
            other => unreachable!("{name} is declared as a number, not {other}"),
        }
    }

    /// Returns a word or a name.
    pub(crate) fn text(&self, name: &'static str) -> &str {
        match self.value(name) {
            Value::Text(text) => text,
            other => unreachable!("{name} is declared as text, not {other}"),
        }
    }

    /// Returns a list of names.
    pub(crate) fn names(&self, name: &'static str) -> &[String] {
        match self.value(name) {
            Value::Names(names) => names,
            other => unreachable!("{name} is declared as a list of names, not {other}"),
        }
    }

    fn value(&self, name: &'static str) -> &Value {
        let found = self.resolved.iter().find(|one| one.setting.name == name);
        &found.expect("every setting of the table has a value; callers name settings of the table").value
    }
}

/// The environment variable that names the store.
pub(crate) const STORE_VARIABLE: &str = "MEDIMG_STORE";
/// The environment variable that names the folder of heads.
pub(crate) const HEADS_VARIABLE: &str = "MEDIMG_HEADS";

fn defaults() -> Vec<Resolved> {
    SETTINGS
        .iter()
        .map(|setting| Resolved {
            setting,
            value: setting.form.read_text(setting.default).expect("a test reads every default"),
            origin: Origin::Default,
        })
        .collect()
}

fn read(setting: &'static Setting, text: Option<&str>, origin: Origin) -> Result<Resolved, Error> {
    match text.and_then(|text| setting.form.read_text(text)) {
        Some(value) => Ok(Resolved { setting, value, origin }),
        None => {
            Err(Error::ConfigValue { key: setting.name, origin: origin.to_string(), wanted: setting.form.wanted() })
        }
    }
}

fn place(resolved: &mut [Resolved], found: Resolved) {
    if let Some(slot) = resolved.iter_mut().find(|slot| slot.setting.name == found.setting.name) {
        *slot = found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], flags: &[Flag]) -> Result<Config, Error> {
        let store = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(store.path().join("config.toml"), file).expect("written");
        let environment = environment.iter().map(|(name, text)| (OsString::from(name), OsString::from(text)));
        Config::load(store.path(), environment, flags)
    }

    fn origin(config: &Config, name: &str) -> String {
        let found = config.resolved.iter().find(|one| one.setting.name == name);
        found.map(|one| one.origin.to_string()).expect("a setting")
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let file = "workers = 2\nin_flight_max = 3\nin_flight_mb_max = 32";
        let environment = [("MEDIMG_WORKERS", "4"), ("MEDIMG_IN_FLIGHT_MAX", "5"), ("HOME", "/")];
        let flag = Flag { setting: "workers", flag: "--workers", text: "6".into() };
        let config = load(file, &environment, &[flag]).expect("good");
        let numbers = ["workers", "in_flight_max", "in_flight_mb_max"].map(|name| config.number(name));
        assert_eq!(numbers, [6, 5, 32]);
        assert_eq!(config.text("environment"), "dev");
        assert_eq!(origin(&config, "workers"), "flag --workers");
        assert_eq!(origin(&config, "in_flight_max"), "environment MEDIMG_IN_FLIGHT_MAX");
        assert_eq!(origin(&config, "in_flight_mb_max"), "config.toml line 3");
        assert_eq!(origin(&config, "environment"), "default");
    }

    #[test]
    fn a_store_without_a_file_has_the_defaults() {
        let store = tempfile::tempdir().expect("a temporary folder");
        let config = Config::load(store.path(), std::iter::empty(), &[]).expect("good");
        assert_eq!(config.resolved.len(), SETTINGS.len());
        assert!(!config.switch("accept_pixels"));
    }

    #[test]
    fn a_bad_variable_is_refused_and_an_unknown_one_told() {
        let error = load("", &[("MEDIMG_WORKERS", "many")], &[]).expect_err("no number");
        assert!(error.to_string().contains("MEDIMG_WORKERS") && !error.to_string().contains("many"));
        let config = load("", &[("MEDIMG_WORKRES", "1"), ("MEDIMG_STORE", "x")], &[]).expect("good");
        assert_eq!(config.unknown_variables, ["MEDIMG_WORKRES"]);
    }
}
