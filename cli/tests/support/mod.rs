//! A folder with the demo's files and a store, and calls of `medimg` in it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A temporary folder that holds `in/` (the demo's files) and, once made, `store/`.
pub(crate) struct Place(tempfile::TempDir);

/// A call that is being put together.
pub(crate) struct Call<'p> {
    place: &'p Place,
    command: Command,
}

/// What a call did.
pub(crate) struct Done {
    /// The exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// The lines of standard output that are JSON objects.
    pub(crate) lines: Vec<Value>,
}

#[allow(dead_code, reason = "each test binary has this support whole and uses its part of it")]
impl Place {
    /// Returns a new place.
    pub(crate) fn with_demo() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        assert_eq!(place.run(&["demo", "--write"]).path("in").done().code, 0);
        place
    }

    /// Returns a path in it.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Returns the store's folder, which need not exist.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Begins a call; it runs in the place, on its store.
    pub(crate) fn run(&self, line: &[&str]) -> Call<'_> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medimg"));
        command.args(line).env_clear().env("MEDIMG_STORE", "store").current_dir(self.0.path());
        Call { place: self, command }
    }

    /// Returns outcome and reason of each file of the demo, in walk order.
    pub(crate) fn expected(&self) -> Vec<(Value, Value)> {
        let listed = self.run(&["demo", "--json", "--write"]).path("again").done();
        fs::remove_dir_all(self.path("again")).expect("removed");
        listed.lines.iter().map(|line| (line["expected"].clone(), line["reason"].clone())).collect()
    }

    /// Returns the demo's files, relative to the place, in walk order.
    pub(crate) fn demo_files(&self) -> Vec<String> {
        let below = self.path("");
        let relative = |path: PathBuf| path.strip_prefix(&below).ok().and_then(|path| path.to_str().map(str::to_owned));
        files(&self.path("in")).into_iter().filter_map(relative).collect()
    }

    /// Changes the ledger behind the program's back.
    pub(crate) fn sql(&self, statements: &str) {
        let ledger = rusqlite::Connection::open(self.store().join("ledger.sqlite")).expect("opens");
        ledger.execute_batch(statements).expect("changed");
    }

    /// Returns the original Study Instance UID of the first file below a folder.
    pub(crate) fn original_study(&self, below: &str) -> String {
        let file = files(&self.path(below)).remove(0);
        let object = dicom_object::open_file(file).expect("a file of the demo");
        let uid = object.element_by_name("StudyInstanceUID").expect("a study").to_str().expect("text").into_owned();
        uid.trim_end_matches('\0').to_owned()
    }

    /// Returns what identifies the patients of the demo: values of their files, and the file that is named after one.
    pub(crate) fn identifiers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for file in files(&self.path("in")) {
            found.extend(
                file.file_stem()
                    .and_then(|name| name.to_str())
                    .filter(|n| n.contains('^') || n.contains('_'))
                    .map(str::to_owned),
            );
            let Ok(object) = dicom_object::open_file(&file) else { continue };
            for name in [
                "PatientName",
                "PatientID",
                "AccessionNumber",
                "PatientBirthDate",
                "PatientAddress",
                "ReferringPhysicianName",
                "StudyInstanceUID",
                "SOPInstanceUID",
                "PatientTelephoneNumbers",
            ] {
                let value = object
                    .element_by_name(name)
                    .ok()
                    .and_then(|value| value.to_str().ok().map(|text| text.into_owned()));
                found.extend(value.map(|text| text.trim_end_matches(['\0', ' ']).to_owned()));
            }
        }
        found.retain(|identifier| identifier.len() >= 6);
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort_unstable();
    found
}

#[allow(dead_code, reason = "each test binary has this support whole and uses its part of it")]
impl Call<'_> {
    /// Adds a path below the place.
    pub(crate) fn path(mut self, below: &str) -> Self {
        self.command.arg(OsString::from(self.place.path(below)));
        self
    }

    /// Sets environment variables.
    pub(crate) fn env<const N: usize>(mut self, variables: [(&str, &str); N]) -> Self {
        self.command.envs(variables);
        self
    }

    /// Makes the call and kills it after a while, as a power cut would; whether it had ended by itself.
    #[allow(dead_code, reason = "one of the tests kills")]
    pub(crate) fn killed_after(mut self, wait: std::time::Duration) -> bool {
        let quiet = std::process::Stdio::null;
        let mut child = self.command.stdout(quiet()).stderr(quiet()).spawn().expect("medimg starts");
        std::thread::sleep(wait);
        let ended = child.try_wait().expect("a child of ours").is_some();
        child.kill().expect("killed, or ended");
        child.wait().expect("a child of ours");
        ended
    }

    /// Makes the call.
    pub(crate) fn done(mut self) -> Done {
        let output = self.command.output().expect("medimg starts");
        let (stdout, stderr) =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).into();
        let lines = str::lines(&stdout).filter_map(|line| serde_json::from_str(line).ok()).collect();
        Done { code: output.status.code().expect("it ends by itself"), stdout, stderr, lines }
    }
}

impl Done {
    /// Returns the code of the error that was told, as text or as JSON.
    pub(crate) fn error(&self) -> String {
        let json = str::lines(&self.stderr).filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let code = json.into_iter().find_map(|line| line["error"]["code"].as_str().map(str::to_owned));
        let told = || {
            self.stderr.split_once("error[").and_then(|(_, rest)| rest.split_once(']')).map(|(code, _)| code.to_owned())
        };
        code.or_else(told).unwrap_or_default()
    }
}
