//! The frame of `medimg` as a script sees it: exit codes, streams, and that nothing typed leaks.

use std::io::Read as _;
use std::process::{Command, Output, Stdio};

fn medimg(line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_medimg"));
    // The store is a folder that does not exist, so no test depends on the machine.
    command.args(line).env_clear().env("MEDIMG_STORE", "no-such-store");
    command
}

fn run(line: &[&str]) -> (Output, String, String) {
    let output = medimg(line).output().expect("medimg starts");
    let (stdout, stderr) = (output.stdout.clone(), output.stderr.clone());
    (output, String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

#[test]
fn help_is_data_and_a_wrong_line_is_an_error() {
    for line in [["--help"], ["--version"]] {
        let (output, stdout, stderr) = run(&line);
        assert_eq!((output.status.code(), stdout.is_empty(), stderr.is_empty()), (Some(0), false, true));
    }
    for line in [&[][..], &["no-such-verb"], &["config"], &["config", "show", "--no-such-flag"]] {
        let (output, stdout, stderr) = run(line);
        assert_eq!((output.status.code(), stdout.is_empty(), stderr.is_empty()), (Some(2), true, false), "{line:?}");
    }
}

#[test]
fn with_json_an_error_is_one_object_on_standard_error() {
    let (output, stdout, stderr) = run(&["config", "show", "in/DOE^JANE.dcm", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout.is_empty() && stderr.ends_with('\n') && stderr.lines().count() == 1);
    let error: serde_json::Value = serde_json::from_str(&stderr).expect("one JSON object");
    assert_eq!(error["error"]["code"], "usage");
    assert_eq!(error["error"]["exit"], 2);
    assert!(!stderr.contains("DOE"), "what was typed may be a name");
}

#[test]
fn a_reader_that_goes_away_changes_no_exit_code() {
    // Nobody reads a byte: every write meets a closed pipe.
    let mut child =
        medimg(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
    assert_eq!((child.wait().expect("ends").code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_printed_configuration_is_a_valid_configuration() {
    let store = tempfile::tempdir().expect("a temporary folder");
    let (_, printed, _) = run(&["config", "show"]);
    std::fs::write(store.path().join("config.toml"), &printed).expect("written");
    let output = medimg(&["config", "show"]).env("MEDIMG_STORE", store.path()).output().expect("medimg starts");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), printed.as_str()));
}

#[test]
fn the_demo_is_listed_without_a_file_name_in_a_pipe() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = folder.path().join("demo");
    let output = medimg(&["demo", "--write"]).arg(&target).output().expect("medimg starts");
    assert_eq!(output.status.code(), Some(0));
    let listed = String::from_utf8(output.stdout).expect("text");
    assert!(listed.contains("#15") && listed.contains("quarantined: truncated"));
    let mut names = Vec::new();
    for kind in std::fs::read_dir(&target).expect("written") {
        for file in std::fs::read_dir(kind.expect("an entry").path()).expect("a folder") {
            names.push(file.expect("an entry").file_name().into_string().expect("text"));
        }
    }
    assert_eq!(names.len(), 15);
    assert!(names.iter().all(|name| !listed.contains(name.as_str())), "a name may be an identifier");
    let again = medimg(&["demo", "--write"]).arg(&target).output().expect("medimg starts");
    assert_eq!(again.status.code(), Some(2));
}
