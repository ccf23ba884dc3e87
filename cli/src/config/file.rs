//! Reads `config.toml`. Strict: a key that is no setting is refused, with the nearest one named.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{SETTINGS, Setting, Value, nearest};
use super::{Origin, Resolved};
use crate::error::Error;
use crate::ui::item::printable;

/// A configuration file of more than this many bytes is refused.
const SIZE_BYTES_MAX: u64 = 64 * 1024;

/// Returns what `config.toml` of the store sets; nothing if there is no such file.
pub(super) fn read(store: &Path) -> Result<Vec<Resolved>, Error> {
    let mut text = String::new();
    match File::open(store.join("config.toml")) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(Error::ConfigUnreadable { cause }),
        Ok(file) => {
            file.take(SIZE_BYTES_MAX + 1)
                .read_to_string(&mut text)
                .map_err(|cause| Error::ConfigUnreadable { cause })?;
        }
    }
    if text.len() as u64 > SIZE_BYTES_MAX {
        return Err(Error::ConfigUnreadable { cause: io::ErrorKind::FileTooLarge.into() });
    }
    parse(&text)
}

/// Returns what the text sets.
pub(super) fn parse(text: &str) -> Result<Vec<Resolved>, Error> {
    let line = |span: Range<usize>| text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1;
    let table = DeTable::parse(text).map_err(|found| Error::ConfigSyntax {
        line: line(found.span().unwrap_or_default()),
        what: printable(found.message()),
    })?;
    let mut found = Vec::new();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().as_ref();
        match value.get_ref() {
            // Settings are one table deep at most, so this is the whole recursion.
            DeValue::Table(inner) if SETTINGS.iter().any(|setting| in_table(setting, name)) => {
                for (key, value) in inner {
                    found.push(resolve(&format!("{name}.{}", key.get_ref()), line(key.span()), value)?);
                }
            }
            _ => found.push(resolve(name, line(key.span()), value)?),
        }
    }
    Ok(found)
}

fn in_table(setting: &Setting, table: &str) -> bool {
    setting.name.split_once('.').is_some_and(|(first, _)| first == table)
}

fn resolve(key: &str, line: usize, value: &Spanned<DeValue<'_>>) -> Result<Resolved, Error> {
    let setting = SETTINGS.iter().find(|setting| setting.name == key).ok_or_else(|| Error::ConfigUnknownKey {
        key: printable(key),
        line,
        nearest: nearest(key),
    })?;
    let origin = Origin::File { line };
    match value_of(value.get_ref()).and_then(|value| setting.form.accept(value)) {
        Some(value) => Ok(Resolved { setting, value, origin }),
        None => {
            Err(Error::ConfigValue { key: setting.name, origin: origin.to_string(), wanted: setting.form.wanted() })
        }
    }
}

fn value_of(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::Boolean(on) => Some(Value::Switch(*on)),
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Number),
        DeValue::String(text) => Some(Value::Text(text.to_string())),
        DeValue::Array(items) => {
            let names: Option<Vec<_>> = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
            names.map(Value::Names)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_with_the_line_they_stand_in() {
        let found = parse("workers = 0x4\n\n[rules]\ndisabled = [\"object-received\"]\nlog.level=\"info\"").map(|_| ());
        assert_eq!(found.expect_err("rules.log is no setting").code(), "config_unknown_key");
        let found =
            parse("workers = 0x4\nlog.level = \"info\"\n\n[rules]\ndisabled = [\"object-received\"]\n").expect("good");
        let told: Vec<_> =
            found.iter().map(|one| format!("{}={} {}", one.setting.name, one.value, one.origin)).collect();
        assert_eq!(
            told,
            [
                "log.level=\"info\" config.toml line 2",
                "rules.disabled=[\"object-received\"] config.toml line 5",
                "workers=4 config.toml line 1",
            ]
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_setting() {
        match parse("# first\nworker = 4") {
            Err(Error::ConfigUnknownKey { key, line: 2, nearest: "workers" }) => assert_eq!(key, "worker"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_or_size_is_refused() {
        for text in ["workers = \"4\"", "workers = 4.0", "workers = -1", "workers = 100000", "rules.disabled = [1]"] {
            assert_eq!(parse(text).expect_err(text).code(), "config_value", "{text}");
        }
    }

    #[test]
    fn broken_toml_is_refused_with_its_line() {
        assert!(matches!(parse("workers = 1\nworkers = 2\n"), Err(Error::ConfigSyntax { line: 2, .. })));
        assert!(matches!(parse("\n\n[log\n"), Err(Error::ConfigSyntax { line: 3, .. })));
    }
}
