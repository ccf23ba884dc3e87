//! The history of a stream as a timeline: one line an entry.

use super::colour::{Style, Tone};
use super::table::{Cell, Table};

/// How an entry's step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Done,
    /// The object was refused.
    Refused,
    /// The step failed.
    Failed,
}

/// One entry of a ledger, as people look at it.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Its number in its stream, from 0.
    pub(crate) seq: u64,
    /// When it was recorded: `2026-11-23T05:00:00.000Z`.
    pub(crate) recorded_at: String,
    /// Who acted: `ingestion`.
    pub(crate) step: String,
    /// How it went.
    pub(crate) outcome: Outcome,
    /// What happened, in a few words.
    pub(crate) told: String,
    /// The entry's hash in hex.
    pub(crate) hash: String,
}

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
        let (tone, sign) = match moment.outcome {
            Outcome::Done => (Tone::Good, "✓"),
            Outcome::Refused => (Tone::Warn, "■"),
            Outcome::Failed => (Tone::Bad, "✗"),
        };
        table.row([
            moment.seq.to_string().into(),
            shown.into(),
            moment.step.as_str().into(),
            Cell::new(tone, format!("{sign} {}", moment.told)),
            Cell::new(Tone::Dim, moment.hash.chars().take(8).collect::<String>()),
        ]);
    }
    table.render(style)
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
            hash: "6645a4445827655e".into(),
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
