//! The functions of the AWS half as one table: the steps, and the services beside them. One program serves them all; its handler
//! name picks the row. Rendered for Terraform, which makes functions, triggers, roles, log groups and alarms of it.

use serde_json::{Map, Value, json};

use super::{STEPS, Step};

/// What starts a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// An object version that appeared in the raw bucket.
    Upload,
    /// The state machine.
    Workflow,
    /// Records of the ledger table's stream: only a sign that there is something to seal.
    LedgerStream,
    /// Records of the head table's stream: only a sign that the log has grown.
    HeadStream,
    /// A person or a program that may.
    Request,
    /// The clock.
    Every {
        /// The period in minutes.
        minutes: u32,
    },
}

impl Wake {
    /// Returns the word in the rendered file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Workflow => "workflow",
            Self::LedgerStream => "ledger_stream",
            Self::HeadStream => "head_stream",
            Self::Request => "request",
            Self::Every { .. } => "schedule",
        }
    }
}

/// A function that is no step of the workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name: also the handler's.
    pub name: &'static str,
    /// What it is for, one sentence.
    pub description: &'static str,
    /// What starts it. A stream may lose a record, so whatever a stream wakes the clock wakes too.
    pub woken_by: &'static [Wake],
    /// How long one run may take, in seconds.
    pub timeout_s: u32,
}

/// The service table.
pub const SERVICES: &[Service] = &[
    Service {
        name: "sealer",
        description: "Puts new entries into the tree, signs its head and publishes tiles and checkpoint.",
        woken_by: &[Wake::LedgerStream, Wake::Every { minutes: 1 }],
        timeout_s: 300,
    },
    Service {
        name: "relay",
        description: "Puts the events of sealed entries onto the bus.",
        woken_by: &[Wake::HeadStream, Wake::Every { minutes: 5 }],
        timeout_s: 300,
    },
    Service {
        name: "projector",
        description: "Fills the views from sealed entries.",
        woken_by: &[Wake::HeadStream, Wake::Every { minutes: 5 }],
        timeout_s: 300,
    },
    Service {
        name: "sweeper",
        description: "Finds objects without an entry and streams without an end, and completes studies.",
        woken_by: &[Wake::Every { minutes: 15 }],
        timeout_s: 300,
    },
    Service {
        name: "verifier",
        description: "Verifies the whole ledger against its tiles and checkpoints, and records the verdict.",
        woken_by: &[Wake::Every { minutes: 1_440 }, Wake::Request],
        timeout_s: LONGEST_S,
    },
    Service {
        name: "replay",
        description: "Reopens ended streams, so that work on them begins again.",
        woken_by: &[Wake::Request],
        timeout_s: LONGEST_S,
    },
];

/// As long as the service lets a function run, in seconds.
pub const LONGEST_S: u32 = 900;

/// Age in seconds of the oldest entry that is not sealed; told by the sealer at each run, 0 if there is none.
pub const METRIC_UNSEALED_AGE: &str = "UnsealedAgeSeconds";
/// 1 if a verification failed, else 0; told by the verifier at each run.
pub const METRIC_VERIFICATION_FAILED: &str = "VerificationFailed";

/// Returns `terraform/functions.json`.
pub fn render() -> String {
    let mut functions = Map::new();
    for row in STEPS {
        let wake = if row.step == Step::Intake { Wake::Upload } else { Wake::Workflow };
        let description = format!("Step of the workflow: {}.", row.name);
        functions.insert(row.name.to_owned(), function(&description, &[wake], row.timeout_s));
    }
    for service in SERVICES {
        functions.insert(service.name.to_owned(), function(service.description, service.woken_by, service.timeout_s));
    }
    super::rendered_text(&json!({
        "functions": functions,
        "metrics": { "unsealed_age": METRIC_UNSEALED_AGE, "verification_failed": METRIC_VERIFICATION_FAILED },
    }))
}

fn function(description: &str, woken_by: &[Wake], timeout_s: u32) -> Value {
    let every = woken_by.iter().find_map(|wake| if let Wake::Every { minutes } = wake { Some(*minutes) } else { None });
    json!({
        "description": description,
        "woken_by": woken_by.iter().map(|wake| wake.word()).collect::<Vec<_>>(),
        "every_minutes": every,
        "timeout_s": timeout_s,
        // Whole objects or the whole log pass through it: it may run as long as the table says, whatever the others may.
        "long_running": timeout_s == LONGEST_S,
    })
}
