//! Lives of a process over one disk and one ledger: each runs, crashes or ends, and the next goes on from what is left.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Phi;
use domain::dicom::Profile;
use domain::dicom::limits::Limits;
use domain::events::{ReplayCause, ReplayRequested, ReplayScope, RunId};
use domain::ids::{Key, KeyedHash, Keys, StreamId};
use domain::upload::{Command, Ended};
use futures::future::{Either, select};
use ledger::{MemoryLedger, Origin};

use super::inputs::{IN_MEMORY_BYTES_MAX, Input};
use super::ledger::{SimLedger, entries};
use super::model;
use super::objects::SimObjects;
use super::sources::SimSources;
use super::world::{Crash, Plan, World};
use crate::bus::Bus;
use crate::commit::{commit, reload};
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Work};
use crate::runner::items::Item;
use crate::runner::report::{Observer, Report, Summary};
use crate::runner::{IntakeOptions, RunLimits, Runner};

/// Nothing here waits longer than a second; a life of a simulated day stands still.
const STUCK: Duration = Duration::from_secs(86_400);

/// What a life is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// `medimg process` on all paths.
    Process,
    /// `medimg process` on nothing: what was begun is brought to its end.
    Resume,
    /// As `Process`, with every path listed twice.
    ProcessTwice,
    /// The event that opened a stream is put on the bus by hand, twice.
    PutTwice(StreamId),
    /// Every failed stream is taken up again from the step that failed.
    Replay(u64),
}

/// How a life ended.
pub(super) struct Life {
    /// None if it crashed.
    pub(super) summary: Option<Summary>,
    pub(super) reports: Vec<Report>,
    /// How many calls it made.
    pub(super) calls: u64,
    pub(super) crash: Option<Crash>,
}

#[derive(Default)]
struct Kept(Mutex<Vec<Report>>);

impl Observer for Kept {
    fn ended(&self, report: &Report) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
    }
}

/// One simulation: what outlives every process in it.
pub(super) struct Simulation {
    pub(super) world: Arc<World>,
    pub(super) objects: SimObjects,
    pub(super) sources: SimSources,
    pub(super) ledger: MemoryLedger,
    pub(super) inputs: Vec<Input>,
    /// Whether the power failed: then a stage may be lost, and who published an output is not known any more.
    pub(super) power_failed: bool,
    /// Streams whose event a person put on the bus: that one object runs then, whatever still waits below it.
    pub(super) put_by_hand: BTreeSet<StreamId>,
    /// What was wrong at the end of a life.
    pub(super) wrong: RefCell<Vec<String>>,
    jumps: bool,
    profile: Profile,
}

pub(super) fn keys() -> Keys {
    Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) }
}

/// Returns the path of input `number`, from 0.
pub(super) fn path(number: usize) -> Vec<u8> {
    format!("/in/{number:02}.dcm").into_bytes()
}

fn profile() -> Profile {
    // Loading the tables takes longer than a whole simulation.
    thread_local!(static BASIC: Profile = Profile::basic().expect("the profile loads"));
    BASIC.with(Clone::clone)
}

impl Simulation {
    pub(super) fn new(seed: u64, inputs: impl FnOnce(&World) -> Vec<Input>) -> Self {
        let world = Arc::new(World::new(seed));
        let inputs = inputs(&world);
        let objects = SimObjects::new(world.clone());
        for (number, input) in inputs.iter().enumerate() {
            objects.put_raw(&path(number), input.kind.file(), input.trouble);
        }
        let origin = Origin::new("medimg", "sim", [7; 16]).expect("a name that may stand in an origin");
        Self {
            sources: SimSources::new(world.clone()),
            ledger: MemoryLedger::new(origin),
            jumps: world.below(2) == 0,
            profile: profile(),
            power_failed: false,
            put_by_hand: BTreeSet::new(),
            wrong: RefCell::default(),
            world,
            objects,
            inputs,
        }
    }

    /// Runs one life.
    pub(super) fn live(&mut self, job: Job, plan: Plan) -> Life {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O");
        if let Job::PutTwice(stream) = job {
            self.put_by_hand.insert(stream);
        }
        let (world, kept) = (self.world.clone(), Arc::new(Kept::default()));
        let summary = runtime.block_on(async {
            world.begin(plan, self.jumps);
            let work = std::pin::pin!(tokio::time::timeout(STUCK, self.work(job, kept.clone())));
            let crashed = std::pin::pin!(world.crashed());
            let summary = match select(crashed, work).await {
                Either::Left(_) => None,
                Either::Right((Ok(summary), _)) => Some(summary),
                Either::Right((Err(_), _)) => panic!("the run stands still"),
            };
            world.end();
            summary
        });
        drop(runtime);
        let (calls, crash) = self.world.life();
        // A crash in the last call: the process came to its end all the same, and nobody heard what it said.
        let summary = summary.filter(|_| crash.is_none());
        if let Some(crash) = crash {
            self.power_failed |= crash == Crash::Power;
            self.objects.lose(crash);
        }
        let reports = std::mem::take(&mut *kept.0.lock().unwrap_or_else(PoisonError::into_inner));
        model::judge_moment(self, &reports, &mut self.wrong.borrow_mut());
        Life { summary, reports, calls, crash }
    }

    async fn work(&self, job: Job, kept: Arc<Kept>) -> Summary {
        use crate::ports::sources::SourceTable;
        // As `Store::open`: staged files that no unfinished stream will publish go.
        match self.sources.open_streams(usize::MAX) {
            Ok(open) => self.objects.sweep(&open),
            Err(error) => return stopped(error),
        }
        let runner = self.runner(kept);
        let stopper = {
            let (runner, world) = (runner.clone(), self.world.clone());
            tokio::spawn(async move {
                world.stop_asked().await;
                runner.stop();
            })
        };
        let summary = match job {
            Job::Process => runner.process(self.items(1)).await,
            Job::Resume => runner.process(Vec::new()).await,
            Job::ProcessTwice => runner.process(self.items(2)).await,
            Job::PutTwice(stream) => match self.opened_by(stream) {
                Some(event) => {
                    runner.put(stream, &event).await;
                    self.runner(Arc::default()).put(stream, &event).await
                }
                None => Summary::default(),
            },
            Job::Replay(number) => match self.request_replays(number).await {
                Ok(()) => runner.process(Vec::new()).await,
                Err(error) => stopped(error),
            },
        };
        stopper.abort();
        summary
    }

    fn pipeline(&self) -> Pipeline {
        let ledger = Arc::new(SimLedger::new(self.world.clone(), self.ledger.clone()));
        let (objects, sources) = (Arc::new(self.objects.clone()), Arc::new(self.sources.clone()));
        let (profile, limits, world) = (self.profile.clone(), Limits::default(), self.world.clone());
        let mut pipeline =
            Pipeline::new(ledger, objects, sources, keys(), profile, limits, world).expect("the profile is whole");
        pipeline.in_memory_bytes_max = IN_MEMORY_BYTES_MAX;
        pipeline
    }

    fn runner(&self, kept: Arc<Kept>) -> Runner {
        // Few enough that objects wait for room, enough that they meet.
        let limits = RunLimits { in_flight_max: 2 + self.world.below(8), ..RunLimits::default() };
        let bus = Bus::new([]).expect("no rule is off");
        Runner::new(self.pipeline(), bus, limits, IntakeOptions::default(), kept)
    }

    /// Returns the items as the walk lists them, each so many times in a row.
    fn items(&self, times: usize) -> Vec<Item> {
        let listed = (0..self.inputs.len()).flat_map(|number| std::iter::repeat_n(number, times));
        let item = |(at, number): (usize, usize)| Item {
            expected: None,
            number: at as u64 + 1,
            path: PathBuf::from(std::ffi::OsString::from_vec(path(number))),
            size_bytes: self.inputs[number].kind.file().len() as u64,
            unreadable: None,
        };
        listed.enumerate().map(item).collect()
    }

    /// Returns the event that opened the present run of a stream.
    fn opened_by(&self, stream: StreamId) -> Option<domain::events::EventData> {
        let of_stream = entries(&self.ledger).into_iter().filter(|row| row.entry.header.stream.0 == stream.0.0);
        let events = of_stream.flat_map(|row| domain::events::read(row.entry.body.as_bytes()).expect("readable"));
        let opens =
            |name: &str| name.starts_with("imaging.object.received") || name.starts_with("imaging.replay.requested");
        events.filter(|event| opens(event.event_type())).map(|event| event.data).last()
    }

    /// Returns every stream of the ledger, in the order of receipt.
    pub(super) fn streams(&self) -> Vec<StreamId> {
        let first = entries(&self.ledger).into_iter().filter(|row| row.entry.header.seq == 0);
        first.map(|row| StreamId(KeyedHash(row.entry.header.stream.0))).collect()
    }

    async fn request_replays(&self, number: u64) -> Result<()> {
        use crate::ports::sources::SourceTable;
        let pipeline = self.pipeline();
        for stream in self.streams() {
            let mut work = Work::new(stream);
            reload(&pipeline, &mut work).await?;
            let Some(Ended::Failed(failed)) = work.upload.ended() else { continue };
            self.sources.set_ended(&[stream], false)?;
            let said = ReplayRequested {
                scope: ReplayScope::Object,
                cause: ReplayCause::FailureRepaired,
                from_step: failed.step,
                run: RunId::parse(&format!("replay-{number}")).expect("a run id"),
                profile_digest: None,
                reason_given: true,
                streams: None,
                note_digest: None,
                tags: Vec::new(),
            };
            commit(&pipeline, &mut work, &Command::RequestReplay(said)).await?;
        }
        Ok(())
    }
}

/// The lives after which everything must have come to its right end, whatever happened before: the sources are repaired,
/// and nothing fails any more. Returns the last one, which only repeats verdicts.
pub(super) fn settle(simulation: &mut Simulation) -> Life {
    simulation.live(Job::Resume, Plan::Calm);
    model::judge_resumed(simulation, &mut simulation.wrong.borrow_mut());
    simulation.live(Job::Process, Plan::Calm);
    simulation.objects.repair();
    simulation.live(Job::Process, Plan::Calm);
    simulation.live(Job::Replay(90), Plan::Calm);
    simulation.live(Job::Process, Plan::Calm)
}

fn stopped(error: Error) -> Summary {
    let mut summary = Summary::default();
    summary.stopped_by = Some(error);
    summary
}

/// Returns where an object lies, as a stream is made of it.
pub(super) fn location(path: &[u8], content: &[u8]) -> domain::ids::Location {
    use sha2::Digest as _;
    let version = sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    domain::ids::Location { bucket: "file".to_owned(), key: Phi::new(path.to_vec()), version }
}
