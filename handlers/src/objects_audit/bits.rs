//! `Bits`: a set of numbers from 1 upwards without large gaps, a bit each.

/// The set.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number. The numbers are those of rows, so the set is never larger than their count.
    pub(super) fn set(&mut self, number: u64) {
        let at = usize::try_from(number / 64).unwrap_or(usize::MAX);
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= 1 << (number % 64);
    }

    /// Whether the number was added.
    pub(super) fn has(&self, number: u64) -> bool {
        let at = usize::try_from(number / 64).unwrap_or(usize::MAX);
        self.0.get(at).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_it_once_it_was_added() {
        let mut bits = Bits::default();
        [1, 63, 64, 1_000].into_iter().for_each(|number| bits.set(number));
        assert_eq!((0..2_000).filter(|&number| bits.has(number)).collect::<Vec<_>>(), [1, 63, 64, 1_000]);
    }
}
