//! What a pattern reads in a text.

use super::civil::{self, MICROS_PER_DAY, MICROS_PER_SECOND};
use super::pattern::{Item, MONTHS, WEEKDAYS};
use super::zone::Zone;

/// What was not in the text is as Spark fills it in.
#[derive(Clone, Debug, Default)]
pub(super) struct Parsed {
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: Option<u32>,
    /// Of a clock with twelve hours, from 0 on.
    half_day_hour: Option<u32>,
    is_afternoon: Option<bool>,
    minute: Option<u32>,
    second: Option<u32>,
    micros: i64,
    is_before_christ: bool,
    pub(super) zone: Option<Zone>,
}

impl Parsed {
    /// The whole text has to be of the pattern.
    pub(super) fn read(items: &[Item], text: &str) -> Option<Parsed> {
        let mut parsed = Parsed::default();
        let rest = parsed.items(items, text)?;
        rest.is_empty().then_some(parsed)
    }

    /// Local microseconds since 1970.
    pub(super) fn local_micros(&self) -> Option<i64> {
        let year = match self.is_before_christ {
            true => 1 - self.year?,
            false => self.year.unwrap_or(1970),
        };
        let days = match (self.day_of_year, self.month, self.day) {
            (Some(day), None, None) => {
                let first = civil::days(year, 1, 1)?;
                let length = civil::days(year + 1, 1, 1)? - first;
                first + i64::from((1..=length).contains(&i64::from(day)).then_some(day)?) - 1
            }
            (_, month, day) => civil::days(year, month.unwrap_or(1), day.unwrap_or(1))?,
        };
        let hour = match (self.hour, self.half_day_hour) {
            (Some(hour), _) => hour,
            (None, Some(hour)) => hour + if self.is_afternoon.unwrap_or(false) { 12 } else { 0 },
            (None, None) => 0,
        };
        let (minute, second) = (self.minute.unwrap_or(0), self.second.unwrap_or(0));
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let seconds = i64::from(hour * 3600 + minute * 60 + second);
        days.checked_mul(MICROS_PER_DAY)?.checked_add(seconds * MICROS_PER_SECOND + self.micros)
    }

    fn items<'a>(&mut self, items: &[Item], mut text: &'a str) -> Option<&'a str> {
        let mut rest = items;
        while let Some((item, behind)) = rest.split_first() {
            rest = behind;
            text = match item {
                Item::Literal(literal) => strip_literal(text, literal)?,
                Item::Optional(inner) => {
                    let mut with = self.clone();
                    match with.items(inner, text) {
                        Some(left) => {
                            *self = with;
                            left
                        }
                        None => text,
                    }
                }
                Item::Field { letter, count } => {
                    // Of digits that stand close, those are left that the next fields take.
                    let reserved = behind.iter().take_while(|next| next.is_number());
                    let reserved = reserved.map(|next| match next {
                        Item::Field { count, .. } => *count,
                        _ => 0,
                    });
                    self.field(*letter, *count, reserved.sum(), text)?
                }
            };
        }
        Some(text)
    }

    fn field<'a>(&mut self, letter: char, count: usize, reserved: usize, text: &'a str) -> Option<&'a str> {
        let two_digits = if count == 2 { 2..=2 } else { 1..=2 };
        match letter {
            'y' | 'u' => return self.year(count, reserved, text),
            'M' | 'L' if count >= 3 => {
                let (place, rest) = strip_name(text, &MONTHS, count)?;
                self.month = Some(place + 1);
                return Some(rest);
            }
            'E' => return strip_name(text, &WEEKDAYS, count).map(|(_, rest)| rest),
            'a' => {
                let (half, rest) = text.split_at_checked(2)?;
                self.is_afternoon = Some(half.eq_ignore_ascii_case("PM"));
                return (half.eq_ignore_ascii_case("AM") || half.eq_ignore_ascii_case("PM")).then_some(rest);
            }
            'G' => {
                let (era, rest) = text.split_at_checked(2)?;
                self.is_before_christ = era.eq_ignore_ascii_case("BC");
                return (era.eq_ignore_ascii_case("AD") || era.eq_ignore_ascii_case("BC")).then_some(rest);
            }
            'S' => return self.fraction(count, text),
            'D' => {
                let (value, rest) = digits(text, if count == 3 { 3..=3 } else { count..=3 })?;
                self.day_of_year = u32::try_from(value).ok();
                return Some(rest);
            }
            'X' | 'x' | 'Z' | 'O' | 'V' | 'z' => return self.zone(letter, text),
            _ => {}
        }
        let (value, rest) = digits(text, two_digits)?;
        let value = u32::try_from(value).ok()?;
        let slot = match letter {
            'M' | 'L' => &mut self.month,
            'd' => &mut self.day,
            'H' | 'k' => &mut self.hour,
            'h' | 'K' => &mut self.half_day_hour,
            'm' => &mut self.minute,
            's' => &mut self.second,
            // What `Q` and `F` say follows from the date.
            _ => return Some(rest),
        };
        let value = match (letter, value) {
            ('k', 24) | ('h', 12) => 0,
            ('k', 0) | ('h', 0 | 13..) | ('K', 12..) => return None,
            (_, value) => value,
        };
        *slot = Some(value);
        Some(rest)
    }

    fn year<'a>(&mut self, count: usize, reserved: usize, text: &'a str) -> Option<&'a str> {
        if count == 2 {
            let (year, rest) = digits(text, 2..=2)?;
            self.year = Some(2000 + year);
            return Some(rest);
        }
        let (sign, unsigned) = match text.split_at_checked(1)? {
            ("-", rest) => (-1, rest),
            ("+", rest) if count >= 4 => (1, rest),
            _ => (1, text),
        };
        let available = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        // More digits than letters want a sign.
        let max = match count {
            1 => 7,
            _ if sign == 1 && unsigned.len() == text.len() => count,
            _ => 7,
        };
        let length = available.saturating_sub(reserved).clamp(count.min(max), max);
        let (year, rest) = digits(unsigned, length..=length)?;
        self.year = Some(sign * year);
        Some(rest)
    }

    /// Fewer digits than letters will do.
    fn fraction<'a>(&mut self, count: usize, text: &'a str) -> Option<&'a str> {
        let (value, rest) = digits(text, 1..=count)?;
        let scale = 9_usize.checked_sub(text.len() - rest.len())?;
        let nanos = value.checked_mul(10_i64.checked_pow(u32::try_from(scale).ok()?)?)?;
        self.micros = nanos / 1000;
        Some(rest)
    }

    fn zone<'a>(&mut self, letter: char, text: &'a str) -> Option<&'a str> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | ':' | '/' | '_');
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let is_named = matches!(letter, 'V' | 'z' | 'O');
        let is_offset = name.starts_with(['+', '-']) || (name == "Z" && letter != 'x');
        self.zone = Some(Zone::named(name).filter(|_| is_named || is_offset)?);
        Some(rest)
    }
}

fn strip_literal<'a>(text: &'a str, literal: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(literal.len())?;
    start.eq_ignore_ascii_case(literal).then_some(rest)
}

/// Which of the names the text begins with: whole, or by three letters.
fn strip_name<'a>(text: &'a str, names: &[&str], count: usize) -> Option<(u32, &'a str)> {
    (0..).zip(names).find_map(|(place, name)| {
        let name = if count == 4 { name } else { name.get(..3)? };
        Some((place, strip_literal(text, name)?))
    })
}

/// As many digits as there are within these lengths.
fn digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<(i64, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count().min(*lengths.end());
    if !lengths.contains(&length) {
        return None;
    }
    let (digits, rest) = text.split_at_checked(length)?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Pattern;
    use super::super::zone::Zone;

    // What Spark 4.1.1 answered in the zone Europe/Berlin.

    #[test]
    fn what_a_pattern_shows_it_reads() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let micros = 1_795_773_906_123_000; // 2026-11-27 11:05:06.123 in Berlin
        for (pattern, text) in [
            ("dd/MM/yyyy HH:mm:ss.SSS", "27/11/2026 11:05:06.123"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2026-11-27T11:05:06.123+01:00"),
            ("yyyyMMddHHmmss SSS", "20261127110506 123"),
            ("EEE, d MMM yyyy h:mm:ss.SSS a", "Fri, 27 Nov 2026 11:05:06.123 AM"),
            ("EEEE, MMMM dd, yyyy K:mm:ss.SSSSSS a Z", "Friday, November 27, 2026 11:05:06.123000 AM +0100"),
            ("D''yyyy kk:mm:ss.SSS O", "331'2026 11:05:06.123 GMT+1"),
            ("yyyy-MM-dd HH:mm:ss.SSS VV", "2026-11-27 11:05:06.123 Europe/Berlin"),
            ("yyyy-MM-dd[ HH:mm:ss.SSS]", "2026-11-27 11:05:06.123"),
        ] {
            let compiled = Pattern::parse(pattern).unwrap();
            assert_eq!(compiled.format(micros, berlin), text, "{pattern}");
            assert_eq!(compiled.timestamp(text, berlin), Some(micros), "{pattern}");
        }
        assert_eq!(Pattern::parse("Q QQQ G").unwrap().format(micros, berlin), "4 Q4 AD");
    }

    #[test]
    fn texts_of_another_form_are_not_read() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        for (pattern, text) in [
            ("dd/MM/yyyy HH:mm", "2026-11-27 10:05:00"),
            ("dd/MM/yyyy", "27/11/2026 "),
            ("dd/MM/yyyy", "7/11/2026"),
            ("yyyy-MM-dd", "2026-02-30"),
            ("HH:mm", "24:00"),
            ("yyyy", "26"),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().timestamp(text, berlin), None, "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_that_spark_refuses_are_refused() {
        for pattern in ["bogus", "YYYY", "ddd", "'x", "[yyyy", "yyyy]", "HHH"] {
            let error = Pattern::parse(pattern).unwrap_err().to_string();
            assert!(error.contains("[INVALID_DATETIME_PATTERN]"), "{error}");
        }
    }
}
