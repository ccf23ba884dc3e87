//! The one form of time in the ledger: UTC, milliseconds, `2026-11-23T05:00:00.000Z`. Nothing here reads a clock.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_MS: u64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z: four digits of year are all that the form has.
const LAST_MS: u64 = 253_402_300_799_999;

/// A time in UTC with milliseconds, from 1970-01-01 to 9999-12-31.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UtcMillis(u64);

impl UtcMillis {
    /// Takes milliseconds since 1970-01-01T00:00:00Z; a time after the year 9999 becomes the last one.
    pub const fn from_unix_ms(ms: u64) -> Self {
        Self(if ms > LAST_MS { LAST_MS } else { ms })
    }

    /// Takes a time that the caller read from its clock; one before 1970 becomes the first one.
    pub fn from_system_time(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(LAST_MS))
    }

    /// Returns milliseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// Returns the time that `text` spells in exactly the form that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let t = text.as_bytes();
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
        if t.len() != 24 || marks.iter().any(|&(at, mark)| t[at] != mark) {
            return None;
        }
        let number = |from: usize, to: usize| {
            t[from..to].iter().try_fold(0u64, |n, d| d.is_ascii_digit().then(|| n * 10 + u64::from(d - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second, ms) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
        let in_range = year >= 1970 && (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month);
        if !in_range || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        Some(Self(days_since_1970(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + ms))
    }
}

impl fmt::Display for UtcMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0 / DAY_MS);
        let ms = self.0 % DAY_MS;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let fields = [
            (0, 4, year),
            (5, 7, month),
            (8, 10, day),
            (11, 13, ms / 3_600_000),
            (14, 16, ms / 60_000 % 60),
            (17, 19, ms / 1000 % 60),
            (20, 23, ms % 1000),
        ];
        for (from, to, mut number) in fields {
            for digit in text[from..to].iter_mut().rev() {
                *digit += (number % 10) as u8;
                number /= 10;
            }
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + is_leap(year) as u64,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before the first of March of each month, counted from March, so that the leap day comes last.
const fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (from_march * 153 + 2) / 5 + day - 1;
    days - 719_468
}

const fn date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + (month <= 2) as u64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_until_9999_is_written_and_read_back() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LAST_MS / DAY_MS {
            let text = format!("{year:04}-{month:02}-{day:02}T23:59:58.007Z");
            let time = UtcMillis::from_unix_ms(days * DAY_MS + 86_398_007);
            assert_eq!(time.to_string(), text);
            assert_eq!(UtcMillis::parse(&text), Some(time));
            day += 1;
            if day > days_in(year, month) {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!(year, 10_000, "the walk ends with the last day of 9999");
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for text in [
            "2026-02-29T00:00:00.000Z",
            "2100-02-29T00:00:00.000Z",
            "2026-04-31T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-00-10T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T23:60:00.000Z",
            "2026-12-31T23:59:60.000Z",
            "1969-12-31T23:59:59.999Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01t00:00:00.000Z",
            "2026-01-01T00:00:00.00+Z",
        ] {
            assert_eq!(UtcMillis::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_out_of_range_becomes_the_nearest_one() {
        assert_eq!(UtcMillis::from_unix_ms(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(UtcMillis::from_system_time(UNIX_EPOCH - Duration::from_secs(5)).unix_ms(), 0);
    }
}
