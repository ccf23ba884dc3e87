//! `medimg` as a user drives it: a store in a temporary folder, the program started by path, what it prints read back.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::objects::Object;

/// Returns the program under test: `MEDIMG_BIN`, else the one that cargo built beside this test.
///
/// # Panics
/// If there is none: then nothing at all would be tested.
pub fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("MEDIMG_BIN") {
        return named.into();
    }
    let test = std::env::current_exe().expect("this test has a path");
    let beside = test.ancestors().nth(2).expect("<target>/<profile>/deps/<test>").join("medimg");
    assert!(beside.is_file(), "build the program first: cargo build --workspace");
    beside
}

/// Returns the folder of shared test material, if it is there; the build never needs it.
pub fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("MEDIMG_SHARED").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// Says that a test could not run: printed, and counted apart by `./test`. The caller returns at once.
pub fn not_run(test: &str, why: &str) {
    let line = format!("test\t{test}\tnot run\t\t{why}\n");
    if let Some(results) = std::env::var_os("TEST_RESULTS") {
        let file = fs::OpenOptions::new().create(true).append(true).open(results);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the results of ./test can be written");
    }
    std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
}

/// What one call of the program did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("standard output is text"),
            stderr: String::from_utf8(output.stderr).expect("standard error is text"),
        }
    }

    /// Returns the items of `process --json`, in the order printed.
    pub fn items(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line.get("item").is_some()).collect()
    }

    /// Returns the items by their number in walk order.
    pub fn by_number(&self) -> BTreeMap<u64, Value> {
        let items = self.items();
        let numbered: BTreeMap<_, _> =
            items.iter().filter_map(|item| Some((item["item"].as_u64()?, item.clone()))).collect();
        assert_eq!(
            numbered.len(),
            items.iter().filter(|i| i["item"].is_u64()).count(),
            "an item was told twice: {self:?}"
        );
        numbered
    }

    /// Returns every line of standard output as JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Returns the error that `--json` puts on standard error.
    pub fn error(&self) -> Value {
        let line = self.stderr.lines().rev().find(|line| line.starts_with("{\"error\"")).unwrap_or_else(|| {
            panic!("no error was told, exit code {:?}: {}{}", self.code, self.stdout, self.stderr);
        });
        serde_json::from_str::<Value>(line).expect("one JSON object")["error"].clone()
    }

    /// Claims the exit code; a failure shows what was printed.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// An entry of an export.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Leaf index, from 0.
    pub leaf_index: u64,
    /// The twelve lines of the header.
    pub header: Vec<String>,
    /// The events.
    pub body: Value,
}

impl Entry {
    /// Returns the stream.
    pub fn stream(&self) -> &str {
        &self.header[2]
    }

    /// Returns the event types without prefix and version: `object.received`.
    pub fn types(&self) -> Vec<&str> {
        self.header[5].split(',').map(short_type).collect()
    }

    /// Returns the actor.
    pub fn actor(&self) -> &str {
        &self.header[8]
    }
}

/// A store of its own, and a folder for inputs beside it; both go with it.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// Makes an empty place.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("medimg-test-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("in")).expect("a folder");
        Self { folder }
    }

    /// Returns the folder that holds store and inputs.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the store's folder; the program makes it.
    pub fn store(&self) -> PathBuf {
        self.root().join("store")
    }

    /// Returns the folder of inputs.
    pub fn inputs(&self) -> PathBuf {
        self.root().join("in")
    }

    /// Writes an input file and returns its path.
    pub fn input(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.inputs().join(name);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
        fs::write(&path, content).expect("an input is written");
        path
    }

    /// Writes `count` CT slices, four to a study, named so that walk order is the order of numbers.
    pub fn ct_slices(&self, count: u32) {
        for number in 0..count {
            self.input(&format!("{number:05}.dcm"), &Object::ct(number / 4, number).file());
        }
    }

    /// Returns a command on this store, with nothing of the surrounding environment but the path.
    pub fn command<A: AsRef<OsStr>>(&self, verb: &str, arguments: &[A]) -> Command {
        let mut command = Command::new(program());
        command.arg(verb).arg("--store").arg(self.store()).args(arguments).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.root()).env("TMPDIR", self.root());
        command
    }

    /// Runs a verb to its end.
    pub fn run<A: AsRef<OsStr>>(&self, verb: &str, arguments: &[A]) -> Ran {
        Ran::of(self.command(verb, arguments).output().expect("the program starts"))
    }

    /// Runs a command made by [`Place::command`] to its end.
    pub fn run_command(&self, mut command: Command) -> Ran {
        Ran::of(command.output().expect("the program starts"))
    }

    /// Processes the inputs with `--json` and further flags.
    pub fn process(&self, flags: &[&str]) -> Ran {
        let mut command = self.command("process", &["--json"]);
        command.args(flags).arg(self.inputs());
        self.run_command(command)
    }

    /// Returns the whole ledger as `export` tells it.
    pub fn entries(&self) -> Vec<Entry> {
        let file = self.root().join("export.ndjson");
        fs::remove_file(&file)
            .or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
            .expect("gone");
        self.run("export", &[OsStr::new("-o"), file.as_os_str()]).ended(0);
        let text = fs::read_to_string(&file).expect("the export is written");
        text.lines().skip(1).map(|line| entry(&serde_json::from_str(line).expect("a line of JSON"))).collect()
    }

    /// Returns the entries of one stream.
    pub fn stream(&self, stream: &Value) -> Vec<Entry> {
        let stream = stream.as_str().expect("the item has a stream");
        self.entries().into_iter().filter(|entry| entry.stream() == stream).collect()
    }

    /// Returns every file below `processed/`: path and content.
    pub fn processed(&self) -> BTreeMap<String, Vec<u8>> {
        files_below(&self.store().join("processed"))
    }

    /// Claims that the store is whole: the ledger verifies, and nothing half written lies about.
    #[track_caller]
    pub fn assert_whole(&self) {
        self.run("verify", &[] as &[&str]).ended(0);
        let staged = files_below(&self.store().join("staging"));
        assert!(staged.is_empty(), "left in staging: {:?}", staged.keys());
    }

    /// Writes the store's configuration, before or between runs.
    pub fn configure(&self, toml: &str) {
        fs::create_dir_all(self.store()).expect("the store's folder");
        fs::write(self.store().join("config.toml"), toml).expect("the configuration is written");
    }
}

fn short_type(full: &str) -> &str {
    let name = full.strip_prefix("imaging.").expect("every type is one of ours");
    name.rsplit_once(".v").expect("every type has a version").0
}

fn entry(line: &Value) -> Entry {
    let header = line["header"].as_str().expect("a header").lines().map(str::to_owned).collect();
    let body = serde_json::from_str(line["body"].as_str().expect("a body")).expect("the body is JSON");
    Entry { leaf_index: line["leafindex"].as_u64().expect("a leaf index"), header, body }
}

/// Returns every file below a folder, by relative path; nothing if the folder is not there.
pub fn files_below(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).expect("it lies below").to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).expect("a readable file"));
            }
        }
    }
    found
}

/// Returns whether the bytes hold the text, in any letter case.
pub fn holds(content: &[u8], text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    content.to_ascii_lowercase().windows(lower.len().max(1)).any(|window| window == lower.as_bytes())
}
