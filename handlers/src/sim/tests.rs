//! A crash and a failure at every call of the reference run, and many runs that a seed draws.
//!
//! `MEDIMG_SIM_SEED=N` runs that seed alone; `MEDIMG_SIM_RUNS=N` runs so many, from `MEDIMG_SIM_FROM`.

use std::time::Instant;

use super::inputs;
use super::model::{judge, story};
use super::scenario::{Job, Simulation, settle};
use super::world::{Call, Crash, Effect, Fate, Plan, World};

/// Seeds that a plain `cargo test` runs; `./test` asks for more.
const RUNS: u64 = 200;
/// Seed of the reference run.
const REFERENCE: u64 = 1;
/// Calls of a trace that a failure shows.
const SHOWN: usize = 60;

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Settles a simulation and claims that all of it is right.
#[track_caller]
fn assert_right(simulation: &mut Simulation, what: &str) {
    let last = settle(simulation);
    let wrong = judge(simulation, &last);
    if !wrong.is_empty() {
        let trace = simulation.world.trace();
        let calls: Vec<String> = trace.iter().map(|call| format!("{call:?}")).collect();
        let shown = if number_from("MEDIMG_SIM_SEED").is_some() { calls.len() } else { SHOWN.min(calls.len()) };
        let (wrong, story) = (wrong.join("\n"), story(simulation).join("\n"));
        panic!("{what}:\n{wrong}\nthe ledger:\n{story}\nthe first calls:\n{}", calls[..shown].join("\n"));
    }
}

fn reference() -> Simulation {
    Simulation::new(REFERENCE, |_| inputs::reference())
}

/// A simulation that its seed decides: up to four lives with faults, then those that settle it.
fn drawn(seed: u64) -> Simulation {
    let mut simulation = Simulation::new(seed, inputs::drawn);
    let world = simulation.world.clone();
    let chance = |most: usize| if world.below(3) == 0 { 0 } else { world.below(most) };
    let plan = Plan::Chances { fail: chance(150), crash: chance(120), stop: chance(60) };
    for number in 0..1 + world.below(4) {
        let job = job(&simulation, &world, number as u64);
        simulation.live(job, plan);
    }
    simulation
}

fn job(simulation: &Simulation, world: &World, number: u64) -> Job {
    let streams = simulation.streams();
    match world.below(8) {
        0 => Job::ProcessTwice,
        1 => Job::Replay(number),
        2 if !streams.is_empty() => Job::PutTwice(streams[world.below(streams.len())]),
        _ => Job::Process,
    }
}

fn traced(seed: u64) -> Vec<Call> {
    let mut simulation = drawn(seed);
    settle(&mut simulation);
    simulation.world.trace()
}

#[test]
fn a_run_without_faults_ends_each_object_as_it_must() {
    let mut simulation = reference();
    let life = simulation.live(Job::Process, Plan::Calm);
    let summary = life.summary.expect("it ends");
    let counts = (summary.delivered, summary.quarantined, summary.failed, summary.pending, summary.unreadable);
    assert_eq!(counts, (4, 7, 1, 0, 0), "{:#?}", life.reports);
    let loads = simulation.world.trace().iter().filter(|call| call.is("ledger load")).count();
    assert_eq!(loads, 0, "each append builds on the receipt of the one before");
    assert_right(&mut simulation, "no fault");
}

#[test]
fn whichever_call_crashes_fails_or_is_stopped_at_every_object_ends_right() {
    let calls = reference().live(Job::Process, Plan::Calm).calls;
    assert!(calls > 100, "{calls} calls");
    let mut fates = vec![Fate::Stop];
    for effect in [Effect::Kept, Effect::NotKept] {
        fates.extend([Fate::Fail(effect), Fate::Crash(Crash::Process, effect), Fate::Crash(Crash::Power, effect)]);
    }
    for fate in &fates {
        for index in 0..calls {
            let mut simulation = reference();
            let life = simulation.live(Job::Process, Plan::At { index, fate: *fate });
            assert!(life.calls > index, "call {index} was made");
            assert_eq!(life.crash.is_some(), matches!(fate, Fate::Crash(..)), "call {index} {fate:?}");
            assert_right(&mut simulation, &format!("call {index} of {calls} {fate:?}"));
        }
    }
    eprintln_once(&format!("{calls} calls of the reference run, each with {} fates", fates.len()));
}

#[test]
fn whatever_a_seed_draws_every_object_ends_right() {
    let began = Instant::now();
    let (from, count) = match number_from("MEDIMG_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (number_from("MEDIMG_SIM_FROM").unwrap_or(1), number_from("MEDIMG_SIM_RUNS").unwrap_or(RUNS)),
    };
    let mut calls = 0;
    for seed in from..from + count {
        let mut simulation = drawn(seed);
        assert_right(&mut simulation, &format!("MEDIMG_SIM_SEED={seed} ./test section simulation"));
        calls += simulation.world.trace().len();
    }
    eprintln_once(&format!("{count} simulations from seed {from}, {calls} calls, {:?}", began.elapsed()));
}

#[test]
fn the_same_seed_gives_the_same_calls() {
    for seed in 1_000_000..1_000_050 {
        let (one, other) = (traced(seed), traced(seed));
        let differs = one.iter().zip(&other).position(|(one, other)| one != other);
        assert!(one == other, "seed {seed}: call {differs:?} differs, of {} and {}", one.len(), other.len());
    }
}

/// Prints a figure for `./test`, which shows what tests print.
#[expect(clippy::print_stderr, reason = "a figure of the test itself")]
fn eprintln_once(line: &str) {
    eprintln!("{line}");
}
