//! Time zones by Java's names, and local times in them as Java resolves them.

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::OffsetName;
use datafusion::arrow::array::timezone::Tz;

use super::civil::MICROS_PER_SECOND;

/// Java's `ZoneId.SHORT_IDS`, which Spark knows, too.
const SHORT_IDS: &[(&str, &str)] = &[
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EST", "-05:00"),
    ("HST", "-10:00"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("MST", "-07:00"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// A zone with the offset that it always has, if it is such a zone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone {
    pub(crate) zone: Tz,
    fixed_seconds: Option<i32>,
}

impl Zone {
    pub(crate) fn new(zone: Tz) -> Zone {
        let name = name_of(zone);
        let is_utc = ["utc", "etc/utc", "z", "gmt", "etc/gmt", "zulu", "universal", "+00:00"]
            .contains(&name.to_lowercase().as_str());
        Zone { zone, fixed_seconds: is_utc.then_some(0).or_else(|| offset_seconds(&name)) }
    }

    /// By Java's rules for names, as `ZoneId.of` has them: `Z`, `+2`, `-08:30`, `UTC+1`, `Europe/Paris`, `PST`.
    pub(crate) fn named(name: &str) -> Option<Zone> {
        let name = SHORT_IDS.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
        if name == "Z" {
            return Zone::fixed(0);
        }
        for prefix in ["UTC", "GMT", "UT"] {
            match name.strip_prefix(prefix) {
                Some("") => return Zone::fixed(0),
                Some(offset) if offset.starts_with(['+', '-']) => {
                    return Zone::fixed(offset_seconds(offset)?);
                }
                _ => {}
            }
        }
        if name.starts_with(['+', '-']) {
            return Zone::fixed(offset_seconds(name)?);
        }
        name.parse().ok().map(Zone::new)
    }

    fn fixed(seconds: i32) -> Option<Zone> {
        let sign = if seconds < 0 { '-' } else { '+' };
        let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
        let zone = format!("{sign}{hours:02}:{minutes:02}").parse().ok()?;
        Some(Zone { zone, fixed_seconds: Some(seconds) })
    }

    /// The instant of a local time, both in microseconds. A time that a clock put forward skips is as far behind the
    /// gap as it is in it; of one that comes twice it is the first, as with Java's `ZonedDateTime`.
    pub(crate) fn to_utc(self, local_micros: i64) -> Option<i64> {
        if let Some(seconds) = self.fixed_seconds {
            return local_micros.checked_sub(i64::from(seconds) * MICROS_PER_SECOND);
        }
        let local = naive(local_micros)?;
        let offset = |local: &NaiveDateTime| {
            let offset = self.zone.offset_from_local_datetime(local).earliest()?;
            Some(i64::from(offset.fix().local_minus_utc()))
        };
        // No gap is longer than a day, and the offset before it is the one in force.
        let seconds = offset(&local).or_else(|| {
            let before = local.checked_sub_signed(TimeDelta::hours(24))?;
            let before = self.zone.offset_from_local_datetime(&before).latest()?;
            Some(i64::from(before.fix().local_minus_utc()))
        })?;
        local_micros.checked_sub(seconds * MICROS_PER_SECOND)
    }

    /// Seconds by which local time is ahead at an instant.
    pub(crate) fn offset_at(self, micros: i64) -> i32 {
        if let Some(seconds) = self.fixed_seconds {
            return seconds;
        }
        let utc = naive(micros).unwrap_or_default();
        self.zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()
    }

    /// As the pattern `VV` shows it.
    pub(crate) fn name(self) -> String {
        match name_of(self.zone).as_str() {
            "+00:00" => "Z".to_owned(),
            name => name.to_owned(),
        }
    }

    /// `CET`, `PST`; for zones that are an offset, that.
    pub(crate) fn short_name(self, micros: i64) -> String {
        let utc = naive(micros).unwrap_or_default();
        let zone = name_of(self.zone).parse::<chrono_tz::Tz>().ok();
        let abbreviation =
            zone.and_then(|zone| zone.offset_from_utc_datetime(&utc).abbreviation().map(str::to_owned));
        // Where there is none, the database has the offset in its place.
        abbreviation.filter(|name| !name.starts_with(['+', '-'])).unwrap_or_else(|| self.name())
    }

    pub(crate) fn to_local(self, micros: i64) -> i64 {
        micros.saturating_add(i64::from(self.offset_at(micros)) * MICROS_PER_SECOND)
    }
}

/// Arrow tells a zone's name only among other things: `Tz(Timezone(Europe/Berlin))`.
fn name_of(zone: Tz) -> String {
    let shown = format!("{zone:?}");
    shown.rsplit('(').next().unwrap_or_default().trim_end_matches(')').to_owned()
}

fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|instant| instant.naive_utc())
}

/// `+2`, `+02`, `+0230`, `+02:30`, `+2:30`; up to 18 hours.
fn offset_seconds(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, rest) = match digits.split_once(':') {
        Some((hours, rest)) => (hours, rest.split_once(':').map_or((rest, "0"), |parts| parts)),
        None if digits.len() > 2 => {
            let (hours, rest) = digits.split_at_checked(2)?;
            (hours, rest.split_at_checked(2).filter(|(_, s)| !s.is_empty()).unwrap_or((rest, "0")))
        }
        None => (digits, ("0", "0")),
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true if text.len() <= 2 => text.parse::<i32>().ok(),
        _ => None,
    };
    let (hours, minutes, seconds) = (number(hours)?, number(rest.0)?, number(rest.1)?);
    let total = hours * 3600 + minutes * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= 18 * 3600).then_some(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_javas_names() {
        for (name, seconds) in [
            ("Z", 0),
            ("UTC", 0),
            ("UTC+1", 3600),
            ("GMT-02:30", -9000),
            ("+2", 7200),
            ("+0230", 9000),
            ("-8:00", -28800),
            ("EST", -18000),
            ("PST", -28800),
            ("Asia/Tokyo", 32400),
        ] {
            let zone = Zone::named(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(zone.offset_at(0), seconds, "{name}");
        }
        for name in ["", "+25:00", "foo", "+1:60", "UTC+"] {
            assert!(Zone::named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn gaps_and_overlaps_are_resolved_as_java_resolves_them() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let hour = 3_600_000_000;
        // 2026-03-29 02:30 is not there, 2026-10-25 02:30 is there twice.
        let gap = 1_774_751_400_000_000;
        assert_eq!(berlin.to_utc(gap), Some(gap - hour));
        let twice = 1_792_895_400_000_000;
        assert_eq!(berlin.to_utc(twice), Some(twice - 2 * hour));
        assert_eq!(berlin.to_local(twice - 2 * hour), twice);
    }
}
