//! The history of a stream as a timeline: one line an entry.

use compliance::history::{Moment, Outcome};

use super::colour::{Style, Tone};
use super::item::printable;
use super::table::{Cell, Table};

/// Returns the timeline. Every entry's date is that of the first line unless it says otherwise, so only the time stands
/// in the lines behind it.
pub(crate) fn render(moments: &[Moment], style: Style) -> String {
    let mut table = Table::new(["#seq", "recorded (UTC)", "step", "outcome", "entry"]);
    let mut day = "";
    for moment in moments {
        let (date, time) = moment.recorded_at.split_once('T').unwrap_or(("", &moment.recorded_at));
        let time = time.strip_suffix('Z').unwrap_or(time);
        let shown = if date == day {
            format!("{:>width$}", time, width = date.len() + 1 + time.len())
        } else {
            format!("{date} {time}")
        };
        day = date;
        let (tone, sign) = sign(moment.outcome);
        table.row([
            moment.seq.to_string().into(),
            shown.into(),
            printable(&moment.step).into(),
            Cell::new(tone, format!("{sign} {}", printable(&moment.told))),
            Cell::new(Tone::Dim, moment.hash8.as_str()),
        ]);
    }
    table.render(style)
}

/// Returns the sign of an outcome, and its tone.
pub(crate) const fn sign(outcome: Outcome) -> (Tone, &'static str) {
    match outcome {
        Outcome::Done => (Tone::Good, "✓"),
        Outcome::Refused => (Tone::Warn, "■"),
        Outcome::Failed => (Tone::Bad, "✗"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_says_the_day_once_and_the_hash_short() {
        let moment = |seq, at: &str, step: &str, outcome, told: &str| Moment {
            seq,
            recorded_at: at.into(),
            step: step.into(),
            outcome,
            told: told.into(),
            hash8: "6645a444".into(),
        };
        let moments = [
            moment(0, "2026-11-23T23:59:59.900Z", "intake", Outcome::Done, "received"),
            moment(1, "2026-11-23T23:59:59.950Z", "ingestion", Outcome::Done, "ingested"),
            moment(2, "2026-11-24T00:00:00.100Z", "quarantine", Outcome::Refused, "quarantined: pixel"),
        ];
        assert_eq!(
            render(&moments, Style::PLAIN),
            "seq  recorded (UTC)           step        outcome               entry\n  \
             0  2026-11-23 23:59:59.900  intake      ✓ received            6645a444\n  \
             1             23:59:59.950  ingestion   ✓ ingested            6645a444\n  \
             2  2026-11-24 00:00:00.100  quarantine  ■ quarantined: pixel  6645a444\n"
        );
    }
}
