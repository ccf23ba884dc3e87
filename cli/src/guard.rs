//! The guard of every verb: is the store the one that was seen last? Its newest head is kept outside it (`--heads`).

use std::path::{Path, PathBuf};

use handlers::heads::Heads;
use handlers::sealer::{self, StoreSealer};
use handlers::surroundings::{Surroundings as _, System};

use crate::config::HEADS_VARIABLE;
use crate::error::Error;
use crate::output::note;

/// The folder of a demo's store that keeps its head, so that the demo leaves nothing outside.
const OWN: &str = "heads";

/// What a verb does with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Works in it: a store that was put back to an older state is refused.
    Works,
    /// Asks it: it answers, and that it was put back is told.
    Asks,
    /// Makes the store, or decides what becomes of one that was put back.
    Makes,
    /// Has nothing to do with it.
    None,
}

/// The guard of one store.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    heads: Heads,
    store: PathBuf,
}

impl Guard {
    /// Returns the guard of a store: heads lie where the flag says, else the variable, else in the user's state folder.
    /// A demo's store keeps its own, unless it is known outside.
    pub(crate) fn of(store: &Path, named: Option<&Path>, is_demo: bool) -> Self {
        let variable = || std::env::var_os(HEADS_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let named = named.map(Path::to_owned).or_else(variable);
        let outside = named.clone().or_else(state).map(Heads::at);
        let own = store.join(OWN);
        let known = outside.as_ref().is_some_and(|heads| heads.knows(store));
        let heads = if named.is_none() && !known && (is_demo || own.is_dir()) {
            Heads::at(own)
        } else {
            outside.unwrap_or(Heads::nowhere())
        };
        Self { heads, store: store.to_owned() }
    }

    /// Returns where heads are kept.
    pub(crate) const fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Refuses, or tells, a store that is not the one that was seen last; whether it is that one, as far as can be told.
    pub(crate) fn check(&self, used: Use) -> Result<bool, Error> {
        if !matches!(used, Use::Works | Use::Asks) {
            return Ok(true);
        }
        match self.heads.check(&self.store) {
            Ok(()) => Ok(true),
            // A place that cannot be read says nothing of the store.
            Err(error) if error.code() == "heads_io" => {
                warn(&error.into());
                Ok(true)
            }
            Err(error) if used == Use::Works => Err(error.into()),
            Err(error) => {
                warn(&error.into());
                Ok(false)
            }
        }
    }

    /// Seals what the verb recorded. What only time or room can cure is told, and the next command seals; a log that does not go
    /// on from what was published is an error.
    pub(crate) fn seal(&self) -> Result<(), Error> {
        if sealer::is_sealed(&self.store) {
            return Ok(());
        }
        let sealed = StoreSealer::open(&self.store).and_then(|sealer| sealer::in_place(sealer.seal()));
        match sealed {
            Ok(_) => Ok(()),
            Err(error @ handlers::Error::Transient { .. }) => {
                warn(&error.into());
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps the head that the verb left. A place that cannot be written is told, and nothing else.
    pub(crate) fn keep(&self, used: Use) {
        if used == Use::None {
            return;
        }
        match self.heads.keep(&self.store, System.now_ms()) {
            Ok(()) => {}
            // What is no continuation was told before the verb, if it was there before the verb.
            Err(error) if error.code() != "heads_io" => tracing::warn!(code = error.code(), "the head is not kept"),
            Err(error) => warn(&error.into()),
        }
    }
}

fn warn(error: &Error) {
    note(&error.told().replacen("error[", "warning[", 1));
}

/// The state folder of the user (XDG base directories); none where there is no home.
fn state() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("medimg/heads"))
}
