//! The whole log as a strip of blocks: a day each, or equal ranges of entries where the log is short or very long.

use std::collections::BTreeMap;

use ledger::UtcMillis;
use serde::Serialize;

use super::Finding;

const DAY_MS: u64 = 86_400_000;
/// A strip of days has at least and at most so many blocks.
const DAYS: std::ops::RangeInclusive<usize> = 5..=62;
/// Most blocks of equal ranges; they double their width when there are more.
const RANGES_MAX: usize = 60;

/// A block of the strip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Block {
    /// The day, or the range of leaf indices.
    pub label: String,
    /// Lowest leaf index.
    pub first: u64,
    /// Highest leaf index.
    pub last: u64,
    /// How many entries.
    pub entries: u64,
    /// How many of them are in scope.
    pub in_scope: u64,
    /// Whether an entry is missing in it, or a finding is about it.
    pub bad: bool,
}

impl Block {
    fn add(&mut self, leaf_index: u64, in_scope: bool, after_gap: bool) {
        if self.entries == 0 {
            self.first = leaf_index;
        }
        self.last = leaf_index;
        self.entries += 1;
        self.in_scope += u64::from(in_scope);
        self.bad |= after_gap;
    }
}

/// The strip under construction.
#[derive(Debug)]
pub(super) struct Chain {
    days: BTreeMap<u64, Block>,
    ranges: Vec<Block>,
    width: u64,
}

impl Chain {
    pub(super) const fn new() -> Self {
        Self { days: BTreeMap::new(), ranges: Vec::new(), width: 1 }
    }

    pub(super) fn add(&mut self, leaf_index: u64, recorded_at: UtcMillis, in_scope: bool, after_gap: bool) {
        self.days.entry(recorded_at.unix_ms() / DAY_MS).or_default().add(leaf_index, in_scope, after_gap);
        while leaf_index / self.width >= RANGES_MAX as u64 {
            self.widen();
        }
        let at = usize::try_from(leaf_index / self.width).unwrap_or(RANGES_MAX - 1);
        if self.ranges.len() <= at {
            self.ranges.resize_with(at + 1, Block::default);
        }
        self.ranges[at].add(leaf_index, in_scope, false);
    }

    fn widen(&mut self) {
        self.width *= 2;
        let merged = self.ranges.chunks(2).map(|pair| {
            let mut block = pair[0].clone();
            if let Some(right) = pair.get(1) {
                block.entries += right.entries;
                block.in_scope += right.in_scope;
                block.last = right.last;
            }
            block
        });
        self.ranges = merged.collect();
    }

    /// Returns the blocks; those that a finding is about are marked.
    pub(super) fn finish(self, findings: &[Finding]) -> Vec<Block> {
        let mut blocks: Vec<Block> = if DAYS.contains(&self.days.len()) {
            let named = |(day, block): (u64, Block)| {
                let label = UtcMillis::from_unix_ms(day * DAY_MS).to_string()[..10].to_owned();
                Block { label, ..block }
            };
            self.days.into_iter().map(named).collect()
        } else {
            let (width, last) = (self.width, self.ranges.last().map_or(0, |block| block.last));
            let named = |(at, block): (u64, Block)| {
                let (first, last) = (at * width, ((at + 1) * width - 1).min(last));
                let label = if first == last { first.to_string() } else { format!("{first}–{last}") };
                // A range that has fewer entries than indices lacks some.
                Block { label, first, last, bad: block.entries < last - first + 1, ..block }
            };
            (0..).zip(self.ranges).map(named).collect()
        };
        let here = findings.iter().filter(|finding| finding.log.is_none());
        for index in here.filter_map(|finding| finding.leaf_index) {
            let at = blocks.iter().position(|block| index <= block.last).or(blocks.len().checked_sub(1));
            if let Some(at) = at {
                blocks[at].bad = true;
            }
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(indices: impl Iterator<Item = u64>, ms_each: u64) -> Vec<Block> {
        let mut chain = Chain::new();
        let mut next = 0;
        for index in indices {
            chain.add(index, UtcMillis::from_unix_ms(index * ms_each), true, index != next);
            next = index + 1;
        }
        chain.finish(&[])
    }

    #[test]
    fn a_short_log_is_cut_into_equal_ranges_and_loses_no_entry() {
        for size in [1, 59, 60, 61, 119, 121, 5_000] {
            let blocks = strip(0..size, 1);
            assert!(blocks.len() <= RANGES_MAX, "{size}");
            assert_eq!(blocks.iter().map(|block| block.entries).sum::<u64>(), size);
            assert!(blocks.windows(2).all(|pair| pair[0].last + 1 == pair[1].first), "{size}");
            assert!(!blocks.iter().any(|block| block.bad));
        }
    }

    #[test]
    fn a_log_of_weeks_has_a_block_a_day() {
        let blocks = strip(0..100, DAY_MS / 10);
        assert_eq!((blocks.len(), blocks[1].label.as_str(), blocks[1].first), (10, "1970-01-02", 10));
    }

    #[test]
    fn a_block_with_a_gap_or_a_finding_is_bad() {
        for gone in [1, 40, 41, 42, 98] {
            let blocks = strip((0..100).filter(|index| *index != gone), 1);
            let bad: Vec<_> = blocks.iter().filter(|block| block.bad).map(|block| block.first..=block.last).collect();
            assert!(bad.len() == 1 && bad[0].contains(&gone), "{gone}: {bad:?}");
        }
        let run = strip((0..1_000).filter(|index| !(201..499).contains(index)), 1);
        assert!(run.iter().all(|block| block.bad || block.last < 201 || block.first >= 499));
        let mut chain = Chain::new();
        (0..10).for_each(|index| chain.add(index, UtcMillis::from_unix_ms(0), true, false));
        let of = |leaf_index, log: Option<&str>| {
            let (code, meaning, log) = ("link".into(), String::new(), log.map(str::to_owned));
            Finding { code, leaf_index: Some(leaf_index), log, at_or_after: false, meaning }
        };
        // One of a log before a recovery marks nothing here.
        assert_eq!(
            chain.finish(&[of(1, Some("ledger.0.sqlite")), of(3, None)]).iter().position(|block| block.bad),
            Some(3)
        );
    }
}
