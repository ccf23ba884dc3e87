//! The figures, as SVG drawn from the numbers: no script, no clock, no font of their own. Colour never says anything alone.

use ledger::UtcMillis;
use maud::{Markup, html};

use super::grouped;
use crate::report::{Access, Block, ClassActions, Funnel, Phase, Study};

const INK: &str = "#1b2733";
const SOFT: &str = "#51606e";
const BLUE: &str = "#2f6fa8";
const PALE: &str = "#dbe7f1";
const RED: &str = "#a61b1b";
const WIDTH: u64 = 1000;

/// The actions of de-identification with their colours, in the order of the bars.
pub(super) const ACTIONS: [(&str, &str); 6] = [
    ("removed", "#1f4e79"),
    ("emptied", "#5b8db8"),
    ("replaced", "#d08a2e"),
    ("mapped", "#4f8a5b"),
    ("added", "#8a6fae"),
    ("several", "#8b97a2"),
];

/// Returns `part / whole * width`, rounded down.
fn share(part: u64, whole: u64, width: u64) -> u64 {
    let product = u128::from(part) * u128::from(width) / u128::from(whole.max(1));
    u64::try_from(product).unwrap_or(width).min(width)
}

/// A figure with a title and a description for those who do not see it.
fn figure(id: &str, caption: &str, description: &str, height: u64, drawn: &Markup) -> Markup {
    html! {
        figure {
            figcaption { (caption) }
            svg viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height) role="img"
                aria-labelledby=(format!("{id}-t {id}-d")) {
                title id=(format!("{id}-t")) { (caption) }
                desc id=(format!("{id}-d")) { (description) }
                (drawn)
            }
        }
    }
}

fn text(x: u64, y: u64, anchor: &str, fill: &str, size: u64, words: &str) -> Markup {
    html! { text x=(x) y=(y) text-anchor=(anchor) fill=(fill) font-size=(size) { (words) } }
}

fn block(x: u64, y: u64, width: u64, height: u64, fill: &str) -> Markup {
    html! { rect x=(x) y=(y) width=(width) height=(height) fill=(fill) {} }
}

/// Draws how many objects came how far: one bar a step, centred, and what left the way beside it.
pub(super) fn funnel(funnel: &Funnel) -> Markup {
    let steps = [
        ("received", funnel.received),
        ("ingested", funnel.ingested),
        ("validated", funnel.validated),
        ("de-identified", funnel.deidentified),
        ("delivered", funnel.delivered),
    ];
    let most = steps.iter().map(|step| step.1).max().unwrap_or(0);
    let aside = [("quarantined", funnel.quarantined), ("failed", funnel.failed), ("no end yet", funnel.open)];
    let told: Vec<String> = steps.iter().chain(&aside).map(|(name, count)| format!("{name} {count}")).collect();
    let (left, wide) = (140, 560);
    let drawn = html! {
        @for (row, (name, count)) in (0u64..).zip(steps) {
            @let width = share(count, most, wide).max(2);
            @let (x, y) = (left + (wide - width) / 2, row * 38 + 4);
            (block(left, y, wide, 30, "#f1f5f8"))
            (block(x, y, width, 30, if row == 4 { "#2c7a51" } else { BLUE }))
            (text(left - 12, y + 20, "end", INK, 15, name))
            @if width > 90 {
                (text(left + wide / 2, y + 20, "middle", "#ffffff", 15, &grouped(count)))
            } @else {
                (text(x + width + 8, y + 20, "start", INK, 15, &grouped(count)))
            }
        }
        @for (row, (name, count)) in (0u64..).zip(aside) {
            @let y = 42 + row * 38;
            @let fill = if count > 0 && row < 2 { RED } else { SOFT };
            (block(760, y, 6, 30, fill))
            (text(778, y + 20, "start", fill, 15, &format!("{} {name}", grouped(count))))
        }
    };
    figure("funnel", "Objects by step reached", &format!("{}.", told.join(", ")), 196, &drawn)
}

/// Draws the log as a strip of blocks.
pub(super) fn chain(blocks: &[Block]) -> Markup {
    let bad: Vec<&str> = blocks.iter().filter(|block| block.bad).map(|block| block.label.as_str()).collect();
    let most = blocks.iter().map(|block| block.entries).max().unwrap_or(1);
    let step = WIDTH / (blocks.len() as u64).max(1);
    let step = step.min(120);
    let described = match bad.len() {
        0 => format!("{} blocks, no gap and no finding in any of them.", blocks.len()),
        _ => format!("{} blocks; gaps or findings in: {}.", blocks.len(), bad.join(", ")),
    };
    let ends = [blocks.first(), blocks.last().filter(|_| blocks.len() > 1)];
    let used = step * blocks.len() as u64;
    let drawn = html! {
        @for (at, one) in (0u64..).zip(blocks) {
            @let height = share(one.entries, most, 44).max(4);
            @let scope = share(one.in_scope, one.entries, height);
            @let (x, wide) = (at * step, step.saturating_sub(3).max(2));
            @if one.bad {
                (block(x, 6, wide, 48, RED))
                (text(x + wide / 2, 68, "middle", RED, 12, "✗"))
            } @else {
                (block(x, 54 - height, wide, height, PALE))
                (block(x, 54 - scope, wide, scope, BLUE))
                line x1=(x) y1="58" x2=(x + wide) y2="58" stroke="#2c7a51" stroke-width="3" {}
            }
        }
        @for (at, end) in ends.iter().enumerate() {
            @if let Some(end) = end {
                (text(if at == 0 { 0 } else { used }, 86, if at == 0 { "start" } else { "end" }, SOFT, 13, &end.label))
            }
        }
    };
    let caption =
        "The log in blocks (height: entries; dark: in scope; green line: nothing found; red and ✗: a gap or a finding)";
    figure("chain", caption, &described, 92, &drawn)
}

/// Draws the actions on each class of identifiers as one bar.
pub(super) fn classes(classes: &[ClassActions]) -> Markup {
    let met: Vec<&ClassActions> = classes.iter().filter(|sum| sum.attributes > 0).collect();
    let total = |sum: &ClassActions| sum.actions.values().sum::<u64>();
    let most = met.iter().map(|sum| total(sum)).max().unwrap_or(0);
    let told: Vec<String> = met.iter().map(|sum| format!("{} {}", sum.class.name, total(sum))).collect();
    let (left, wide) = (300, 590);
    let drawn = html! {
        @for (at, (word, fill)) in (0u64..).zip(ACTIONS.iter().take(5)) {
            (block(left + at * 112, 2, 13, 13, fill))
            (text(left + at * 112 + 19, 14, "start", INK, 13, word))
        }
        @for (row, sum) in (0u64..).zip(&met) {
            @let y = 28 + row * 26;
            (text(left - 12, y + 14, "end", INK, 13, &format!("{} ({})", sum.class.name, sum.class.letter)))
            (bars(sum, left, y, share(total(sum), most, wide)))
            (text(left + share(total(sum), most, wide).max(2) + 8, y + 14, "start", SOFT, 13, &grouped(total(sum))))
        }
    };
    let caption = "Actions on attributes by class of identifier, 45 CFR 164.514(b)(2)(i)";
    figure("classes", caption, &format!("{}.", told.join(", ")), 34 + 26 * met.len() as u64, &drawn)
}

/// The parts of one bar, side by side, together `width` wide.
fn bars(sum: &ClassActions, left: u64, y: u64, width: u64) -> Markup {
    let total: u64 = sum.actions.values().sum();
    let mut before = 0;
    html! {
        @for (word, fill) in ACTIONS {
            @let count = sum.actions.get(word).copied().unwrap_or(0);
            @let from = share(before, total, width.max(2));
            @let to = share(before + count, total, width.max(2));
            @if count > 0 { (block(left + from, y, (to - from).max(1), 18, fill)) }
            ({ before += count; "" })
        }
    }
}

/// Draws who did what how often: one row a person, one column an action.
pub(super) fn heat(accesses: &[Access], people: &[&str], actions: &[&str]) -> Markup {
    let count = |person: &str, action: &str| {
        accesses.iter().find(|one| one.actor == person && one.action == action).map_or(0, |one| one.count)
    };
    let most = accesses.iter().map(|one| one.count).max().unwrap_or(1);
    let left = 150;
    let wide = ((WIDTH - left) / (actions.len() as u64).max(1)).min(170);
    let height = 34 + 34 * people.len() as u64;
    let drawn = html! {
        @for (column, action) in (0u64..).zip(actions) {
            (text(left + column * wide + wide / 2, 20, "middle", INK, 12, action))
        }
        @for (row, person) in (0u64..).zip(people) {
            @let y = 30 + row * 34;
            (text(left - 12, y + 20, "end", INK, 13, &short(person)))
            @for (column, action) in (0u64..).zip(actions) {
                @let found = count(person, action);
                @let (fill, ink) = heat_of(found, most);
                (block(left + column * wide, y, wide - 3, 31, fill))
                (text(left + column * wide + wide / 2, y + 20, "middle", ink, 13, &grouped(found)))
            }
        }
    };
    let told: Vec<String> =
        accesses.iter().map(|one| format!("{} {} {}", short(&one.actor), one.action, one.count)).collect();
    figure("heat", "Acts by user and kind (darker: more often)", &format!("{}.", told.join(", ")), height, &drawn)
}

/// Fill and ink of a cell, by powers of the most frequent one; each pair has a contrast of at least 4.5.
const fn heat_of(count: u64, most: u64) -> (&'static str, &'static str) {
    if count == 0 {
        ("#f4f7f9", SOFT)
    } else if count * 4 <= most {
        ("#cfe0ee", INK)
    } else if count * 2 <= most {
        ("#a9c8e0", INK)
    } else {
        ("#2a659b", "#ffffff")
    }
}

/// Draws when each phase of a study began and ended, on one axis.
pub(super) fn timeline(id: &str, study: &Study) -> Markup {
    let ms = |text: &str| UtcMillis::parse(text).map_or(0, UtcMillis::unix_ms);
    let from = study.phases.iter().map(|phase| ms(&phase.first)).min().unwrap_or(0);
    let to = study.phases.iter().map(|phase| ms(&phase.last)).max().unwrap_or(0);
    let (left, wide) = (140, 640);
    let at = |time: &str| left + share(ms(time) - from, (to - from).max(1), wide);
    let fill = |phase: &Phase| match phase.phase {
        "quarantined" | "failed" => RED,
        "delivered" => "#2c7a51",
        _ => BLUE,
    };
    let told: Vec<String> = study
        .phases
        .iter()
        .map(|one| format!("{}: {} objects, {} to {}", one.phase, one.objects, one.first, one.last))
        .collect();
    let height = 22 * study.phases.len() as u64 + 26;
    let drawn = html! {
        @for (row, one) in (0u64..).zip(&study.phases) {
            @let y = row * 22;
            (text(left - 12, y + 14, "end", INK, 13, one.phase))
            (block(left, y + 4, wide, 12, "#f1f5f8"))
            (block(at(&one.first), y + 4, (at(&one.last) - at(&one.first)).max(4), 12, fill(one)))
            (text(left + wide + 14, y + 14, "start", SOFT, 13, &grouped(one.objects)))
        }
        (text(left, height - 8, "start", SOFT, 12, &UtcMillis::from_unix_ms(from).to_string()))
        (text(left + wide, height - 8, "end", SOFT, 12, &UtcMillis::from_unix_ms(to).to_string()))
    };
    figure(id, "Objects by phase, first to last", &format!("{}.", told.join("; ")), height, &drawn)
}

/// The first digits of a person's keyed hash.
pub(super) fn short(person: &str) -> String {
    person.chars().take(11).collect()
}
