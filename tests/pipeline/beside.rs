//! What looks at a store while a worker works in it, or after it was killed, calls nothing damage that is none.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use pipeline_tests::medimg::{Place, Ran};

const SLICES: u32 = 300;

/// Holds the objects against the log; none if the store was not there yet, or was busy.
fn audit(place: &Place) -> Option<Ran> {
    let ran = place.run("verify", &["--objects", "--json"]);
    (ran.code == Some(0) || ran.code == Some(3)).then_some(ran)
}

fn objects(ran: &Ran) -> u64 {
    ran.lines()[0]["objects"]["objects"].as_u64().expect("a count")
}

#[test]
fn an_audit_beside_a_worker_that_is_killed_calls_nothing_damage() {
    let place = Place::new();
    place.ct_slices(SLICES);
    let (mut audits, mut between) = (0, 0);
    for delay_ms in [60, 120, 200, 350, 60_000] {
        let mut command = place.command("process", &["--copy-raw", "-j", "1"]);
        let mut worker =
            command.arg(place.inputs()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("medimg starts");
        thread::scope(|scope| {
            let auditor = scope.spawn(|| {
                let mut seen = Vec::new();
                // Bounded by the worker: it ends, or is killed.
                while !place.store().join("stop").exists() {
                    seen.extend(audit(&place));
                }
                seen
            });
            for _ in 0..delay_ms / 10 {
                if worker.try_wait().expect("a child of ours").is_some() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
            worker.kill().expect("killed, or ended");
            worker.wait().expect("a child of ours");
            std::fs::create_dir_all(place.store()).expect("the store's folder");
            std::fs::write(place.store().join("stop"), b"").expect("written");
            for ran in auditor.join().expect("it looks on") {
                assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
                audits += 1;
                between += usize::from((1..u64::from(SLICES)).contains(&objects(&ran)));
            }
        });
        std::fs::remove_file(place.store().join("stop")).expect("removed");
        if let Some(ran) = audit(&place) {
            assert_eq!(ran.code, Some(0), "after a kill: {}{}", ran.stdout, ran.stderr);
        }
    }
    let ran = audit(&place).expect("it takes place").ended(0);
    assert_eq!(objects(&ran), u64::from(SLICES));
    assert!(audits > 5 && between > 0, "{audits} audits, {between} of them while objects came");
}
