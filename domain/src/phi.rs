//! `Phi<T>`: protected health information that cannot be printed by accident.

/// A value that identifies a patient or may do so. `Debug` prints `[phi]`; there is no `Display` and no `Serialize`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    /// Wraps a value; from here on it leaves only through [`Phi::expose`].
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the value. Each caller is a place to review: what comes out may go into a keyed hash, never into text.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> std::fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[phi]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_value() {
        assert_eq!(format!("{:?}", Some(Phi::new("DOE^JANE"))), "Some([phi])");
    }
}
