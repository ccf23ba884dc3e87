//! `--from` and `--to`: the part of the log's time that a verb is asked about.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;

const DAY_MS: u64 = 86_400_000;

/// The two options; `#[command(flatten)]` them into a verb's arguments.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Times {
    /// From this time on: 2026-11-23, 2026-11-23T05:00:00Z, or how long ago: 30d, 12h, 45m
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<When>,
    /// Up to this time, which is not part of it; same forms as --from
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<When>,
}

/// A time as a person names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    At(u64),
    /// Milliseconds before the moment of asking.
    Ago(u64),
}

/// A time that has none of the forms. Repeats nothing of it.
#[derive(Debug)]
pub(crate) struct NoTime;

impl std::error::Error for NoTime {}

impl fmt::Display for NoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time such as 2026-11-23, 2026-11-23T05:00:00Z, 30d, 12h or 45m")
    }
}

impl FromStr for When {
    type Err = NoTime;

    /// Reads RFC 3339, a date (its midnight in UTC), or a number of days, hours or minutes ago. From 1970 on.
    fn from_str(text: &str) -> Result<Self, NoTime> {
        if let Some((number, unit_ms)) = relative(text) {
            let ago = number.parse::<u32>().map_err(|_| NoTime)?;
            return Ok(Self::Ago(u64::from(ago) * unit_ms));
        }
        let is_date = text.len() == 10;
        let full = if is_date { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let time = OffsetDateTime::parse(&full, &Rfc3339).map_err(|_| NoTime)?;
        u64::try_from(time.unix_timestamp_nanos() / 1_000_000).map(Self::At).map_err(|_| NoTime)
    }
}

fn relative(text: &str) -> Option<(&str, u64)> {
    let units = [("d", DAY_MS), ("h", 3_600_000), ("m", 60_000)];
    let found = units.into_iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)))?;
    found.0.bytes().all(|byte| byte.is_ascii_digit()).then_some(found)
}

impl When {
    fn unix_ms(self, now_ms: u64) -> u64 {
        match self {
            Self::At(ms) => ms,
            Self::Ago(ms) => now_ms.saturating_sub(ms),
        }
    }
}

/// A span of time: `from_ms <= t < to_ms`, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first millisecond of it; 0 where the log's begin is meant.
    pub(crate) from_ms: u64,
    /// The first millisecond after it; `u64::MAX` where it has no end.
    pub(crate) to_ms: u64,
}

impl Times {
    /// Whether neither option was given.
    pub(crate) const fn is_empty(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Returns the span that is asked for at `now_ms`; all of time if neither option was given.
    ///
    /// # Errors
    /// A usage error if no millisecond is in it.
    pub(crate) fn range(&self, now_ms: u64) -> Result<Range, Error> {
        let from_ms = self.from.map_or(0, |when| when.unix_ms(now_ms));
        let to_ms = self.to.map_or(u64::MAX, |when| when.unix_ms(now_ms));
        if from_ms < to_ms {
            return Ok(Range { from_ms, to_ms });
        }
        Err(Error::Usage { what: "--to is not later than --from".to_owned(), near: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOV_23_MS: u64 = 1_795_392_000_000;

    fn at(text: &str) -> Option<When> {
        text.parse().ok()
    }

    #[test]
    fn a_date_is_its_midnight_in_utc() {
        assert_eq!(at("2026-11-23"), Some(When::At(NOV_23_MS)));
        assert_eq!(at("1970-01-01"), Some(When::At(0)));
    }

    #[test]
    fn a_time_of_rfc_3339_counts_with_its_offset_and_to_the_millisecond() {
        assert_eq!(at("2026-11-23T05:00:00Z"), Some(When::At(NOV_23_MS + 5 * 3_600_000)));
        assert_eq!(at("2026-11-23T05:00:00.2509+05:00"), Some(When::At(NOV_23_MS + 250)));
    }

    #[test]
    fn days_hours_and_minutes_count_back_from_the_moment_of_asking() {
        let range = Times { from: at("30d"), to: at("12h") }.range(NOV_23_MS).expect("a range");
        assert_eq!(range, Range { from_ms: NOV_23_MS - 30 * DAY_MS, to_ms: NOV_23_MS - DAY_MS / 2 });
        assert_eq!(at("45m"), Some(When::Ago(2_700_000)));
    }

    #[test]
    fn other_forms_are_refused() {
        for wrong in
            ["", "d", "-3d", "30 d", "30w", "2026-11-31", "23.11.2026", "2026-11-23T05:00", "1969-12-31", "+1h"]
        {
            assert_eq!(at(wrong), None, "{wrong}");
        }
        assert_eq!(at("99999999999999999999d"), None);
    }

    #[test]
    fn no_option_is_all_of_time_and_a_range_without_a_moment_is_a_usage_error() {
        let all = Times::default();
        assert!(all.is_empty());
        assert_eq!(all.range(NOV_23_MS).expect("a range"), Range { from_ms: 0, to_ms: u64::MAX });
        let turned = Times { from: at("2026-11-23"), to: at("2026-11-23") };
        assert_eq!(turned.range(NOV_23_MS).expect_err("no moment").code(), "usage");
    }
}
