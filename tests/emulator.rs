//! The AWS emulator as `tests/setup/emulator.py` starts it, and the proxy that makes its answers fail.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::medimg::not_run;

/// Where the emulator and its proxy listen.
#[derive(Clone, Debug)]
pub struct Emulator {
    /// Answers as it is.
    pub url: String,
    /// The same through the proxy, on which [`Emulator::fail`] works.
    pub faults_url: String,
    /// The region of everything on it.
    pub region: String,
}

impl Emulator {
    /// Returns the emulator of this run. Without one the test is counted as not run.
    pub fn of_this_run(test: &str) -> Option<Self> {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let found = (read("AWS_ENDPOINT_URL"), read("MEDIMG_FAULTS_URL"), read("AWS_REGION"));
        let (Some(url), Some(faults_url), Some(region)) = found else {
            not_run(test, "no AWS emulator: ./test section aws");
            return None;
        };
        Some(Self { url, faults_url, region })
    }

    /// Returns a name for a table, bucket or bus that no other test of this or an earlier run uses.
    pub fn unique(&self, name: &str) -> String {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        format!("{name}-{}-{}", std::process::id(), since.expect("the clock is right").as_micros() % 1_000_000_000)
    }

    /// Makes calls to one resource (a table, a bucket) fail as the proxy's rule says, until the answer is dropped.
    /// `rule` is the inside of a JSON object.
    #[must_use]
    pub fn fail(&self, resource: &str, rule: &str) -> Failing<'_> {
        self.control("PATCH", &format!(r#"[{{"resource":"{resource}",{rule}}}]"#));
        Failing { emulator: self, resource: resource.to_owned() }
    }

    fn control(&self, method: &str, rules: &str) -> String {
        let address = self.faults_url.strip_prefix("http://").expect("a plain URL").trim_end_matches('/');
        let mut proxy = TcpStream::connect(address).expect("the proxy listens");
        proxy.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let length = rules.len();
        let head = format!("{method} /_microburst/rules HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        write!(proxy, "{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{rules}").expect("sent");
        let mut answer = String::new();
        proxy.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

/// Calls to a resource fail for as long as this lives.
#[derive(Debug)]
pub struct Failing<'e> {
    emulator: &'e Emulator,
    resource: String,
}

impl Failing<'_> {
    /// Returns how many calls the rules of this resource made fail so far.
    pub fn fired(&self) -> u64 {
        let answer = self.emulator.control("GET", "");
        let (_, rules) = answer.split_once("\r\n\r\n").expect("a body");
        let rules: serde_json::Value = serde_json::from_str(rules).expect("JSON");
        let rules = rules.as_array().expect("an array of rules").iter();
        rules.filter(|rule| rule["resource"] == *self.resource).filter_map(|rule| rule["fired_count"].as_u64()).sum()
    }
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        self.emulator.control("DELETE", &format!(r#"[{{"resource":"{}"}}]"#, self.resource));
    }
}
