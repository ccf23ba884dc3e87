//! The three kinds of failure that decide everything (DESIGN §3): `Rejected`, `Transient`, `Broken`.

use std::io;

use domain::Rejection;
use domain::workflow::FailureKind;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How far a transient failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One object: its source is gone, changed or unreadable. Retried, then recorded as `processing.failed`.
    Object,
    /// The store or a port: a full disk, a lost ledger. Stops the run and leaves streams open, never `processing.failed`.
    Surroundings,
}

/// Why a step or a call did not succeed. Messages hold no path and no value of an object.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data: recorded, quarantined, never retried.
    #[error("{0}")]
    Rejected(Rejection),
    /// The surroundings: retried up to a limit.
    #[error("{code}: {tried}")]
    Transient {
        /// How far it reaches.
        scope: Scope,
        /// Stable code.
        code: &'static str,
        /// What was tried, and on what.
        tried: String,
        /// What the system said.
        #[source]
        source: Option<Cause>,
    },
    /// Us, or a chain that does not verify: stop and call a person.
    #[error("{code}: {tried}")]
    Broken {
        /// How far it reaches.
        scope: Scope,
        /// Stable code.
        code: &'static str,
        /// What was tried, and on what.
        tried: String,
        /// What the system said.
        #[source]
        source: Option<Cause>,
    },
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Error {
    /// A failure of the store itself while `tried`; a full disk has a code of its own, because freeing space cures it.
    pub fn store(tried: impl Into<String>, source: io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => "disk_full",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "store_unwritable",
            _ => "store_io",
        };
        Self::Transient { scope: Scope::Surroundings, code, tried: tried.into(), source: Some(Box::new(source)) }
    }

    /// A failure to read one source while `tried`.
    pub fn source(tried: impl Into<String>, source: io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::NotFound => "source_gone",
            io::ErrorKind::PermissionDenied => "source_unreadable",
            io::ErrorKind::UnexpectedEof => "source_changed",
            _ => "source_io",
        };
        Self::Transient { scope: Scope::Object, code, tried: tried.into(), source: Some(Box::new(source)) }
    }

    /// The source is not what was received.
    pub fn source_changed(tried: impl Into<String>) -> Self {
        Self::Transient { scope: Scope::Object, code: "source_changed", tried: tried.into(), source: None }
    }

    /// A port gave no answer or a refusal that only time can cure.
    pub fn lost(code: &'static str, tried: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Transient { scope: Scope::Surroundings, code, tried: tried.into(), source: Some(source.into()) }
    }

    /// Something about one object that must not happen did.
    pub fn broken(code: &'static str, tried: impl Into<String>) -> Self {
        Self::Broken { scope: Scope::Object, code, tried: tried.into(), source: None }
    }

    /// The store is not what it must be: nothing can be done with it until a person has looked.
    pub fn damaged(code: &'static str, tried: impl Into<String>, source: Option<Cause>) -> Self {
        Self::Broken { scope: Scope::Surroundings, code, tried: tried.into(), source }
    }

    /// Returns the kind, by which the step table decides.
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::Rejected(_) => FailureKind::Rejected,
            Self::Transient { .. } => FailureKind::Transient,
            Self::Broken { .. } => FailureKind::Broken,
        }
    }

    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.reason.code(),
            Self::Transient { code, .. } | Self::Broken { code, .. } => code,
        }
    }

    /// Whether the run must stop: what failed is not this object but what every object needs.
    pub const fn stops_the_run(&self) -> bool {
        matches!(
            self,
            Self::Transient { scope: Scope::Surroundings, .. } | Self::Broken { scope: Scope::Surroundings, .. }
        )
    }
}

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;
