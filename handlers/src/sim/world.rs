//! The seed and all that follows from it: the fate of every call, the length of every wait, the clock, the random bytes.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::dicom::testkit::Random;
use futures::FutureExt;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::surroundings::Surroundings;

/// The simulated year begins here.
const EPOCH_MS: u64 = 1_795_000_000_000;
const HOUR_MS: i64 = 3_600_000;
/// No wait of a call is longer: long enough that any two calls can change places.
const WAIT_MS_MAX: usize = 24;

/// Whether a call that fails did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Kept,
    NotKept,
}

/// What stops when something stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// `kill -9`: what was written stays, synced or not.
    Process,
    /// The power: of what was not synced, any part may be gone.
    Power,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Go,
    Fail(Effect),
    Crash(Crash, Effect),
    /// Somebody asks the run to stop (SIGTERM) while the call is made; it succeeds.
    Stop,
    /// The process is gone already: the call never answers.
    Dead,
}

/// Which calls go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    /// None.
    Calm,
    /// Call number `index` of this life of the process, from 0.
    At { index: u64, fate: Fate },
    /// Each with these chances in 10,000.
    Chances { fail: usize, crash: usize, stop: usize },
}

/// One call as the trace tells it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    at_ms: u64,
    name: &'static str,
    about: u32,
    fate: Fate,
}

impl Call {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} {:<16} {:08x} {:?}", self.at_ms, self.name, self.about, self.fate)
    }
}

struct State {
    random: Random,
    plan: Plan,
    calls: u64,
    fate: Option<Crash>,
    trace: Vec<Call>,
    began: Instant,
    clock_ms: u64,
    jump_ms: i64,
    jumps: bool,
}

/// The world of one simulation. It outlives the processes in it.
pub(super) struct World {
    state: Mutex<State>,
    crashed: Notify,
    stop_asked: Notify,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            random: Random::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x6d65_6469_6d67),
            plan: Plan::Calm,
            calls: 0,
            fate: None,
            trace: Vec::new(),
            began: Instant::now(),
            clock_ms: EPOCH_MS,
            jump_ms: 0,
            jumps: false,
        };
        Self { state: Mutex::new(state), crashed: Notify::new(), stop_asked: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins another life of the process, inside the runtime that it will live in. The numbers of calls begin anew.
    pub(super) fn begin(&self, plan: Plan, jumps: bool) {
        // What was told to the last life is not for this one.
        for told in [&self.crashed, &self.stop_asked] {
            told.notified().now_or_never();
        }
        let mut state = self.state();
        (state.plan, state.calls, state.fate) = (plan, 0, None);
        state.jumps = jumps;
        state.began = Instant::now();
    }

    /// Ends a life: the clock stands where it stood.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.clock_ms += state.elapsed_ms() + 1_000;
        state.plan = Plan::Calm;
    }

    /// Returns a number below `bound`.
    pub(super) fn below(&self, bound: usize) -> usize {
        self.state().random.below(bound)
    }

    /// Returns how many calls this life made, and how it was stopped, if it was.
    pub(super) fn life(&self) -> (u64, Option<Crash>) {
        let state = self.state();
        (state.calls, state.fate)
    }

    /// Returns every call of the simulation, in order.
    pub(super) fn trace(&self) -> Vec<Call> {
        self.state().trace.clone()
    }

    /// Whether the process is gone: then nothing that is still dropped has any effect.
    pub(super) fn is_dead(&self) -> bool {
        self.state().fate.is_some()
    }

    pub(super) async fn crashed(&self) {
        self.crashed.notified().await;
    }

    pub(super) async fn stop_asked(&self) {
        self.stop_asked.notified().await;
    }

    /// Decides on a call, without any wait. A call that is to crash is told so before it acts; it acts and then [`World::die`]s.
    pub(super) fn fate(&self, name: &'static str, about: u32) -> Fate {
        let mut state = self.state();
        if state.fate.is_some() {
            return Fate::Dead;
        }
        let index = state.calls;
        state.calls += 1;
        let fate = match state.plan {
            Plan::Calm => Fate::Go,
            Plan::At { index: at, fate } if at == index => fate,
            Plan::At { .. } => Fate::Go,
            Plan::Chances { fail, crash, stop } => state.chance(fail, crash, stop),
        };
        let at_ms = state.elapsed_ms();
        state.trace.push(Call { at_ms, name, about, fate });
        if fate == Fate::Stop {
            self.stop_asked.notify_one();
            return Fate::Go;
        }
        fate
    }

    /// Waits a while, then decides on a call.
    pub(super) async fn call(&self, name: &'static str, about: u32) -> Fate {
        self.pause().await;
        self.fate(name, about)
    }

    /// Waits for as long as the seed says; often not at all.
    pub(super) async fn pause(&self) {
        let wait = {
            let random = &mut self.state().random;
            if random.below(2) == 0 { 0 } else { random.below(WAIT_MS_MAX) as u64 }
        };
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    /// Stops the process: from here on no call has an effect.
    pub(super) fn die(&self, crash: Crash) {
        self.state().fate.get_or_insert(crash);
        self.crashed.notify_one();
    }

    /// What a call of a process that is gone answers: nothing.
    pub(super) async fn never<T>(&self) -> T {
        std::future::pending().await
    }
}

impl State {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn chance(&mut self, fail: usize, crash: usize, stop: usize) -> Fate {
        let drawn = self.random.below(10_000);
        let effect = if self.random.below(2) == 0 { Effect::Kept } else { Effect::NotKept };
        if drawn < crash {
            let crash = if self.random.below(2) == 0 { Crash::Process } else { Crash::Power };
            Fate::Crash(crash, effect)
        } else if drawn < crash + fail {
            Fate::Fail(effect)
        } else if drawn < crash + fail + stop {
            Fate::Stop
        } else {
            Fate::Go
        }
    }
}

impl Surroundings for World {
    /// A clock that somebody sets an hour forward or back now and then.
    fn now_ms(&self) -> u64 {
        let mut state = self.state();
        if state.jumps && state.random.below(20) == 0 {
            state.jump_ms += HOUR_MS * (state.random.below(3) as i64 - 1);
        }
        let now = state.clock_ms + state.elapsed_ms();
        now.saturating_add_signed(state.jump_ms)
    }

    fn random(&self, bytes: &mut [u8]) {
        let mut state = self.state();
        bytes.iter_mut().for_each(|byte| *byte = state.random.below(256) as u8);
    }
}

/// Returns the first four bytes as the number under which the trace tells of something.
pub(super) fn about(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}
