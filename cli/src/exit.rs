//! How the program ends (DESIGN §8). Scripts depend on these numbers.

use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Exit {
    /// All well; for `demo`: all ended as planned.
    Well = 0,
    /// Some item failed or was quarantined.
    SomeFailed = 1,
    /// The command line or the configuration is wrong; nothing was done.
    Usage = 2,
    /// What is stored does not verify.
    Integrity = 3,
    /// The surroundings failed (a full disk, a locked store): nothing is lost, try again later.
    TryAgain = 75,
}

impl Exit {
    /// Returns the number.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_that_scripts_depend_on() {
        let all = [Exit::Well, Exit::SomeFailed, Exit::Usage, Exit::Integrity, Exit::TryAgain];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 75]);
    }
}
