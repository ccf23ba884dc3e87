//! `medimg witness`: cosigns the checkpoints of other sites' logs that go on from what it saw before, over HTTP, until a signal ends it.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use handlers::surroundings::System;
use handlers::witness::judge::{LOG_KEYS_MAX, Logs};
use handlers::witness::server::{self, Limits};
use handlers::witness::state::Witness;
use ledger::note::VerifierKey;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::Context;
use crate::config::Config;
use crate::error::Error;
use crate::exit::Exit;
use crate::logs;
use crate::output::note;

/// The list of logs in the witness' folder: a verifier key a line; what begins with `#` is left out.
const LOGS: &str = "logs";
/// Largest list of logs.
const LOGS_BYTES_MAX: u64 = 1 << 20;
/// Threads that wait for the disk on behalf of requests.
const BLOCKING_THREADS_MAX: usize = 16;

/// Be a witness of other sites' logs: cosign their checkpoints, and refuse one that contradicts what was seen
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Speaks C2SP tlog-witness over HTTP/1.1 without TLS: put it behind a proxy that speaks HTTPS. Known logs are those of \
    --log and of the file `logs` in --store, a verifier key a line; several keys of one origin while a log changes its key. \
    Its key is made when it is first started and lies in --store, keys/witness. Never put an older copy of --store back: it would \
    cosign again what contradicts its own cosignatures; make a new witness instead. SIGTERM or SIGINT ends it, what was begun is finished."
)]
pub(crate) struct Args {
    /// Serve at this address: 127.0.0.1:8380; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDR", required_unless_present_any = ["vkey", "evidence"])]
    listen: Option<String>,
    /// Verifier key of a log that is cosigned; may be given again
    #[arg(long, value_name = "VKEY")]
    log: Vec<String>,
    /// Name under which it cosigns, as witness.example.org/w1; fixed at the first start [default: one at random]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print its own verifier key, for those who ask it, and end
    #[arg(long, conflicts_with_all = ["listen", "evidence"])]
    vkey: bool,
    /// Print the notes of logs that contradicted themselves, or were not proved to go on, and end; exit 3 if there are any
    #[arg(long, conflicts_with = "listen")]
    evidence: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config =
        Config::load(&context.store, std::env::vars_os(), &[])?.or("log.level", "info").or("log.format", "json");
    logs::start(&config);
    let witness = Witness::open(&context.store, args.name.as_deref(), known(args, &context.store)?, Box::new(System))?;
    if args.vkey {
        let vkey = witness.verifier().to_string();
        let told = if context.output.json { json!({ "vkey": vkey }).to_string() } else { vkey };
        return context.output.line(told).map(|()| Exit::Well);
    }
    if args.evidence {
        return evidence(&witness, context);
    }
    serve(args.listen.as_deref().unwrap_or_default(), witness, context)
}

/// Returns the logs of the command line and of the list in the folder.
fn known(args: &Args, folder: &Path) -> Result<Logs, Error> {
    let mut logs = Logs::default();
    let unusable = |place: String, why: String| Error::LogKey { place, why };
    let mut add = |place: String, text: &str| {
        let key = VerifierKey::parse(text).map_err(|error| unusable(place.clone(), error.to_string()))?;
        let why = || format!("it signs no checkpoints of a log, or there are more than {LOG_KEYS_MAX}");
        if logs.add(key) { Ok(()) } else { Err(unusable(place, why())) }
    };
    for (number, text) in args.log.iter().enumerate() {
        add(format!("--log, number {}", number + 1), text)?;
    }
    for (number, line) in listed(folder.join(LOGS))?.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            add(format!("the list of logs, line {}", number + 1), line)?;
        }
    }
    Ok(logs)
}

fn listed(path: PathBuf) -> Result<String, Error> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LOGS_BYTES_MAX).read_to_string(&mut text));
    match read {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(text),
        Err(cause) => Err(Error::Read { what: "the list of logs", cause }),
        Ok(_) => Ok(text),
    }
}

fn evidence(witness: &Witness, context: &mut Context) -> Result<Exit, Error> {
    let found = witness.evidence()?;
    for one in &found {
        if context.output.json {
            context.output.object(one)?;
        } else {
            let held = one.held.as_deref().unwrap_or("nothing\n");
            let told = format!("{} {} {}\nheld:\n{held}\nshown:\n{}\n", one.at, one.kind, one.origin, one.shown);
            context.output.text(told)?;
        }
    }
    Ok(if found.is_empty() { Exit::Well } else { Exit::Integrity })
}

fn serve(address: &str, witness: Witness, context: &mut Context) -> Result<Exit, Error> {
    let threads = |cause| Error::Threads { cause };
    // A cosignature takes a tenth of a millisecond, a commit some: one thread serves, a few wait for the disk.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime =
        runtime.enable_io().enable_time().max_blocking_threads(BLOCKING_THREADS_MAX).build().map_err(threads)?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt()).map_err(threads)?, signal(SignalKind::terminate()).map_err(threads)?);
        let (listener, address) = server::listen(address).await.map_err(|cause| Error::Listen { cause })?;
        let (vkey, logs) = (witness.verifier().to_string(), witness.logs());
        if context.output.json {
            context.output.object(&json!({ "listening": address.to_string(), "vkey": vkey, "logs": logs }))?;
        } else {
            context.output.line(format!("listening on {address} as {vkey}, for {logs} logs"))?;
        }
        context.output.flush()?;
        if logs == 0 && !context.quiet {
            note("no log is known yet: name some with --log, or in the file `logs`, and start it again\n");
        }
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        server::serve(listener, Arc::new(witness), Limits::default(), stop).await;
        Ok(Exit::Well)
    })
}
