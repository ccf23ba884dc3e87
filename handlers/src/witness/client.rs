//! Asks the witnesses of our own log for cosignatures (C2SP tlog-witness), side by side and within one time limit. What comes back
//! is verified before it is believed; a witness that is away is told and never waited for.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ledger::Checkpoint;
use ledger::note::{KeyKind, Note, SignatureLine, VerifierKey};
use ledger::seal::{Published, consistency_proof};
use ledger::witness::AHEAD_S_MAX;
use tokio::sync::{mpsc, oneshot};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, http::Uri};

use super::request::{AddCheckpoint, size};
use crate::surroundings::Surroundings;

/// Witnesses that one log asks.
pub const WITNESSES_MAX: usize = 16;
/// A witness that is away holds up no checkpoint for longer, and all of them together neither.
pub const WITHIN: Duration = Duration::from_secs(5);
/// A witness that was away or did not cosign is left alone for so long.
pub const REST: Duration = Duration::from_secs(30);
/// Longest URL of a witness.
const URL_BYTES_MAX: usize = 2_048;
/// Largest answer: room for a hundred cosignatures.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;
/// Largest file of sizes.
const MEMORY_BYTES_MAX: u64 = 64 * 1024;

/// A witness of our log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    submit: String,
    key: VerifierKey,
}

impl Address {
    /// Takes the prefix of a witness' URLs, http or https without user, query and fragment, and its key of type 4.
    pub fn new(url: &str, key: VerifierKey) -> Option<Self> {
        let uri: Uri = url.parse().ok().filter(|_| url.len() <= URL_BYTES_MAX)?;
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let plain =
            uri.query().is_none() && !url.contains(['#', '@', ' ']) && uri.host().is_some_and(|host| !host.is_empty());
        let submit = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        (scheme && plain && key.kind() == KeyKind::Cosignature).then_some(Self { submit, key })
    }

    /// Returns the witness that a URL, a space and a verifier key spell.
    pub fn parse(text: &str) -> Option<Self> {
        let (url, key) = text.split_once(' ')?;
        Self::new(url, VerifierKey::parse(key).ok()?)
    }

    fn is_https(&self) -> bool {
        self.submit.starts_with("https:")
    }

    /// Returns its key.
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }
}

/// What became of asking one witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It cosigned; the line verifies over the checkpoint.
    Cosigned(SignatureLine),
    /// It cosigned a later checkpoint of ours already, made by another process meanwhile. Nothing is wrong.
    Overtaken,
    /// It was not asked, because a moment ago it was away or did not cosign.
    Resting,
    /// It could not be reached, or had not answered in time.
    Away(&'static str),
    /// It does not know our log or our key: 403 or 404.
    Unknown(u16),
    /// It answered what the protocol does not allow, or a cosignature that does not verify.
    Wrong(&'static str),
    /// It holds another history of our log: a tree that we do not have, or one from which our proof does not lead on.
    Refused {
        /// The size that it holds, where it said so.
        held: Option<u64>,
    },
}

impl Outcome {
    /// Returns the stable code of what is not well.
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Cosigned(_) | Self::Overtaken | Self::Resting => None,
            Self::Away(_) => Some("witness_away"),
            Self::Unknown(_) => Some("witness_unknown_log"),
            Self::Wrong(_) => Some("witness_answer"),
            Self::Refused { .. } => Some("witness_refuses"),
        }
    }
}

/// In words, for people.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cosigned(_) => f.write_str("it cosigned"),
            Self::Overtaken => f.write_str("it cosigned a later checkpoint already"),
            Self::Resting => f.write_str("it was not asked again so soon"),
            Self::Away(cause) | Self::Wrong(cause) => f.write_str(cause),
            Self::Unknown(status) => write!(f, "it answered {status}: it does not know this log or its key"),
            Self::Refused { held: Some(held) } => {
                write!(f, "it holds another history of this log, cosigned at size {held}")
            }
            Self::Refused { held: None } => f.write_str("it holds another history of this log"),
        }
    }
}

/// What became of asking one witness, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Name of its key.
    pub witness: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// The witnesses of one store.
pub struct Witnesses {
    list: Vec<Address>,
    within: Duration,
    rest: Duration,
    /// Where the sizes are kept between runs. A hint: a wrong one costs a question more.
    file: Option<PathBuf>,
    /// The size that each cosigned last, by verifier key and log.
    sizes: Mutex<BTreeMap<String, u64>>,
    /// Of each in the list: whether it is asked now, and until when it is left alone.
    states: Vec<State>,
    /// Made when the first is asked: reading the certificates of the system takes milliseconds.
    agent: OnceLock<Agent>,
    surroundings: Box<dyn Surroundings>,
}

impl std::fmt::Debug for Witnesses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witnesses").field("list", &self.list).field("within", &self.within).finish_non_exhaustive()
    }
}

/// What is known of a witness besides its address.
#[derive(Debug, Default)]
struct State {
    busy: Arc<AtomicBool>,
    rests_until: Mutex<Option<Instant>>,
}

impl State {
    fn is_resting(&self) -> bool {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    fn rest(&self, rest: Duration) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + rest);
    }
}

/// Lets go of the mark that a witness is being asked, however asking it ends.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What a thread that asks a witness says.
enum News {
    /// It needs the proof from this size.
    Proof(u64, oneshot::Sender<Option<Vec<[u8; 32]>>>),
    /// It has ended.
    Ended(Outcome),
}

type Sender = mpsc::UnboundedSender<(usize, News)>;

impl Witnesses {
    /// Takes up to [`WITNESSES_MAX`] witnesses; sizes are remembered in `file`.
    pub fn new(mut list: Vec<Address>, file: Option<PathBuf>, surroundings: Box<dyn Surroundings>) -> Self {
        list.truncate(WITNESSES_MAX);
        let sizes = Mutex::new(file.as_deref().map(remembered).unwrap_or_default());
        let states = list.iter().map(|_| State::default()).collect();
        Self { list, within: WITHIN, rest: REST, file, sizes, states, agent: OnceLock::new(), surroundings }
    }

    /// Asks within another time, and leaves those alone that were away for another one.
    #[must_use]
    pub fn within(mut self, within: Duration, rest: Duration) -> Self {
        (self.within, self.rest) = (within, rest);
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns their keys.
    pub fn keys(&self) -> Vec<VerifierKey> {
        self.list.iter().map(|address| address.key.clone()).collect()
    }

    /// Asks every witness for a cosignature of a signed checkpoint of the published log. Ends within the limit, also where a
    /// witness does not; may be dropped at any time. In the order of the list; nothing is asked about what is no checkpoint.
    pub async fn ask(&self, note: &Note, published: &dyn Published) -> Vec<Told> {
        let Ok(checkpoint) = Checkpoint::parse(note.text()) else { return Vec::new() };
        let deadline = Instant::now() + self.within;
        let asked = Arc::new(Asked {
            agent: self.agent.get_or_init(|| agent(self.list.iter().any(Address::is_https))).clone(),
            note: note.clone(),
            rendered: note.to_string().into_bytes(),
            size: checkpoint.size,
            deadline,
            now_s: self.surroundings.now_ms() / 1_000,
        });
        let (news, mut heard) = mpsc::unbounded_channel();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; self.list.len()];
        for (place, address) in self.list.iter().enumerate() {
            let first = self.size_of(address, &checkpoint);
            outcomes[place] = self.start(place, first, &asked, &news);
        }
        drop(news);
        // Ends when every thread has ended, and each ends at the deadline.
        while let Some((place, news)) = heard.recv().await {
            match news {
                News::Ended(outcome) => outcomes[place] = Some(outcome),
                // The thread waits for the answer; one that has given up meanwhile needs none.
                News::Proof(old, give) => {
                    give.send(consistency_proof(published, old, checkpoint.size).await.ok()).ok();
                }
            }
        }
        let newest = newest(published).await.unwrap_or(checkpoint.size);
        self.learn(outcomes, &checkpoint, newest)
    }

    /// Asks the witness at this place on a thread of its own; returns what became of it if it is not asked.
    fn start(&self, place: usize, first: u64, asked: &Arc<Asked>, news: &Sender) -> Option<Outcome> {
        let (state, own) = (&self.states[place], std::slice::from_ref(&self.list[place].key));
        // An earlier question, or another process of ours, has its line already.
        if let Some(line) = asked
            .note
            .verify(own)
            .ok()
            .and_then(|_| asked.note.signatures().iter().find(|line| own[0].is_named_by(line)))
        {
            return Some(Outcome::Cosigned(line.clone()));
        }
        // A thread that was left alone by a caller who gave up is still at it.
        if state.is_resting() || state.busy.swap(true, Ordering::AcqRel) {
            return Some(Outcome::Resting);
        }
        let (address, asked, news) = (self.list[place].clone(), Arc::clone(asked), news.clone());
        let busy = Busy(Arc::clone(&state.busy));
        let work = move || {
            let proof = |old| {
                let (give, given) = oneshot::channel();
                news.send((place, News::Proof(old, give))).ok()?;
                given.blocking_recv().ok().flatten()
            };
            let outcome = asked.ask(&address, first, proof);
            drop(busy);
            // Nobody hears it if the caller gave up.
            news.send((place, News::Ended(outcome))).ok();
        };
        let started = thread::Builder::new().name("witness".to_owned()).spawn(work);
        started.err().map(|_| Outcome::Away("no thread could be started"))
    }

    /// Takes from the outcomes what counts for the next question. `newest`: the size of the checkpoint that is published now.
    fn learn(&self, outcomes: Vec<Option<Outcome>>, checkpoint: &Checkpoint, newest: u64) -> Vec<Told> {
        let mut told = Vec::new();
        for ((address, state), outcome) in self.list.iter().zip(&self.states).zip(outcomes) {
            let mut outcome = outcome.unwrap_or(Outcome::Wrong("asking it stopped"));
            match outcome {
                Outcome::Cosigned(_) => self.remember(address, checkpoint, checkpoint.size),
                Outcome::Refused { held: Some(held) } if held > checkpoint.size && held <= newest => {
                    self.remember(address, checkpoint, held);
                    outcome = Outcome::Overtaken;
                }
                Outcome::Resting => {}
                _ => state.rest(self.rest),
            }
            told.push(Told { witness: address.key.name().to_owned(), outcome });
        }
        self.write();
        told
    }

    /// The size to begin with; never above that of the checkpoint, which would be refused as no request.
    fn size_of(&self, address: &Address, checkpoint: &Checkpoint) -> u64 {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.get(&place_of(address, checkpoint)).copied().unwrap_or(0).min(checkpoint.size)
    }

    fn remember(&self, address: &Address, checkpoint: &Checkpoint, size: u64) {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        // Sizes of logs before a recovery and of witnesses that are asked no more are of no use.
        sizes.retain(|place, _| self.list.iter().any(|address| *place == place_of(address, checkpoint)));
        sizes.insert(place_of(address, checkpoint), size);
    }

    /// Keeps the sizes. A hint that is not kept costs one question more, so a failure is nobody's concern.
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = write(file, &sizes) {
            tracing::debug!(kind = %error.kind(), "the sizes that witnesses cosigned were not kept");
        }
    }
}

fn place_of(address: &Address, checkpoint: &Checkpoint) -> String {
    format!("{} {}", address.key, checkpoint.origin)
}

fn remembered(file: &std::path::Path) -> BTreeMap<String, u64> {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(MEMORY_BYTES_MAX).read_to_string(&mut text));
    let line = |line: &str| {
        let (place, number) = line.rsplit_once(' ')?;
        Some((place.to_owned(), size(number.as_bytes())?))
    };
    read.map(|_| text.lines().filter_map(line).collect()).unwrap_or_default()
}

fn write(path: &std::path::Path, sizes: &BTreeMap<String, u64>) -> io::Result<()> {
    let next = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    let text: String = sizes.iter().map(|(place, size)| format!("{place} {size}\n")).collect();
    file.write_all(text.as_bytes()).and_then(|()| fs::rename(&next, path)).inspect_err(|_| drop(fs::remove_file(&next)))
}

/// The size of the checkpoint that is published now; by another process of ours it may be a later one.
async fn newest(published: &dyn Published) -> Option<u64> {
    let bytes = published.checkpoint().await.ok().flatten()?;
    Some(Checkpoint::parse(Note::parse(&bytes).ok()?.text()).ok()?.size)
}

/// What witnesses are asked.
struct Asked {
    agent: Agent,
    note: Note,
    rendered: Vec<u8>,
    size: u64,
    deadline: Instant,
    now_s: u64,
}

impl Asked {
    /// Asks with the size that we remember and, if it holds another one, once more with that.
    fn ask(&self, address: &Address, first: u64, proof: impl Fn(u64) -> Option<Vec<[u8; 32]>>) -> Outcome {
        let mut old = first;
        for _ in 0..2 {
            let Some(proof) = proof(old) else { return Outcome::Away("our own tiles could not be read") };
            let (status, kind, body) = match self.post(address, old, proof) {
                Ok(answer) => answer,
                Err(cause) => return Outcome::Away(cause),
            };
            match status {
                200 => return self.cosignature(address, &body),
                403 | 404 => return Outcome::Unknown(status),
                422 => return Outcome::Refused { held: Some(old) },
                // The answer of a proxy in between says nothing of a size.
                409 if kind != "text/x.tlog.size" => return Outcome::Wrong("a conflict without the type of a size"),
                409 => match body.strip_suffix(b"\n").and_then(size) {
                    None => return Outcome::Wrong("a conflict without a size"),
                    // It held what we believed it to hold, so it is the root that differs.
                    Some(held) if held == old || held > self.size => return Outcome::Refused { held: Some(held) },
                    Some(held) => old = held,
                },
                500..=599 => return Outcome::Away("it answered that it cannot answer"),
                _ => return Outcome::Wrong("a status that the protocol does not know"),
            }
        }
        Outcome::Away("another size was held each time")
    }

    fn post(&self, to: &Address, old_size: u64, proof: Vec<[u8; 32]>) -> Result<(u16, String, Vec<u8>), &'static str> {
        let body = AddCheckpoint { old_size, proof, note: &self.rendered }.render();
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("it had not answered in time");
        }
        let post = self.agent.post(&to.submit).config().timeout_global(Some(left)).build();
        let mut answer = post.content_type("text/plain").send(&body[..]).map_err(|error| cause(&error))?;
        let kind =
            answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let read = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        Ok((answer.status().as_u16(), kind, read.map_err(|error| cause(&error))?))
    }

    /// Takes the line of this witness out of the answer, if it verifies. Lines of others are left out.
    fn cosignature(&self, address: &Address, body: &[u8]) -> Outcome {
        let lines = std::str::from_utf8(body).unwrap_or_default().lines();
        let line = lines.filter_map(|line| SignatureLine::parse(line).ok()).find(|line| address.key.is_named_by(line));
        let Some(line) = line else { return Outcome::Wrong("no cosignature of its key") };
        let note = Note::new(self.note.text().to_owned(), vec![line.clone()]);
        let verified = note.and_then(|note| Ok(note.verify(std::slice::from_ref(&address.key))?[0].at_s));
        match verified {
            Ok(Some(at_s)) if at_s <= self.now_s.saturating_add(AHEAD_S_MAX) => Outcome::Cosigned(line),
            Ok(_) => Outcome::Wrong("a cosignature from the future"),
            Err(_) => Outcome::Wrong("a cosignature that does not verify"),
        }
    }
}

fn cause(error: &ureq::Error) -> &'static str {
    match error {
        ureq::Error::Timeout(_) => "it had not answered in time",
        ureq::Error::HostNotFound => "its name is not known",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "its certificate or its TLS is not accepted",
        // What TLS refuses while a connection is made comes as this kind.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            "its certificate or its TLS is not accepted"
        }
        ureq::Error::BodyExceedsLimit(_) => "its answer is too long",
        _ => "no connection to it, or the connection broke",
    }
}

/// Makes the client. Proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`); certificates those
/// that the system trusts (`SSL_CERT_FILE`, `SSL_CERT_DIR`), so that the authority of a hospital's own network counts.
fn agent(with_tls: bool) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(ANSWER_BYTES_MAX as usize)
        .user_agent("medimg");
    if with_tls {
        let roots: Vec<_> = rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|one| Certificate::from_der(one).to_owned())
            .collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots)));
        config = config.tls_config(tls.unversioned_rustls_crypto_provider(provider).build());
    }
    config.build().new_agent()
}
