//! A crash, a failure and a sleep at every call of a reference run, and many runs that a seed draws.
//!
//! `MEDIMG_SIM_SEED=N` runs that seed alone; `MEDIMG_SIM_RUNS=N` runs so many, from `MEDIMG_SIM_FROM`.
#![cfg(test)]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use super::ports::Ports;
use super::world::{Effect, Fate, ORIGIN, Part, Plan, Seeded, World};
use crate::note::{KeyKind, NoteKey};
use crate::seal::{Sealer, Turn};
use crate::{Checkpoint, Origin};

/// Seeds of one run of the tests.
const RUNS: u64 = 300;
/// Steps of one simulation; one that needs more stands still.
const STEPS_MAX: u64 = 400_000;
/// Turns of one life of a sealer.
const TURNS: u32 = 16;
/// Entries where a simulation may begin: around the edges of tiles.
const BEGINNINGS: [u64; 6] = [0, 1, 200, 250, 256, 505];

type Life = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
struct Scene {
    sealers: usize,
    begin: u64,
    appends: u64,
    entries_max: usize,
    plan: Plan,
    /// Whether some sealers have another key, and witnesses sign late.
    keys: bool,
}

fn key(number: u8) -> Arc<NoteKey> {
    Arc::new(NoteKey::from_seed(ORIGIN, KeyKind::Ed25519, &[number; 32]).expect("a key"))
}

fn sealer(ports: &Ports, entries_max: usize) -> Sealer<Ports, Ports, Ports, Ports> {
    let origin = Origin::parse(ORIGIN).expect("an origin");
    Sealer::new(origin, ports.clone(), ports.clone(), ports.clone(), ports.clone()).with_entries_max(entries_max)
}

/// One life of a sealer: turns until it has seen the end a few times.
fn sealing(ports: Ports, scene: Scene) -> Life {
    let total = scene.begin + scene.appends;
    Box::pin(async move {
        let sealer = sealer(&ports, scene.entries_max);
        for _ in 0..TURNS {
            match sealer.turn().await {
                Ok(Turn::Idle(head)) if head.size >= total => return,
                Ok(Turn::Sealed { to, .. }) if scene.keys && to % 2 == 0 => {
                    let witness =
                        NoteKey::from_seed("witness.example/w", KeyKind::Cosignature, &[9; 32]).expect("a key");
                    let kept = ports.world.state().kept.get(&to).cloned();
                    let Some(note) = kept.and_then(|kept| crate::note::Note::parse(&kept).ok()) else { continue };
                    let line = witness.sign(note.text(), 1_795_000_000);
                    let added = sealer.add_signatures(&note, &[line]).await;
                    assert!(added.as_ref().err().is_none_or(crate::seal::SealError::is_transient), "{added:?}");
                }
                Ok(_) => ports.world.pause().await,
                Err(error) => assert!(error.is_transient(), "a false alarm: {error}"),
            }
        }
    })
}

/// Appends entries one by one; one without an answer is appended again, as the ledger's own retry would find it.
fn appending(world: Arc<World>, appends: u64) -> Life {
    Box::pin(async move {
        loop {
            let number = world.state().acknowledged as u64;
            if number >= appends {
                return;
            }
            let done = world.call(0, "append", |state, part| {
                let clock = 1_795_000_000_000 + state.random.below(7_200_000) as i64 - 3_600_000;
                if state.log.len() as u64 == number && part == Part::Whole {
                    state.append(format!("entry {number} at {clock}").into_bytes());
                }
                Ok(())
            });
            if done.await.is_ok() {
                world.state().acknowledged += 1;
            }
            for _ in 0..6 {
                world.pause().await;
            }
        }
    })
}

/// Lets actors go on in the order that the seed draws until all have ended.
fn run(world: &Arc<World>, scene: Scene) {
    let total = scene.begin + scene.appends;
    let number = |actor: usize, life: u64| if scene.keys && (actor as u64 + life).is_multiple_of(3) { 2 } else { 1 };
    let begin = |actor: usize, life: u64| -> Life {
        match actor {
            0 => appending(Arc::clone(world), total),
            _ => sealing(Ports { world: Arc::clone(world), actor, key: key(number(actor, life)) }, scene),
        }
    };
    let mut actors: Vec<Option<Life>> = (0..=scene.sealers).map(|actor| Some(begin(actor, 0))).collect();
    let mut lives = 0;
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let (actor, awake) = {
            let mut state = world.state();
            state.steps += 1;
            assert!(state.steps < STEPS_MAX, "the simulation stands still");
            let actor = usize::try_from(state.random.below(actors.len() as u64)).expect("small");
            let until = state.asleep.get(&actor).copied().unwrap_or(0);
            (actor, until <= state.steps)
        };
        if let (Some(life), true) = (&mut actors[actor], awake)
            && life.as_mut().poll(&mut context).is_ready()
        {
            actors[actor] = None;
        }
        if world.state().stopped.remove(&actor) {
            lives += 1;
            actors[actor] = Some(begin(actor, lives));
        }
        if actors.iter().all(Option::is_none) {
            return;
        }
    }
}

/// Follows a future whose ports let nobody else go on.
fn alone<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut context) = (std::pin::pin!(future), Context::from_waker(Waker::noop()));
    loop {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}

/// Begins a world with entries that are sealed, runs the scene, and claims what holds after one last sealer went through.
fn simulate(seed: u64, scene: Scene) -> Arc<World> {
    let world = Arc::new(World::new(seed));
    {
        let mut state = world.state();
        for number in 0..scene.begin {
            state.append(format!("entry {number}").into_bytes());
        }
        state.acknowledged = state.log.len();
    }
    let last = Ports { world: Arc::clone(&world), actor: 99, key: key(1) };
    let calm = || alone(sealer(&last, 1_000).seal()).expect("without faults everything is sealed");
    calm();
    world.plan(scene.plan);
    run(&world, scene);
    world.plan(Plan::Calm);
    calm();
    world.state().assert_whole();
    // What was left staged goes with the next sealing.
    world.state().append(b"one more".to_vec());
    calm();
    let state = world.state();
    state.assert_whole();
    assert_eq!(state.staged.len(), 1, "bundles are left staged");
    let note = crate::note::Note::parse(state.checkpoint.as_ref().expect("published")).expect("a note");
    let keys = [key(1).verifier().clone()];
    assert!(note.verify(&keys).is_ok(), "the last checkpoint is signed by the key at hand");
    drop(state);
    world
}

/// What a seed draws.
fn drawn(seed: u64) -> Scene {
    let mut random = Seeded(seed ^ 0x5EA1);
    let begin = BEGINNINGS[usize::try_from(random.below(BEGINNINGS.len() as u64)).expect("small")];
    Scene {
        sealers: [1, 2, 2, 4][usize::try_from(random.below(4)).expect("small")],
        begin,
        appends: 1 + random.below(14),
        entries_max: usize::try_from(1 + random.below(7)).expect("small"),
        plan: Plan::Chances { fail: random.below(60), crash: random.below(40), sleep: random.below(60) },
        keys: random.below(4) == 0,
    }
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a scene, and says on a failure how to see it again.
fn told(what: &str, seed: u64, scene: Scene) -> Arc<World> {
    let done = std::panic::catch_unwind(|| simulate(seed, scene));
    done.unwrap_or_else(|_| panic!("{what}: {scene:?}"))
}

const REFERENCE: Scene = Scene { sealers: 1, begin: 254, appends: 5, entries_max: 3, plan: Plan::Calm, keys: false };

#[test]
fn a_crash_a_failure_or_a_sleep_at_every_call_loses_nothing_and_forks_nothing() {
    let world = simulate(1, REFERENCE);
    let calls = world.state().trace.len() as u64;
    let names: std::collections::BTreeSet<_> = world.state().trace.iter().map(|(_, name, _)| *name).collect();
    for name in ["append", "stage", "swap", "write tiles", "sign", "keep", "publish", "drop partials", "unstage"] {
        assert!(names.contains(name), "{name} is among the calls");
    }
    let mut fates = Vec::new();
    for effect in [Effect::Kept, Effect::NotKept] {
        fates.extend([Fate::Fail(effect), Fate::Crash(effect)]);
    }
    fates.extend([true, false].map(|before| Fate::Sleep { steps: 300, before }));
    for sealers in [1, 2, 4] {
        for index in 0..calls {
            for fate in &fates {
                let scene = Scene { sealers, plan: Plan::At { index, fate: *fate }, ..REFERENCE };
                told(&format!("call {index} of {calls}, {sealers} sealers"), index, scene);
            }
        }
    }
    say(&format!("{calls} calls of the reference run, each with {} fates, by 1, 2 and 4 sealers", fates.len()));
}

#[test]
fn whatever_a_seed_draws_everything_is_sealed_once_and_nothing_is_forked() {
    let began = Instant::now();
    let (from, count) = match number_from("MEDIMG_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (number_from("MEDIMG_SIM_FROM").unwrap_or(1), number_from("MEDIMG_SIM_RUNS").unwrap_or(RUNS)),
    };
    let (mut calls, mut lost, mut published) = (0, 0, 0);
    for seed in from..from + count {
        let world = told(&format!("MEDIMG_SIM_SEED={seed} ./test section sealing"), seed, drawn(seed));
        let state = world.state();
        calls += state.trace.len();
        published += state.published;
        lost += state.trace.iter().filter(|(.., fate)| *fate != Fate::Go).count();
    }
    assert!(count < 100 || (lost > 100 && published > count), "{lost} calls went wrong, {published} checkpoints");
    say(&format!(
        "{count} simulations from seed {from}: {calls} calls, {lost} went wrong, {published} checkpoints, {:?}",
        began.elapsed()
    ));
}

#[test]
fn the_same_seed_gives_the_same_calls() {
    for seed in 7_000_000..7_000_020 {
        let [one, other] = [(); 2].map(|()| simulate(seed, drawn(seed)));
        assert!(one.state().trace == other.state().trace, "seed {seed}");
    }
}

#[test]
fn the_claims_of_the_simulation_find_a_fork() {
    let world = World::new(1);
    let mut state = world.state();
    state.append(b"one".to_vec());
    let text =
        Checkpoint { origin: ORIGIN.to_owned(), size: 1, root: crate::RootHash([7; 32]), extensions: Vec::new() };
    let found =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| state.assert_true(&text.to_string(), "signed")));
    assert!(found.is_err());
}

/// Prints a figure for `./test`, which shows what tests print.
#[expect(clippy::print_stderr, reason = "a figure of the test itself")]
fn say(line: &str) {
    eprintln!("{line}");
}
