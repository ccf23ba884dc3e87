//! The changes held against the receipt: each change has its line, each line its change.

use std::collections::HashMap;

use compliance::receipt::{Action, Line, Receipt, Rule};
use domain::dicom::Tag;

use super::tree::{Change, Found, Kind, Node};

const META: Tag = Tag(0x0002, 0xFFFF);
const EXTENDED_OFFSET_TABLE: Tag = Tag(0x7FE0, 0x0001);
const EXTENDED_OFFSET_TABLE_LENGTHS: Tag = Tag(0x7FE0, 0x0002);

/// Why a change was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A line of the receipt, by its number from 0.
    Line(usize),
    /// The receipt had no room for the line and counted it.
    Unlisted,
    /// Of elements that stand twice the last counts; ingestion noted it.
    Noted,
    /// Nothing says why.
    Unexplained,
}

/// A change and why it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The change.
    pub change: Change,
    /// Why it was made.
    pub why: Why,
}

/// A line of the receipt of which the objects show nothing, or not as often as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// The line.
    pub line: Line,
    /// How many of its changes are not there.
    pub count: u32,
}

/// Every change with its line, and the lines that are left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The changes, in the order of the data set. What a dummy sequence differs in is one change.
    pub changes: Vec<Judged>,
    /// Lines without their change.
    pub undone: Vec<Undone>,
}

struct Judge<'a> {
    receipt: &'a Receipt,
    lines: HashMap<Node, Vec<usize>>,
    left: Vec<u32>,
    unlisted: u32,
    order_noted: bool,
    meta: Node,
    offsets: Node,
    /// Dummy sequences that were met, by line and place; their changes are told once.
    dummies: HashMap<(usize, String), usize>,
    verdict: Verdict,
}

/// Holds what was found against a receipt. `order_noted`: ingestion noted that elements stand out of order or twice.
pub(super) fn judge(mut found: Found, receipt: &Receipt, order_noted: bool) -> Verdict {
    let mut lines: HashMap<Node, Vec<usize>> = HashMap::new();
    for (number, line) in receipt.lines.iter().enumerate() {
        let node = line.path.iter().fold(0, |node, tag| found.places.inside(node, *tag));
        lines.entry(node).or_default().push(number);
    }
    let mut judge = Judge {
        receipt,
        lines,
        left: receipt.lines.iter().map(|line| line.count).collect(),
        unlisted: receipt.unlisted,
        order_noted,
        meta: found.places.inside(0, META),
        offsets: found.places.inside(0, EXTENDED_OFFSET_TABLE),
        dummies: HashMap::new(),
        verdict: Verdict::default(),
    };
    for change in std::mem::take(&mut found.changes) {
        judge.take(change);
    }
    judge.close(&found);
    judge.verdict
}

impl Judge<'_> {
    fn take(&mut self, change: Change) {
        let is_meta = change.around.is_empty() && change.tag.group() == 0x0002;
        let own = self.own_line(&change);
        if let Some(line) = own {
            self.left[line] -= 1;
            return self.put(change, Why::Line(line));
        }
        if is_meta && let Some(line) = self.line_at(self.meta, |line| line.action == Action::Added) {
            self.left[line] = 0;
            return self.put(change, Why::Line(line));
        }
        if self.below_a_dummy(&change) {
            return;
        }
        if change.around.is_empty()
            && change.tag == EXTENDED_OFFSET_TABLE_LENGTHS
            && let Some(line) = self.line_at(self.offsets, |line| line.rule == Rule::General("offsets".to_owned()))
        {
            // Both tables are one decision: the receipt has one line for them.
            return self.put(change, Why::Line(line));
        }
        if change.kind == Kind::Twice && self.order_noted {
            return self.put(change, Why::Noted);
        }
        if self.unlisted > 0 && !matches!(change.kind, Kind::Frames) {
            self.unlisted -= 1;
            return self.put(change, Why::Unlisted);
        }
        self.put(change, Why::Unexplained);
    }

    fn put(&mut self, change: Change, why: Why) {
        self.verdict.changes.push(Judged { change, why });
    }

    fn line_at(&self, node: Node, fits: impl Fn(&Line) -> bool) -> Option<usize> {
        let lines = self.lines.get(&node)?;
        lines.iter().copied().find(|&number| fits(&self.receipt.lines[number]))
    }

    fn own_line(&self, change: &Change) -> Option<usize> {
        let lines = self.lines.get(&change.node)?;
        lines.iter().copied().find(|&number| self.left[number] > 0 && makes(&self.receipt.lines[number], change.kind))
    }

    /// A change inside a sequence that was replaced as a whole is no change of its own: the sequence is told, once.
    fn below_a_dummy(&mut self, change: &Change) -> bool {
        for &(node, len) in change.around.iter().rev() {
            let whole = |line: &Line| matches!(line.action, Action::Dummy | Action::Added);
            let Some(line) = self.line_at(node, whole) else { continue };
            let Some(place) = change.place.get(..len) else { continue };
            let known = (line, place.to_owned());
            if self.dummies.contains_key(&known) {
                return true;
            }
            if self.left[line] == 0 {
                continue;
            }
            self.left[line] -= 1;
            let mut whole = change.clone();
            whole.place = place.to_owned();
            whole.tag = self.receipt.lines[line].path.last().copied().unwrap_or(change.tag);
            (whole.kind, whole.raw, whole.out) = (Kind::Replaced, None, None);
            self.dummies.insert(known, self.verdict.changes.len());
            self.put(whole, Why::Line(line));
            return true;
        }
        false
    }

    /// Tells the lines of which too few changes were seen. What had nothing to change counts as done.
    fn close(&mut self, found: &Found) {
        for (node, lines) in &self.lines {
            let census = found.census.get(node).copied().unwrap_or_default();
            let mut allowed = HashMap::new();
            for &number in lines {
                let line = &self.receipt.lines[number];
                let without = allowed.entry(line.action).or_insert(match line.action {
                    // It stood inside something that went as a whole.
                    Action::Removed => census.gone_with,
                    Action::Emptied => census.empty,
                    // The dummy, or what the profile puts in, stood there already.
                    Action::Dummy | Action::Added => census.kept,
                    // A new UID or pseudonym never is the old one.
                    Action::Mapped => 0,
                });
                let spent = self.left[number].min(*without);
                *without -= spent;
                let count = self.left[number] - spent;
                if count > 0 {
                    self.verdict.undone.push(Undone { line: line.clone(), count });
                }
            }
        }
        self.verdict.undone.sort_by(|a, b| a.line.path.cmp(&b.line.path));
    }
}

/// Whether a line of a receipt makes a change of this kind.
fn makes(line: &Line, kind: Kind) -> bool {
    match kind {
        Kind::Removed => line.action == Action::Removed && !is_cut(line),
        Kind::Emptied => matches!(line.action, Action::Emptied | Action::Dummy),
        Kind::Replaced => matches!(line.action, Action::Mapped | Action::Dummy | Action::Added),
        Kind::Added => matches!(line.action, Action::Added | Action::Dummy),
        Kind::Cut(what) => line.action == Action::Removed && matches!(&line.rule, Rule::General(name) if name == what),
        Kind::Trailing => line.action == Action::Removed,
        Kind::Twice | Kind::Preamble | Kind::Frames => false,
    }
}

/// Whether a line is about a segment inside the frames, not about the pixel data as such.
fn is_cut(line: &Line) -> bool {
    matches!(&line.rule, Rule::General(name) if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()))
}
