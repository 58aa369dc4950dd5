//! JSON numbers without a second look at their digits where that is possible.

/// A number as it stands in the text, its form already checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'a> {
    pub(super) text: &'a str,
    pub(super) is_negative: bool,
    /// The digits without the point, if they fit.
    pub(super) mantissa: Option<u64>,
    pub(super) fraction_digits: usize,
    /// Whether there is neither a fraction nor an exponent.
    pub(super) is_integer: bool,
    pub(super) has_exponent: bool,
}

/// The powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

impl Number<'_> {
    /// `None` for a fraction and beyond 64 bits.
    pub(super) fn integer(&self) -> Option<i64> {
        let mantissa = self.mantissa.filter(|_| self.is_integer)?;
        match self.is_negative {
            true => 0_i64.checked_sub_unsigned(mantissa),
            false => i64::try_from(mantissa).ok(),
        }
    }

    pub(super) fn double(&self) -> f64 {
        // Both the digits and the power are exact, so that their quotient is rounded once.
        let exact = self.mantissa.filter(|mantissa| *mantissa < 1 << 53 && !self.has_exponent);
        if let (Some(mantissa), Some(power)) = (exact, EXACT_POWERS.get(self.fraction_digits)) {
            let value = mantissa as f64 / power;
            return if self.is_negative { -value } else { value };
        }
        self.text.parse().unwrap_or(f64::NAN)
    }

    pub(super) fn float(&self) -> f32 {
        self.text.parse().unwrap_or(f32::NAN)
    }
}

/// A decimal of this scale, rounded half up, if it has that precision. Java's `BigDecimal`.
pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (is_negative, digits) = match text.split_at_checked(1)? {
        ("-", digits) => (true, digits),
        ("+", digits) => (false, digits),
        _ => (false, text),
    };
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // Where the digit of the last place stands among all digits.
    let places = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(scale);
    let digits = || whole.bytes().chain(fraction.bytes());
    let is_zero = digits().all(|digit| digit == b'0');
    let kept = if is_zero { 0 } else { usize::try_from(places.max(0)).ok()? };
    let mut value: i128 = 0;
    let significant = digits().chain(std::iter::repeat(b'0')).take(kept).skip_while(|digit| *digit == b'0');
    for (count, digit) in significant.enumerate() {
        if count >= 38 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let next = usize::try_from(places).ok().and_then(|place| digits().nth(place));
    value += i128::from(next.is_some_and(|digit| digit >= b'5') && !is_zero);
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (value < limit).then_some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_rounded_half_up_and_bounded() {
        for (text, value) in [
            ("1.5", Some(150)),
            ("1.005", Some(101)),
            ("-1.005", Some(-101)),
            ("-1.995", Some(-200)),
            ("1e3", Some(100_000)),
            ("1e2", Some(10_000)),
            ("12345678.994", Some(1_234_567_899)),
            ("99999999.995", None),
            ("123456789.5", None),
            ("1e400", None),
            ("1e2147483647", None),
            ("1e-2147483647", Some(0)),
            ("0e2147483647", Some(0)),
            ("0.004", Some(0)),
            ("0.005", Some(1)),
            ("0.05e-1", Some(1)),
            (".5", Some(50)),
            ("", None),
            ("x", None),
            (" 1.5", None),
            ("1.5.5", None),
        ] {
            assert_eq!(decimal(text, 10, 2), value, "{text}");
        }
        assert_eq!(decimal(&"9".repeat(38), 38, 0), Some(10_i128.pow(38) - 1));
        assert_eq!(decimal(&"9".repeat(39), 38, 0), None);
    }
}
