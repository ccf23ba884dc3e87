//! `Profile`: which rules are in force. Part of every decision's id through its digest.

use sha2::{Digest, Sha256};

use crate::dicom::facts::{Facts, FactsError};

/// Why a profile did not load. The pipeline stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The embedded tables are not whole.
    #[error("the tables behind the profile are not whole")]
    Facts(#[from] FactsError),
    /// No profile has this name.
    #[error("no profile has the name that was asked for; the one there is is `basic`")]
    Unknown,
}

/// The rules of one run.
#[derive(Clone, Debug)]
pub struct Profile {
    name: &'static str,
    edition: &'static str,
    accept_pixels: bool,
    facts: &'static Facts,
    digest: String,
}

impl Profile {
    /// Returns the Basic Application Level Confidentiality Profile (PS3.15 Annex E) without options.
    pub fn basic() -> Result<Self, ProfileError> {
        let facts = Facts::load()?;
        Ok(Self { name: "basic", edition: "2026c", accept_pixels: false, facts, digest: String::new() }.sealed())
    }

    /// Returns the profile of that name.
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        if name == "basic" { Self::basic() } else { Err(ProfileError::Unknown) }
    }

    /// Returns the profile with pixels that nobody judged accepted, or not.
    #[must_use]
    pub fn with_accept_pixels(mut self, accept: bool) -> Self {
        self.accept_pixels = accept;
        self.sealed()
    }

    fn sealed(mut self) -> Self {
        let text = format!(
            "medimg profile v1\nname {}\nedition {}\naccept_pixels {}\nrules {}\nfacts {}\n",
            self.name,
            self.edition,
            self.accept_pixels,
            super::RULES_VERSION,
            self.facts.digest()
        );
        self.digest = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        self
    }

    /// Returns the name, `basic`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the newest edition of PS3.15 whose rows are in the table.
    pub const fn edition(&self) -> &'static str {
        self.edition
    }

    /// Whether objects whose pixels nobody judged are let through.
    pub const fn accepts_pixels(&self) -> bool {
        self.accept_pixels
    }

    /// Returns the SHA-256 of the profile's canonical text, which names the digest of the tables: lower-case hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub(super) const fn facts(&self) -> &'static Facts {
        self.facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepting_pixels_is_another_profile() {
        let basic = Profile::basic().unwrap();
        let accepting = basic.clone().with_accept_pixels(true);
        assert_ne!(basic.digest(), accepting.digest());
        assert_eq!(basic.digest(), accepting.with_accept_pixels(false).digest());
        assert_eq!(Profile::named("basic").unwrap().digest(), basic.digest());
        assert_eq!(Profile::named("extreme").unwrap_err(), ProfileError::Unknown);
    }
}
