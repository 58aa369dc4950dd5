//! Texts to dates and timestamps as `CAST` and the JSON reader take them. Spark's `SparkDateTimeUtils`.

use super::civil::{self, MICROS_PER_DAY, MICROS_PER_SECOND};
use super::zone::Zone;

/// Microseconds since 1970. `yyyy`, `yyyy-[m]m`, `yyyy-[m]m-[d]d`, behind that a space or `T` and
/// `[h]h`, `[h]h:[m]m`, `[h]h:[m]m:[s]s[.fraction][zone]`; a time alone is one of today, which `now_micros` knows.
pub(crate) fn timestamp(text: &str, zone: Zone, now_micros: i64) -> Option<i64> {
    if let Some(micros) = common_timestamp(text.as_bytes(), zone) {
        return Some(micros);
    }
    let parts = Parts::parse(trim(text))?;
    let zone = match parts.zone {
        Some(name) => Zone::named(name.trim())?,
        None => zone,
    };
    let day = match parts.date {
        Some((year, month, day)) => civil::days(year, month, day)?,
        None => zone.to_local(now_micros).div_euclid(MICROS_PER_DAY),
    };
    zone.to_utc(micros_of(day, parts.time_micros()?)?)
}

/// As [`timestamp`], for a type without a zone: a text with one is refused.
pub(crate) fn timestamp_without_zone(text: &str) -> Option<i64> {
    let parts = Parts::parse(trim(text))?;
    let (year, month, day) = parts.date.filter(|_| parts.zone.is_none())?;
    micros_of(civil::days(year, month, day)?, parts.time_micros()?)
}

/// As [`timestamp_without_zone`], but what a text says of its zone is left out, as `CAST` does.
pub(crate) fn timestamp_ignoring_zone(text: &str) -> Option<i64> {
    let parts = Parts::parse(trim(text))?;
    if let Some(name) = parts.zone {
        Zone::named(name.trim())?;
    }
    let (year, month, day) = parts.date?;
    micros_of(civil::days(year, month, day)?, parts.time_micros()?)
}

/// Days since 1970. `[+-]yyyy`, `yyyy-[m]m`, `yyyy-[m]m-[d]d`, behind which after a space or a `T` anything may stand.
pub(crate) fn date(text: &str) -> Option<i32> {
    let text = trim(text);
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let mut parts = rest.splitn(3, '-');
    let year = digits(parts.next()?, 4..=7)?;
    let month = parts.next().map_or(Some(1), |month| digits(month, 1..=2))?;
    let day = match parts.next() {
        Some(day) => digits(day.split([' ', 'T']).next()?, 1..=2)?,
        None => 1,
    };
    let days = civil::days(sign * year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
    i32::try_from(days).ok()
}

/// `yyyy-mm-ddThh:mm:ss[.fraction][Z]`, which nearly all records have.
fn common_timestamp(text: &[u8], zone: Zone) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b' ', h0, h1, b':', i0, i1, b':', s0, s1] = *head
    else {
        return None;
    };
    let two = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
    };
    let year = i64::from(two(y0, y1)? * 100 + two(y2, y3)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', digits)) => fraction(digits)?,
        _ => (0, rest),
    };
    let day = civil::days(year, two(m0, m1)?, two(d0, d1)?)?;
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    let local = day * MICROS_PER_DAY + seconds * MICROS_PER_SECOND + fraction;
    match rest {
        b"Z" => Some(local),
        [] => zone.to_utc(local),
        _ => None,
    }
}

/// Microseconds, and what stands behind the digits.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let (mut micros, mut unit, mut rest) = (0, 100_000, text);
    while let Some((digit @ b'0'..=b'9', behind)) = rest.split_first() {
        micros += i64::from(digit - b'0') * unit;
        unit /= 10;
        rest = behind;
    }
    Some((micros, rest))
}

#[derive(Default)]
struct Parts<'a> {
    date: Option<(i64, u32, u32)>,
    hour: u32,
    minute: u32,
    second: u32,
    micros: i64,
    zone: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Option<Parts<'a>> {
        let mut parts = Parts::default();
        if let Some(time) = text.strip_prefix('T') {
            parts.read_time(time)?;
            return Some(parts);
        }
        let is_time = text.find(':').is_some_and(|at| at <= 2);
        if is_time {
            parts.read_time(text)?;
            return Some(parts);
        }
        let (sign, text) = match text.strip_prefix('-') {
            Some(text) => (-1, text),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let mut fields = text.splitn(3, '-');
        let year = sign * digits(fields.next()?, 4..=6)?;
        let month = fields.next().map_or(Some(1), |month| digits(month, 1..=2))?;
        let (day, time) = match fields.next() {
            Some(rest) => {
                let (day, time) =
                    rest.split_once([' ', 'T']).map_or((rest, None), |(day, time)| (day, Some(time)));
                (digits(day, 1..=2)?, time)
            }
            None => (1, None),
        };
        parts.date = Some((year, u32::try_from(month).ok()?, u32::try_from(day).ok()?));
        if let Some(time) = time {
            parts.read_time(time)?;
        }
        Some(parts)
    }

    /// A zone may stand behind seconds alone.
    fn read_time(&mut self, text: &'a str) -> Option<()> {
        let mut fields = text.splitn(3, ':');
        let number = |text: &str| digits(text, 1..=2).and_then(|number| u32::try_from(number).ok());
        self.hour = number(fields.next()?)?;
        let Some(minute) = fields.next() else {
            return Some(());
        };
        self.minute = number(minute)?;
        let Some(rest) = fields.next() else {
            return Some(());
        };
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (second, rest) = rest.split_at(end);
        self.second = number(second)?;
        let mut behind = rest;
        if let Some(digits) = rest.strip_prefix('.') {
            let (micros, rest) = fraction(digits.as_bytes())?;
            self.micros = micros;
            behind = digits.get(digits.len() - rest.len()..)?;
        }
        self.zone = (!behind.is_empty()).then_some(behind);
        Some(())
    }

    fn time_micros(&self) -> Option<i64> {
        let in_range = self.hour < 24 && self.minute < 60 && self.second < 60;
        let seconds = i64::from(self.hour * 3600 + self.minute * 60 + self.second);
        in_range.then_some(seconds * MICROS_PER_SECOND + self.micros)
    }
}

fn micros_of(day: i64, time_micros: i64) -> Option<i64> {
    day.checked_mul(MICROS_PER_DAY)?.checked_add(time_micros)
}

fn digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let is_number = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Without spaces and control characters at either end.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}

#[cfg(test)]
mod tests {
    use super::super::zone::Zone;
    use super::*;

    // What Spark 4.1.1 answered in the zone Europe/Berlin.

    #[test]
    fn timestamps_are_read_as_spark_reads_them() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let now = 1_795_800_000_000_000;
        let day = 1_795_734_000; // 2026-11-27 in Berlin
        let ten = day + 36_000;
        for (text, seconds) in [
            ("2026-11-27T10:00:00.000Z", Some(ten + 3600)),
            ("2026-11-27 10:00:00", Some(ten)),
            ("2026-11-27", Some(day)),
            ("2026-11", Some(1_793_487_600)),
            ("2026", Some(1_767_222_000)),
            ("2026-11-27 10:00", Some(ten)),
            ("2026-11-27T10", Some(ten)),
            ("2026-1-7 1:2:3", Some(1_767_744_123)),
            ("2026-11-27T10:00:00 Europe/Paris", Some(ten)),
            ("2026-11-27T10:00:00 UTC+1", Some(ten)),
            ("2026-11-27T10:00:00+1", Some(ten)),
            ("2026-11-27T10:00:00EST", Some(ten + 6 * 3600)),
            ("2026-11-27T10:00:00-0800", Some(ten + 9 * 3600)),
            ("2026-11-27T10:00:00.", Some(ten)),
            ("10:00:00", Some(ten)),
            ("T10:00", Some(ten)),
            (" 2026-11-27 10:00:00 ", Some(ten)),
            ("+2026-11-27T10:00:00", Some(ten)),
            ("2026-03-29 02:30:00", Some(1_774_747_800)),
            ("0001-01-01 00:00:00", Some(-62_135_600_008)),
            ("now", None),
            ("epoch", None),
            ("1700000000", None),
            ("", None),
            ("2026-02-30 10:00:00", None),
            ("2026-11-27T24:00:00", None),
            ("2026-11-27T10:00:60", None),
            ("2026-11-27T10:00Z", None),
            ("2026-11-27T", None),
            ("2026-11-27  10:00:00", None),
            ("26-11-27", None),
            ("2026-11-27 10:00:00 foo", None),
            ("2026-11-27T10:00:00+25:00", None),
            ("300000-11-27 10:00:00", None),
        ] {
            let micros = timestamp(text, berlin, now);
            assert_eq!(micros, seconds.map(|seconds| seconds * 1_000_000), "{text}");
        }
        let fraction = timestamp("2026-11-27T10:00:00.1234567891234+02:00", berlin, now);
        assert_eq!(fraction, Some((ten - 3600) * 1_000_000 + 123_456));
        assert_eq!(timestamp_without_zone("2026-11-27T10:00:00.000Z"), None);
        assert_eq!(timestamp_without_zone("2026-11-27T10:00:00.5"), Some((ten + 3600) * 1_000_000 + 500_000));
    }

    #[test]
    fn dates_are_read_as_spark_reads_them() {
        for (text, days) in [
            ("2026-11-27", Some(20_784)),
            ("2026-11-27T10:00:00Z", Some(20_784)),
            ("2026-11-27 foo", Some(20_784)),
            ("2026-11-27 ", Some(20_784)),
            ("2026-1-7", Some(20_460)),
            ("2026", Some(20_454)),
            ("2026-11-27foo", None),
            ("x", None),
            ("20261127", None),
        ] {
            assert_eq!(date(text), days, "{text}");
        }
    }
}
