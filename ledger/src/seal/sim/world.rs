//! The seed, the calls, and the truth: what was appended, what is sealed and published, and whatever was ever signed.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crate::note::Note;
use crate::seal::{BundleName, SealError, Sealed, Tile};
use crate::tiles::{Edge, TilePath, tiles_between};
use crate::{Checkpoint, Frontier, RootHash, leaf_hash};

/// The log of every simulation.
pub(super) const ORIGIN: &str = "medimg/sim/00112233445566778899aabbccddeeff";

/// Whether a call that goes wrong did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Kept,
    /// Not, or of a call that does many things, some of them.
    NotKept,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Go,
    Fail(Effect),
    /// Whoever calls stops, and begins anew.
    Crash(Effect),
    /// Whoever calls sleeps for so many steps before the call is made, or before it hears the answer.
    Sleep {
        steps: u64,
        before: bool,
    },
}

/// Which calls go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    Calm,
    /// Call number `index`, from 0.
    At {
        index: u64,
        fate: Fate,
    },
    /// Each with these chances in 1,000.
    Chances {
        fail: u64,
        crash: u64,
        sleep: u64,
    },
}

/// SplitMix64: small, and the same everywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeded(pub(super) u64);

impl Seeded {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % bound
    }
}

/// Everything that outlives a process.
pub(super) struct State {
    pub(super) random: Seeded,
    plan: Plan,
    pub(super) calls: u64,
    pub(super) steps: u64,
    /// Actors that stopped at a call and are to begin anew.
    pub(super) stopped: BTreeSet<usize>,
    /// Actors that sleep, and until which step.
    pub(super) asleep: BTreeMap<usize, u64>,
    pub(super) trace: Vec<(usize, &'static str, Fate)>,
    /// What was appended; the first `acknowledged` of it were answered.
    pub(super) log: Vec<Vec<u8>>,
    pub(super) acknowledged: usize,
    tree: Frontier,
    /// Root of the log at every size.
    roots: Vec<RootHash>,
    pub(super) cell: Sealed,
    pub(super) staged: BTreeMap<BundleName, Vec<u8>>,
    pub(super) tiles: BTreeMap<TilePath, Vec<u8>>,
    pub(super) checkpoint: Option<Vec<u8>>,
    pub(super) kept: BTreeMap<u64, Vec<u8>>,
    /// How many checkpoints were published.
    pub(super) published: u64,
}

pub(super) struct World(Mutex<State>);

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let tree = Frontier::new();
        Self(Mutex::new(State {
            random: Seeded(seed),
            plan: Plan::Calm,
            calls: 0,
            steps: 0,
            stopped: BTreeSet::new(),
            asleep: BTreeMap::new(),
            trace: Vec::new(),
            log: Vec::new(),
            acknowledged: 0,
            roots: vec![tree.root()],
            tree,
            cell: Sealed::empty(),
            staged: BTreeMap::new(),
            tiles: BTreeMap::new(),
            checkpoint: None,
            kept: BTreeMap::new(),
            published: 0,
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn plan(&self, plan: Plan) {
        let mut state = self.state();
        (state.plan, state.calls) = (plan, 0);
        state.asleep.clear();
    }

    /// Makes a call: waits, decides its fate, lets `act` act, waits. `act` gets the state and which part of its work is to be done.
    pub(super) async fn call<T>(
        &self,
        actor: usize,
        name: &'static str,
        act: impl FnOnce(&mut State, Part) -> Result<T, SealError>,
    ) -> Result<T, SealError> {
        self.pause().await;
        let fate = self.state().fate(actor, name);
        if let Fate::Sleep { steps, before: true } = fate {
            self.sleep(actor, steps).await;
        }
        let refused = || SealError::Unavailable { tried: name, source: Some("simulated".into()) };
        let done = match fate {
            Fate::Go | Fate::Sleep { .. } => act(&mut self.state(), Part::Whole),
            Fate::Fail(Effect::Kept) => act(&mut self.state(), Part::Whole).and(Err(refused())),
            Fate::Fail(Effect::NotKept) => act(&mut self.state(), Part::Some).and(Err(refused())),
            Fate::Crash(effect) => {
                // What the call itself would have said, nobody hears.
                let _ = act(&mut self.state(), if effect == Effect::Kept { Part::Whole } else { Part::Some });
                self.state().stopped.insert(actor);
                std::future::pending().await
            }
        };
        if let Fate::Sleep { steps, before: false } = fate {
            self.sleep(actor, steps).await;
        }
        self.pause().await;
        done
    }

    async fn sleep(&self, actor: usize, steps: u64) {
        {
            let mut state = self.state();
            let until = state.steps + steps;
            state.asleep.insert(actor, until);
        }
        Turns(1).await;
    }

    pub(super) async fn pause(&self) {
        let turns = self.state().random.below(3);
        Turns(turns).await;
    }
}

/// Which part of a call's work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// Nothing, or some of many things.
    Some,
}

/// Lets others go on so many times.
struct Turns(u64);

impl Future for Turns {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            None => Poll::Ready(()),
            Some(left) => {
                self.0 = left;
                Poll::Pending
            }
        }
    }
}

impl State {
    fn fate(&mut self, actor: usize, name: &'static str) -> Fate {
        let index = self.calls;
        self.calls += 1;
        let fate = match self.plan {
            Plan::Calm => Fate::Go,
            Plan::At { index: at, fate } if at == index => fate,
            Plan::At { .. } => Fate::Go,
            Plan::Chances { fail, crash, sleep } => {
                let drawn = self.random.below(1_000);
                let effect = if self.random.below(2) == 0 { Effect::Kept } else { Effect::NotKept };
                if drawn < crash {
                    Fate::Crash(effect)
                } else if drawn < crash + fail {
                    Fate::Fail(effect)
                } else if drawn < crash + fail + sleep {
                    Fate::Sleep { steps: 20 + self.random.below(400), before: self.random.below(2) == 0 }
                } else {
                    Fate::Go
                }
            }
        };
        self.trace.push((actor, name, fate));
        fate
    }

    pub(super) fn append(&mut self, entry: Vec<u8>) {
        self.tree.push(leaf_hash(&entry));
        self.log.push(entry);
        self.roots.push(self.tree.root());
    }

    pub(super) fn head(&self) -> crate::Head {
        crate::Head::of(self.tree.clone())
    }

    /// Claims that a checkpoint tells the truth: nothing else is ever signed, kept or published.
    pub(super) fn assert_true(&self, text: &str, what: &str) -> u64 {
        let checkpoint = Checkpoint::parse(text).unwrap_or_else(|_| panic!("{what}: no checkpoint"));
        assert_eq!(checkpoint.origin, ORIGIN, "{what}");
        let root = self.roots.get(usize::try_from(checkpoint.size).unwrap_or(usize::MAX));
        assert_eq!(root, Some(&checkpoint.root), "{what}: a fork over {} of {}", checkpoint.size, self.log.len());
        assert!(checkpoint.size <= self.cell.head.size, "{what}: {} was not swapped in", checkpoint.size);
        checkpoint.size
    }

    /// Publishes, and claims that it may be seen: it never goes back, and every tile of it stands.
    pub(super) fn publish(&mut self, next: &[u8]) {
        let size = |state: &Self, bytes: &[u8]| {
            let note = Note::parse(bytes).expect("what is published is a note");
            state.assert_true(note.text(), "published")
        };
        let new = size(self, next);
        let old = self.checkpoint.as_ref().map_or(0, |old| size(self, old));
        assert!(new >= old, "a checkpoint over {new} was published over one over {old}");
        for path in tiles_between(0, new) {
            assert!(
                self.tiles.contains_key(&path) || self.tiles.contains_key(&path.full()),
                "published over {new} without {path}"
            );
        }
        self.checkpoint = Some(next.to_vec());
        self.published += 1;
    }

    /// Claims what holds at the end: a checkpoint over everything, and every tile as the definition says.
    pub(super) fn assert_whole(&self) {
        let bytes = self.checkpoint.as_ref().expect("something is published");
        let note = Note::parse(bytes).expect("what is published is a note");
        assert_eq!(self.assert_true(note.text(), "the last"), self.log.len() as u64, "the end is not sealed");
        assert!(self.acknowledged <= self.log.len(), "an acknowledged entry is lost");
        let (mut edge, mut tiles): (_, Vec<Tile>) = (Edge::new(), Vec::new());
        for entry in &self.log {
            edge.push(entry, &mut tiles).expect("short");
        }
        tiles.extend(edge.partial());
        for (path, bytes) in tiles {
            assert_eq!(self.tiles.get(&path), Some(&bytes), "{path}");
        }
        for (size, kept) in &self.kept {
            let note = Note::parse(kept).expect("what is kept is a note");
            assert_eq!(self.assert_true(note.text(), "kept"), *size);
        }
    }
}
