//! House rules that a machine can check (docs: STYLE). Each rule names the file, the line and what to do instead.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LINE_CHARACTERS_MAX: usize = 140;
const FILE_LINES_MAX: usize = 700;
const DOC_LINES_MAX: usize = 12;
/// Words of other houses that say nothing about a type.
const FORBIDDEN_ENDINGS: [&str; 6] = ["Manager", "Helper", "Helpers", "Util", "Utils", "Impl"];
/// What `domain`, `compliance` and `ledger` without its features may not name: clock, disk, network, runtime, randomness.
const IMPURE: [&str; 8] =
    ["std::fs", "std::net", "std::io::", "std::process", "std::env", "SystemTime::now", "Instant::now", "tokio::"];
/// Who may depend on whom, of our own crates: `cli -> handlers -> compliance -> {domain, ledger}`.
const MAY_DEPEND_ON: [(&str, &[&str]); 6] = [
    ("domain", &[]),
    ("ledger", &[]),
    ("compliance", &["domain", "ledger"]),
    ("handlers", &["domain", "ledger", "compliance"]),
    ("cli", &["domain", "ledger", "compliance", "handlers"]),
    ("tests", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

/// Returns every text file that git knows or would add: relative path and content.
fn files() -> BTreeMap<String, String> {
    let listed = Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output();
    let listed = listed.expect("git lists the files");
    assert!(listed.status.success(), "the tests run in a clone");
    let names = String::from_utf8(listed.stdout).expect("names are text");
    let read = |name: &str| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?));
    let found: BTreeMap<_, _> = names.split('\0').filter(|name| !name.is_empty()).filter_map(read).collect();
    assert!(found.contains_key("Cargo.toml") && found.len() > 30, "only {} files were seen", found.len());
    found
}

/// Returns the Rust files.
fn rust() -> BTreeMap<String, String> {
    files().into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
}

/// Calls `broken` on each line of each file; claims that it finds nothing.
#[track_caller]
fn no_line(files: &BTreeMap<String, String>, broken: impl Fn(&str, &str) -> Option<String>) {
    let mut found = Vec::new();
    for (name, content) in files {
        for (number, line) in content.lines().enumerate() {
            if let Some(why) = broken(name, line) {
                found.push(format!("{name}:{}: {why}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Returns the code of a line: without strings and comments, as far as one line shows.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let (mut in_string, mut before) = (false, ' ');
    for (at, character) in line.char_indices() {
        if !in_string && line[at..].starts_with("//") {
            break;
        }
        if character == '"' && before != '\\' && before != '\'' {
            in_string = !in_string;
        }
        if !in_string {
            code.push(character);
        }
        before = if before == '\\' && character == '\\' { ' ' } else { character };
    }
    code
}

#[test]
fn the_reader_of_lines_tells_code_from_text() {
    assert_eq!(code_of(r#"let a = "b!(\"x\")"; // c!()"#).trim(), r#"let a = ";"#);
    assert_eq!(code_of(r#"call('"', b) // end"#), r#"call('"', b) "#);
}

#[test]
fn lines_are_short_enough_to_read() {
    let long = |_: &str, line: &str| {
        // A literal that says one thing may be as long as it is; what stands around it may not.
        let literal = line.contains("r#\"");
        let length = if literal {
            0
        } else if line.contains('"') {
            code_of(line).chars().count()
        } else {
            line.chars().count()
        };
        (length > LINE_CHARACTERS_MAX).then(|| format!("{length} characters, break it at {LINE_CHARACTERS_MAX}"))
    };
    let written =
        |name: &str| [".rs", ".py", ".toml", ".yml", ".tf"].iter().any(|end| name.ends_with(end)) || name == "test";
    let files = files().into_iter().filter(|(name, _)| written(name) && !name.contains("/facts/")).collect();
    no_line(&files, long);
}

#[test]
fn a_file_has_one_subject_and_ends() {
    let long: Vec<_> = rust()
        .into_iter()
        .filter(|(name, text)| text.lines().count() > FILE_LINES_MAX && !name.contains("/facts/"))
        .collect();
    assert!(
        long.is_empty(),
        "split: {:?}",
        long.iter().map(|(name, text)| (name, text.lines().count())).collect::<Vec<_>>()
    );
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let mut found = Vec::new();
    for (name, text) in rust() {
        let lines = text.lines().take_while(|line| line.starts_with("//!")).count();
        if lines == 0 || lines > DOC_LINES_MAX {
            found.push(format!("{name}: {lines} lines of `//!` at its top, 1 to 5 are right"));
        }
    }
    for (name, text) in files().into_iter().filter(|(name, _)| name.ends_with(".py")) {
        if !text.starts_with("\"\"\"") && !text.starts_with("#!") {
            found.push(format!("{name}: no docstring at its top"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_type_is_named_after_nothing() {
    no_line(&rust(), |_, line| {
        let code = code_of(line);
        let mut words = code
            .split_whitespace()
            .skip_while(|word| !matches!(*word, "struct" | "enum" | "trait" | "type" | "mod"))
            .skip(1);
        let name: String = words.next()?.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let plain = ["util", "utils", "helper", "helpers", "misc", "common"].contains(&name.as_str());
        let bad = plain || FORBIDDEN_ENDINGS.iter().any(|ending| name.ends_with(ending));
        bad.then(|| format!("`{name}` says nothing: name what it does in the field's words"))
    });
}

#[test]
fn nothing_is_left_over() {
    let words = ["dbg!(", "todo!(", "unimplemented!(", "#[ignore", "#![allow(dead_code"];
    no_line(&rust(), |_, line| {
        let code = code_of(line);
        words.iter().find(|word| code.contains(**word)).map(|word| format!("`{word}` is left over"))
    });
    // Put together here, so that this file does not find itself.
    let marks = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "XX".to_owned() + "X:"];
    no_line(&files(), |name, line| {
        let prose = name.ends_with(".md") || name.ends_with(".json");
        marks
            .iter()
            .find(|mark| !prose && line.contains(mark.as_str()))
            .map(|mark| format!("{mark}: do it or say it in an issue"))
    });
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let paths = ["/home/", "/Users/", "/root/", "/work/"];
    // Named in two parts, so that this file does not find itself.
    let hosts = [
        ("crates", ".io"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("registry.npmjs", ".org"),
        ("deb.debian", ".org"),
    ];
    let hosts: Vec<_> = hosts.iter().map(|(name, end)| format!("{name}{end}")).collect();
    let begins = |line: &str, path: &str| {
        let rest = line.split(['"', '\'', '`', ' ', '=', '(']).find_map(|word| word.strip_prefix(path));
        rest.is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
    };
    no_line(&files(), |name, line| {
        if name == "tests/pipeline/tidy.rs" || name.ends_with("Cargo.lock") {
            return None;
        }
        let path = paths.iter().find(|path| begins(line, path)).map(|path| format!("a path of one machine ({path})"));
        path.or_else(|| {
            hosts
                .iter()
                .find(|host| line.contains(host.as_str()))
                .map(|host| format!("the host of a registry ({host})"))
        })
    });
}

#[test]
fn aws_names_stand_in_the_adapters_only() {
    no_line(&rust(), |name, line| {
        let adapter = name.starts_with("ledger/src/dynamodb") || name.starts_with("handlers/src/aws/");
        let code = code_of(line);
        let named =
            ["aws_sdk_", "aws_config", "aws_smithy", "lambda_runtime"].iter().find(|word| code.contains(**word));
        named.filter(|_| !adapter).map(|word| format!("`{word}` belongs into an adapter"))
    });
}

#[test]
fn nothing_pulls_a_crate_of_aws_unless_it_is_asked_for() {
    let tree = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--locked", "--workspace", "--prefix", "none", "--edges", "normal,build,dev"])
        .output()
        .expect("cargo lists the dependencies");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names are text");
    assert!(tree.contains("\ntokio v"), "the tree was read");
    let pulled: Vec<_> = tree.lines().filter(|line| line.starts_with("aws-") || line.starts_with("lambda_")).collect();
    assert!(pulled.is_empty(), "without the features dynamodb and aws: {pulled:?}");
}

/// The lines of a file above its tests, which may do what they like.
fn above_tests(text: &str) -> String {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").map(|line| format!("{line}\n")).collect()
}

#[test]
fn domain_compliance_and_the_bare_ledger_are_pure() {
    let impure_by_feature = ["ledger/src/sqlite", "ledger/src/dynamodb", "ledger/src/faulty", "ledger/src/conformance"];
    let pure = |name: &str| {
        let inside =
            ["domain/src/", "compliance/src/", "ledger/src/"].iter().any(|crate_src| name.starts_with(crate_src));
        inside
            && !impure_by_feature.iter().any(|part| name.starts_with(part))
            && !name.ends_with("/tests.rs")
            && !name.contains("/tests/")
    };
    let files: BTreeMap<_, _> =
        rust().into_iter().filter(|(name, _)| pure(name)).map(|(name, text)| (name, above_tests(&text))).collect();
    assert!(files.len() > 8, "only {} pure files were seen", files.len());
    no_line(&files, |_, line| {
        let code = code_of(line);
        IMPURE
            .iter()
            .find(|word| code.contains(**word))
            .map(|word| format!("`{word}`: bytes, time and keys come in as arguments"))
    });
}

#[test]
fn dependencies_point_one_way() {
    for (member, allowed) in MAY_DEPEND_ON {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).expect("every member has a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
        let ours = ["domain", "ledger", "compliance", "handlers", "medimg"];
        for table in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let named =
                manifest.get(table).and_then(toml::Value::as_table).map(|t| t.keys().cloned().collect::<Vec<_>>());
            for dependency in named.unwrap_or_default() {
                let wrong = dependency != member
                    && ours.contains(&dependency.as_str())
                    && !allowed.contains(&dependency.as_str());
                assert!(!wrong, "{member}/Cargo.toml [{table}]: {dependency} points the wrong way");
            }
        }
    }
}

#[test]
fn shared_versions_are_named_once() {
    for (member, _) in MAY_DEPEND_ON {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).expect("every member has a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{member} obeys the workspace's lints");
        for (name, value) in manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten() {
            let shared = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            assert!(shared, "{member}/Cargo.toml: the version of {name} belongs into the workspace's manifest");
        }
    }
}

#[test]
fn every_test_that_the_compliance_page_names_exists() {
    let page = fs::read_to_string(root().join("docs/COMPLIANCE.md")).expect("the page is there");
    // `path.rs#function`, between backticks.
    let named: Vec<(&str, &str)> = page.split('`').filter_map(|word| word.split_once(".rs#")).collect();
    assert!(named.len() > 20, "only {} tests are named", named.len());
    for (file, function) in named {
        let source = fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_default();
        assert!(source.contains(&format!("fn {function}(")), "docs/COMPLIANCE.md: no test {function} in {file}.rs");
    }
    for row in ["G1", "G2", "G3", "G4", "G5", "G6", "G7"] {
        let line = page.lines().find(|line| line.starts_with(&format!("| {row} |")));
        assert!(line.is_some_and(|line| line.contains(".rs#")), "docs/COMPLIANCE.md: {row} names no test");
    }
}
