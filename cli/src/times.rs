//! Points and spans of time as people write them: `--from` and `--to` of every verb.

use domain::events::Time;
use ledger::UtcMillis;

/// A span of time in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first millisecond that belongs to it.
    pub(crate) from_ms: u64,
    /// The first that does not.
    pub(crate) to_ms: u64,
}

/// What a time may look like, for error messages.
pub(crate) const FORMS: &str =
    "a time like 2026-11-23T05:00:00Z, a date like 2026-11-23 (midnight UTC), or 30d or 12h ago";

/// Returns the span between two times, `to` not included; `None` if one of them is no time or the span is empty.
pub(crate) fn range(from: Option<&str>, to: Option<&str>, now_ms: u64) -> Option<Range> {
    let from_ms = from.map_or(Some(0), |text| point(text, now_ms))?;
    let to_ms = to.map_or(Some(u64::MAX), |text| point(text, now_ms))?;
    (from_ms < to_ms).then_some(Range { from_ms, to_ms })
}

/// Returns the time in milliseconds that `text` names.
pub(crate) fn point(text: &str, now_ms: u64) -> Option<u64> {
    if let Some((digits, unit_ms)) = relative(text) {
        return now_ms.checked_sub(digits.parse::<u64>().ok()?.checked_mul(unit_ms)?);
    }
    if text.len() == 10 {
        return strict(&format!("{text}T00:00:00.000Z"));
    }
    let (local, offset_minutes) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => offset(text)?,
    };
    let (whole, fraction) = local.split_once('.').unwrap_or((local, "0"));
    let is_fraction = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let ms: String = fraction.chars().chain("00".chars()).take(3).collect();
    let local_ms = strict(&format!("{}.{ms}Z", whole.replace('t', "T"))).filter(|_| is_fraction)?;
    u64::try_from(i64::try_from(local_ms).ok()?.checked_sub(offset_minutes * 60_000)?).ok()
}

/// `30d`, `12h`: digits and the milliseconds of their unit.
fn relative(text: &str) -> Option<(&str, u64)> {
    let (digits, unit_ms) = match text.split_at_checked(text.len().checked_sub(1)?)? {
        (digits, "d") => (digits, 86_400_000),
        (digits, "h") => (digits, 3_600_000),
        (digits, "m") => (digits, 60_000),
        _ => return None,
    };
    (!digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit())).then_some((digits, unit_ms))
}

/// Splits `…+02:00` into the time and the minutes east of Greenwich.
fn offset(text: &str) -> Option<(&str, i64)> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (sign, minutes) = match offset.as_bytes() {
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|d| d.is_ascii_digit()) => {
            let number = |tens: &u8, ones: &u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
            let (hours, minutes) = (number(h1, h2), number(m1, m2));
            (*sign, (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?)
        }
        _ => return None,
    };
    Some((local, if sign == b'-' { -minutes } else { minutes }))
}

fn strict(text: &str) -> Option<u64> {
    Time::parse(text).and_then(|time| UtcMillis::parse(time.as_str())).map(UtcMillis::unix_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_795_410_000_250;

    #[test]
    fn times_are_read_in_every_form_that_is_told() {
        for (text, ms) in [
            ("2026-11-23T05:00:00.250Z", NOW_MS),
            ("2026-11-23T05:00:00Z", NOW_MS - 250),
            ("2026-11-23T05:00:00.25z", NOW_MS),
            ("2026-11-23T07:30:00+02:30", NOW_MS - 250),
            ("2026-11-22T23:00:00-06:00", NOW_MS - 250),
            ("2026-11-23", NOW_MS - 250 - 5 * 3_600_000),
            ("12h", NOW_MS - 12 * 3_600_000),
            ("30d", NOW_MS - 30 * 86_400_000),
        ] {
            assert_eq!(point(text, NOW_MS), Some(ms), "{text}");
        }
        for wrong in
            ["", "d", "yesterday", "2026-02-30", "2026-11-23T25:00:00Z", "2026-11-23T05:00:00", "-3d", "99999999d"]
        {
            assert_eq!(point(wrong, NOW_MS), None, "{wrong}");
        }
    }

    #[test]
    fn a_span_is_open_where_no_end_is_named_and_never_empty() {
        assert_eq!(range(Some("1h"), None, NOW_MS), Some(Range { from_ms: NOW_MS - 3_600_000, to_ms: u64::MAX }));
        assert_eq!(range(None, Some("1h"), NOW_MS), Some(Range { from_ms: 0, to_ms: NOW_MS - 3_600_000 }));
        assert_eq!(range(Some("1h"), Some("1h"), NOW_MS), None);
    }
}
