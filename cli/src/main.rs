//! `medimg`: the pipeline on one machine, for people and scripts. All printing of the project is in this crate.

mod advice;
mod args;
mod commands;
mod config;
mod demo;
mod error;
mod exit;
mod guard;
mod logs;
mod output;
mod passphrase;
mod person;
mod remedy;
mod run;
mod times;
mod ui;
mod whole;
mod witnesses;

use std::cell::OnceCell;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use args::{Asked, Cli};
use commands::Context;
use error::Error;
use exit::Exit;
use guard::Guard;
use output::{Output, note};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(told_without_payload));
    // A line that cannot be parsed may still say how its error is wanted.
    let json = std::env::args_os().any(|word| word == "--json");
    let done = args::parse(std::env::args_os()).and_then(|asked| match asked {
        Asked::Text(text) => print(&text),
        Asked::Nothing(help) => {
            note(&help);
            Ok(Exit::Usage)
        }
        Asked::Run(cli) => run(&cli),
    });
    done.unwrap_or_else(|error| {
        note(&if json { error.json() } else { error.told() });
        error.exit()
    })
    .into()
}

fn run(cli: &Cli) -> Result<Exit, Error> {
    let output = Output::open(cli.global.json);
    let (store, store_flag) = (cli.global.store(), cli.global.store_flag());
    let (guard, used) = (Guard::of(&store, cli.global.heads(), cli.verb.is_demo()), cli.verb.uses());
    let known = guard.check(used)?;
    let mut context = Context {
        store,
        store_flag,
        guard,
        quiet: cli.global.quiet,
        output,
        program: program(),
        witnesses: OnceCell::new(),
    };
    let exit = cli.verb.run(&mut context);
    // What was recorded is sealed, also where the verb failed; its own error counts more. A store that was put back is not: what
    // would be sealed may have been sealed otherwise.
    let sealed = if known && cli.verb.may_record() { context.guard.seal() } else { Ok(()) };
    if known && sealed.is_ok() && cli.verb.may_record() {
        witnesses::ask_at_end(&context);
    }
    // Whatever became of the verb: what it recorded was seen.
    context.guard.keep(used);
    // What was printed before an error is data too: it goes out first, and the verb's own error counts more.
    let flushed = context.output.flush();
    let exit = exit?;
    flushed.and(sealed).map(|()| exit)
}

/// Returns how a person called this program: `cargo run` names itself in the environment.
fn program() -> String {
    match (std::env::var_os("CARGO"), cfg!(debug_assertions)) {
        (None, _) => "medimg".to_owned(),
        (Some(_), true) => "cargo run --".to_owned(),
        (Some(_), false) => "cargo run --release --".to_owned(),
    }
}

fn print(text: &str) -> Result<Exit, Error> {
    let mut output = Output::open(false);
    output.text(text)?;
    output.flush()?;
    Ok(Exit::Well)
}

/// A panic is a mistake of ours. Its message may hold a value of an object, so only the place is told.
fn told_without_payload(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    note(&format!(
        "error[internal]: the program met a state that must not be{place}\n  \
         next: run the same command; what was recorded stays valid. If it happens again, report the place named here\n"
    ));
}
