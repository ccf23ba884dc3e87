//! Killed with `kill -9` at any moment, again and again, the pipeline loses nothing, delivers nothing twice, and goes on by
//! itself where it stood: the end is that of a run that nobody disturbed, byte for byte.
//!
//! `MEDIMG_KILLS=N` asks for so many kills, `MEDIMG_KILL_SEED=N` for other moments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use pipeline_tests::medimg::{Place, files_below};
use pipeline_tests::objects::Object;
use pipeline_tests::random::{Random, count_from};
use serde_json::Value;

const SEED: usize = 0x6d65_6469;
const SLICES: u32 = 46;
const KILLS: usize = 12;
/// Kills of one store before it may come to its end.
const KILLS_OF_A_STORE_MAX: u64 = 9;
/// No run of so many objects is shorter.
const SPREAD_US_MIN: u64 = 20_000;
/// From the restart until everything that was begun has ended.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

/// Sixty-four objects of every kind of end; walk order mixes them.
fn objects() -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for number in 0..SLICES {
        objects.insert(format!("{number:02}-slice.dcm"), Object::ct(number / 4, number).file());
    }
    for number in 0..6 {
        let (of, slice) = (number * 7, Object::ct(number * 7 / 4, number * 7));
        objects.insert(format!("{of:02}-slice.dcm.same"), slice.file());
        objects.insert(format!("{of:02}-t-conflict.dcm"), Object { shade: 9, ..slice.clone() }.file());
        objects.insert(format!("{of:02}-u-cut.dcm"), slice.file()[..700 + number as usize * 13].to_vec());
    }
    for number in 0..4 {
        objects.insert(format!("{number}9-ultrasound.dcm"), Object::ultrasound(90, 900 + number).file());
        objects.insert(format!("{number}9-letter.txt"), format!("letter {number}, not an image").into_bytes());
    }
    objects
}

/// What must come out: what each object was told, what its stream says, what is visible.
#[derive(Debug, PartialEq)]
struct End {
    items: BTreeMap<u64, (Value, Value, Value)>,
    streams: BTreeMap<u64, Vec<String>>,
    processed: BTreeMap<String, Vec<u8>>,
}

/// Runs to the end and says what came out, claiming on the way what must hold of any end.
fn end_of(place: &Place) -> (End, Duration) {
    let began = Instant::now();
    let run = place.process(&[]).ended(1);
    let took = began.elapsed();
    let items = run.by_number();
    place.assert_whole();
    let (mut slots, mut decisions, mut of_stream) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::<_, Vec<_>>::new());
    for entry in place.entries() {
        assert!(slots.insert((entry.header[2].clone(), entry.header[3].clone())), "(stream, seq) twice: {entry:?}");
        assert!(decisions.insert(entry.header[6].clone()), "one decision twice: {entry:?}");
        of_stream.entry(entry.stream().to_owned()).or_default().push(entry.header[5].clone());
    }
    let told = |item: &Value| (item["outcome"].clone(), item["reason"].clone(), item["already_present"].clone());
    let streams = items.iter().map(|(number, item)| {
        let stream = item["stream"].as_str().expect("every object has a stream");
        (*number, of_stream.remove(stream).expect("every stream has entries"))
    });
    let streams = streams.collect();
    let uploads = of_stream.values().filter(|types| types[0].contains("object.received")).count();
    assert_eq!(uploads, 0, "a stream of no object");
    let end =
        End { items: items.iter().map(|(n, item)| (*n, told(item))).collect(), streams, processed: place.processed() };
    (end, took)
}

fn place_with(objects: &BTreeMap<String, Vec<u8>>) -> Place {
    let place = Place::new();
    for (name, content) in objects {
        place.input(name, content);
    }
    place
}

/// Gives the store the keys of another one, so that both make the same bytes.
fn with_keys_of(place: Place, other: &Place) -> Place {
    let (from, to) = (other.store().join("keys"), place.store().join("keys"));
    fs::create_dir_all(&to).expect("a folder");
    for name in files_below(&from).keys() {
        fs::copy(from.join(name), to.join(name)).expect("a key is copied");
    }
    place
}

/// Starts `process`, kills it after `delay`, and returns whether it had not ended by itself.
fn killed_after(place: &Place, delay: Duration) -> bool {
    let mut command = place.command("process", &["--json"]);
    let mut child =
        command.arg(place.inputs()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    thread::sleep(delay);
    child.kill().expect("it is killed");
    child.wait().expect("a child").code().is_none()
}

#[test]
fn killed_again_and_again_it_ends_as_if_nobody_had_disturbed_it() {
    let (seed, kills_min) = (count_from("MEDIMG_KILL_SEED", SEED), count_from("MEDIMG_KILLS", KILLS));
    let mut random = Random::new(seed as u64);
    let objects = objects();
    let undisturbed = place_with(&objects);
    let (right, took) = end_of(&undisturbed);
    assert_eq!(right.items.len(), objects.len());
    let delivered = right.items.values().filter(|(outcome, _, _)| outcome == "delivered").count();
    assert_eq!(delivered, SLICES as usize + 6, "{:?}", right.items);
    let (mut kills, mut stores, mut slowest) = (0, 0, Duration::ZERO);
    // Moments are drawn from the time that a run takes here and now: a machine is busier at one time than at another.
    let mut spread = u64::try_from(took.as_micros()).expect("a short run");
    // Bounded: of moments spread over a whole run nearly all fall into it; ten times as many starts are a failure.
    while kills < kills_min {
        assert!(stores < kills_min * 10, "of {stores} stores only {kills} runs were killed in the middle");
        stores += 1;
        let place = with_keys_of(place_with(&objects), &undisturbed);
        let mut moments = Vec::new();
        for _ in 0..1 + random.below(KILLS_OF_A_STORE_MAX) {
            let moment = Duration::from_micros(random.below(spread));
            moments.push(moment);
            if !killed_after(&place, moment) {
                spread = (spread * 3 / 4).max(SPREAD_US_MIN);
                break;
            }
            spread += spread / 16;
            kills += 1;
        }
        let (end, recovery) = end_of(&place);
        slowest = slowest.max(recovery);
        let when = format!("MEDIMG_KILL_SEED={seed}, store {stores}, killed after {moments:?}");
        assert!(end.items == right.items, "{when}: {:?}", differing(&end.items, &right.items));
        assert!(end.streams == right.streams, "{when}: {:?}", differing(&end.streams, &right.streams));
        assert!(end.processed == right.processed, "{when}: other bytes are visible");
        assert!(recovery <= RECOVERY_MAX, "{when}: back after {recovery:?}");
    }
    #[expect(clippy::print_stderr, reason = "a figure of the test itself")]
    {
        eprintln!(
            "{kills} kills of {stores} stores, seed {seed}; an undisturbed run {took:?}, slowest recovery {slowest:?}"
        );
    }
}

fn differing<T: PartialEq + Clone>(
    one: &BTreeMap<u64, T>,
    other: &BTreeMap<u64, T>,
) -> Vec<(u64, Option<T>, Option<T>)> {
    let numbers: BTreeSet<u64> = one.keys().chain(other.keys()).copied().collect();
    let pairs = numbers.into_iter().map(|number| (number, one.get(&number).cloned(), other.get(&number).cloned()));
    pairs.filter(|(_, one, other)| one != other).collect()
}
