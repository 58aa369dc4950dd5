//! A timestamp as a pattern shows it.

use super::civil::{self, MICROS_PER_DAY, MICROS_PER_SECOND};
use super::pattern::{Item, MONTHS, WEEKDAYS};
use super::zone::Zone;

pub(super) fn format(items: &[Item], micros: i64, zone: Zone, out: &mut String) {
    let offset = zone.offset_at(micros);
    let local = micros.saturating_add(i64::from(offset) * MICROS_PER_SECOND);
    Shown::new(local, offset, zone).write(items, out);
}

/// A time that has no zone; `zone` is for patterns that ask for one all the same.
pub(super) fn format_local(items: &[Item], local: i64, zone: Zone, out: &mut String) {
    Shown::new(local, 0, zone).write(items, out);
}

struct Shown {
    days: i64,
    year: i64,
    month: u32,
    day: u32,
    /// Microseconds since midnight.
    in_day: i64,
    /// Seconds.
    offset: i32,
    zone: Zone,
}

impl Shown {
    fn new(local: i64, offset: i32, zone: Zone) -> Shown {
        let days = local.div_euclid(MICROS_PER_DAY);
        let (year, month, day) = civil::date(days);
        Shown { days, year, month, day, in_day: local.rem_euclid(MICROS_PER_DAY), offset, zone }
    }

    fn write(&self, items: &[Item], out: &mut String) {
        for item in items {
            match item {
                Item::Literal(text) => out.push_str(text),
                Item::Optional(items) => self.write(items, out),
                Item::Field { letter, count } => self.field(*letter, *count, out),
            }
        }
    }

    fn field(&self, letter: char, count: usize, out: &mut String) {
        let seconds = self.in_day / MICROS_PER_SECOND;
        let hour = seconds / 3600;
        match letter {
            'y' | 'u' => self.year(letter, count, out),
            'M' | 'L' if count >= 3 => out.push_str(&name(&MONTHS, i64::from(self.month) - 1, count)),
            'M' | 'L' => number(i64::from(self.month), count, out),
            'd' => number(i64::from(self.day), count, out),
            'D' => number(self.day_of_year(), count, out),
            'F' => number(i64::from((self.day - 1) / 7 + 1), count, out),
            'E' => out.push_str(&name(&WEEKDAYS, self.days.rem_euclid(7), count)),
            'Q' | 'q' => self.quarter(count, out),
            'G' => out.push_str(self.era(count)),
            'a' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            'H' => number(hour, count, out),
            'k' => number(if hour == 0 { 24 } else { hour }, count, out),
            'K' => number(hour % 12, count, out),
            'h' => number(if hour % 12 == 0 { 12 } else { hour % 12 }, count, out),
            'm' => number(seconds / 60 % 60, count, out),
            's' => number(seconds % 60, count, out),
            'S' => {
                let nanos = format!("{:09}", self.in_day % MICROS_PER_SECOND * 1000);
                out.push_str(nanos.get(..count).unwrap_or(&nanos));
            }
            _ => self.zone(letter, count, out),
        }
    }

    fn year(&self, letter: char, count: usize, out: &mut String) {
        // `y` is the year of its era.
        let year = if letter == 'y' && self.year <= 0 { 1 - self.year } else { self.year };
        if count == 2 {
            return number(year.rem_euclid(100), 2, out);
        }
        let sign = match year {
            ..0 => "-",
            _ if count >= 4 && year.to_string().len() > count => "+",
            _ => "",
        };
        out.push_str(sign);
        number(year.abs(), count, out);
    }

    /// In microseconds since 1970, UTC.
    fn instant(&self) -> i64 {
        self.days.saturating_mul(MICROS_PER_DAY) + self.in_day - i64::from(self.offset) * MICROS_PER_SECOND
    }

    fn day_of_year(&self) -> i64 {
        self.days - civil::days(self.year, 1, 1).unwrap_or(self.days) + 1
    }

    fn quarter(&self, count: usize, out: &mut String) {
        let quarter = (self.month - 1) / 3 + 1;
        match count {
            3 => out.push_str(&format!("Q{quarter}")),
            4 => {
                let ordinal = ["1st", "2nd", "3rd", "4th"].get(quarter as usize - 1).unwrap_or(&"");
                out.push_str(&format!("{ordinal} quarter"));
            }
            _ => number(i64::from(quarter), count, out),
        }
    }

    fn era(&self, count: usize) -> &'static str {
        match (self.year > 0, count) {
            (true, 4) => "Anno Domini",
            (true, _) => "AD",
            (false, 4) => "Before Christ",
            (false, _) => "BC",
        }
    }

    fn zone(&self, letter: char, count: usize, out: &mut String) {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (self.offset.abs() / 3600, self.offset.abs() / 60 % 60);
        let seconds = self.offset.abs() % 60;
        let is_utc = self.offset == 0;
        let text = match (letter, count) {
            ('V', _) => self.zone.name(),
            ('z', _) => self.zone.short_name(self.instant()),
            ('X', _) | ('Z', 5) if is_utc => "Z".to_owned(),
            ('X' | 'x', 1) if minutes == 0 => format!("{sign}{hours:02}"),
            ('X' | 'x', 1 | 2) | ('Z', 1..=3) => format!("{sign}{hours:02}{minutes:02}"),
            ('X' | 'x', 4) if seconds > 0 => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
            ('X' | 'x', 4) => format!("{sign}{hours:02}{minutes:02}"),
            ('X' | 'x' | 'Z', 5) if seconds > 0 => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
            ('X' | 'x' | 'Z', 3 | 5) => format!("{sign}{hours:02}:{minutes:02}"),
            _ if is_utc => "GMT".to_owned(),
            ('O', 1) if minutes == 0 => format!("GMT{sign}{hours}"),
            ('O', 1) => format!("GMT{sign}{hours}:{minutes:02}"),
            _ => format!("GMT{sign}{hours:02}:{minutes:02}"),
        };
        out.push_str(&text);
    }
}

fn number(value: i64, digits: usize, out: &mut String) {
    out.push_str(&format!("{value:0digits$}"));
}

/// The whole name, or its first three letters.
fn name(names: &[&str], place: i64, count: usize) -> String {
    let name = usize::try_from(place).ok().and_then(|place| names.get(place)).copied().unwrap_or_default();
    let length = if count == 4 { name.len() } else { 3 };
    name.get(..length).unwrap_or(name).to_owned()
}
