//! A sample of entries that nobody chose: the seal draws it, and anyone with the seal can draw it again.
//!
//! Draw `k` (from 0) is the entry in scope whose rank is the first eight bytes, big-endian, of SHA-256(`root base64` `:` `k`)
//! modulo the number of entries in scope; a rank that came before is passed over.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// How many entries are drawn.
pub(super) const SAMPLE_COUNT: usize = 12;
/// Draws after which a sample of a small population is taken as it is.
const DRAWS_MAX: u64 = 4_096;

/// A drawn sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// The root in base64; none where entries are missing, and then nothing is drawn.
    pub seed: Option<String>,
    /// How many entries are in scope.
    pub population: u64,
    /// The drawn entries, by leaf index.
    pub entries: Vec<Sampled>,
}

/// A drawn entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sampled {
    /// Its index in the log.
    pub leaf_index: u64,
    /// Its rank among the entries in scope, from 0.
    pub rank: u64,
    /// Its header as stored; empty where the store could not read it back.
    pub header: String,
    /// Its leaf hash, base64.
    pub leaf: String,
}

/// Leaf indices as runs, so that a span of time takes a few numbers only.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    /// First index and rank of each run.
    runs: Vec<(u64, u64)>,
    next: u64,
    count: u64,
}

impl Runs {
    pub(super) fn push(&mut self, index: u64) {
        if self.runs.is_empty() || index != self.next {
            self.runs.push((index, self.count));
        }
        self.next = index + 1;
        self.count += 1;
    }

    fn at(&self, rank: u64) -> Option<u64> {
        let run = self.runs.partition_point(|(_, first)| *first <= rank).checked_sub(1)?;
        self.runs.get(run).map(|(index, first)| index + (rank - first))
    }
}

pub(super) fn draw(scope: &Runs, seed: Option<String>) -> Sample {
    let mut ranks = BTreeSet::new();
    if let Some(seed) = &seed
        && scope.count > 0
    {
        let wanted = SAMPLE_COUNT.min(usize::try_from(scope.count).unwrap_or(SAMPLE_COUNT));
        for k in 0..DRAWS_MAX {
            if ranks.len() == wanted {
                break;
            }
            let hash = Sha256::digest(format!("{seed}:{k}").as_bytes());
            let number = hash.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            ranks.insert(number % scope.count);
        }
    }
    let drawn = |rank: u64| Some(Sampled { leaf_index: scope.at(rank)?, rank, ..Sampled::default() });
    Sample { seed, population: scope.count, entries: ranks.into_iter().filter_map(drawn).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_alone_decides_and_every_rank_finds_its_index() {
        let mut runs = Runs::default();
        (5..9).chain(20..1_000).for_each(|index| runs.push(index));
        assert_eq!([0, 3, 4, 983].map(|rank| runs.at(rank)), [Some(5), Some(8), Some(20), Some(999)]);
        let sample = draw(&runs, Some("root".into()));
        assert_eq!(sample.entries.len(), SAMPLE_COUNT);
        assert_eq!(sample, draw(&runs, Some("root".into())));
        assert_ne!(sample.entries, draw(&runs, Some("other".into())).entries);
    }

    #[test]
    fn a_small_population_is_drawn_whole() {
        let mut runs = Runs::default();
        (0..3).for_each(|index| runs.push(index));
        assert_eq!(draw(&runs, Some("root".into())).entries.len(), 3);
        assert!(draw(&Runs::default(), Some("root".into())).entries.is_empty());
    }
}
