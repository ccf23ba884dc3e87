//! Who cosigns the checkpoints of this store: the flags that name witnesses, and asking them at the end of a verb.

use std::path::Path;
use std::sync::Arc;

use handlers::sealer::StoreSealer;
use handlers::surroundings::System;
use handlers::witness::client::{Address, Told, Witnesses};
use handlers::witness::cosign;
use serde_json::{Value, json};

use crate::commands::{Context, block_on};
use crate::config::{Config, Flag};
use crate::error::Error;
use crate::output::note;

/// The setting that names them.
const SETTING: &str = "witnesses";
/// The file of the store that remembers what each cosigned last; a hint.
const SIZES: &str = "witnesses";

/// Names witnesses on the command line, in the place of those of the configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct WitnessFlags {
    /// URL of a witness that is asked to cosign checkpoints; may be given again, each with its --witness-key
    #[arg(long, value_name = "URL", requires = "witness_key")]
    witness: Vec<String>,
    /// Verifier key of the witness named by the --witness at the same place
    #[arg(long, value_name = "VKEY", requires = "witness")]
    witness_key: Vec<String>,
}

impl WitnessFlags {
    /// Returns the flag as a value of the setting. One that lacks its other half is no value that the setting takes.
    pub(crate) fn flag(&self) -> Option<Flag> {
        let count = self.witness.len().max(self.witness_key.len());
        let half = |half: Option<&String>| half.map(String::as_str).unwrap_or_default().to_owned();
        let pair = |n: usize| format!("{} {}", half(self.witness.get(n)), half(self.witness_key.get(n)));
        let text = (0..count).map(pair).collect::<Vec<_>>().join(",");
        (count > 0).then_some(Flag { setting: SETTING, flag: "--witness", text })
    }
}

/// Returns the witnesses that are configured; none if there are none.
pub(crate) fn of(store: &Path, config: &Config) -> Option<Arc<Witnesses>> {
    let list: Vec<_> = config.names(SETTING).iter().filter_map(|pair| Address::parse(pair)).collect();
    (!list.is_empty()).then(|| Arc::new(Witnesses::new(list, Some(store.join(SIZES)), Box::new(System))))
}

/// Has the checkpoint that the verb left cosigned by those who have not cosigned it yet. A witness that does not is told, and
/// the verb ends as it ends: `medimg checkpoint` is the one that fails.
pub(crate) fn ask_at_end(context: &Context) {
    let Some(witnesses) = context.witnesses.get() else { return };
    let asked = || -> Result<Vec<Told>, Error> {
        let sealer = StoreSealer::open(&context.store)?;
        Ok(block_on(cosign(&sealer, witnesses))??)
    };
    match asked() {
        Ok(told) => told.iter().filter_map(error_of).for_each(|error| warn(&error)),
        Err(error) => warn(&error),
    }
}

/// Returns what is not well with a witness as an error.
pub(crate) fn error_of(told: &Told) -> Option<Error> {
    let tried = format!("the witness {} was asked for a cosignature: {}", told.witness, told.outcome);
    told.outcome.code().map(|code| Error::Stopped { code, tried, cause: None })
}

/// Returns what became of asking a witness, for a program.
pub(crate) fn object(told: &Told) -> Value {
    json!({ "witness": told.witness, "code": told.outcome.code(), "told": told.outcome.to_string() })
}

/// Tells an error that does not end the verb.
pub(crate) fn warn(error: &Error) {
    note(&error.told().replacen("error[", "warning[", 1));
}
