//! Floating-point numbers as Java's `Double.toString` and `Float.toString` write them.

/// `1.5`, `1.0E10`, `NaN`, `-Infinity`.
pub fn double(value: f64) -> String {
    layout(value.is_nan(), value.is_infinite(), value < 0.0, value.abs(), &format!("{:e}", value.abs()))
        .unwrap_or_else(|| signed(value.is_sign_negative(), "0.0"))
}

/// As [`double`]; with the digits that tell a float from its neighbours.
pub fn float(value: f32) -> String {
    let digits = format!("{:e}", value.abs());
    layout(value.is_nan(), value.is_infinite(), value < 0.0, f64::from(value.abs()), &digits)
        .unwrap_or_else(|| signed(value.is_sign_negative(), "0.0"))
}

/// Lays out Rust's shortest digits (`1.25e3`) in Java's way: plain from 10^-3 up to 10^7, else with an exponent.
/// `None` for zero.
fn layout(nan: bool, infinite: bool, negative: bool, magnitude: f64, shortest: &str) -> Option<String> {
    if nan {
        return Some("NaN".to_owned());
    }
    if infinite {
        return Some(signed(negative, "Infinity"));
    }
    let (mantissa, exponent) = shortest.split_once('e').filter(|_| magnitude != 0.0)?;
    let text = match exponent.parse::<i32>() {
        Ok(exponent @ -3..7) => plain(mantissa, exponent),
        _ if mantissa.contains('.') => format!("{mantissa}E{exponent}"),
        _ => format!("{mantissa}.0E{exponent}"),
    };
    Some(signed(negative, &text))
}

fn plain(mantissa: &str, exponent: i32) -> String {
    let digits = mantissa.replace('.', "");
    let Ok(whole) = usize::try_from(exponent + 1) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("0.{}{digits}", "0".repeat(zeros));
    };
    match digits.split_at_checked(whole) {
        Some(("", fraction)) => format!("0.{fraction}"),
        Some((whole, "")) => format!("{whole}.0"),
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None => format!("{digits}{}.0", "0".repeat(whole - digits.len())),
    }
}

fn signed(negative: bool, text: &str) -> String {
    if negative { format!("-{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_java_writes_them() {
        for (value, text) in [
            (1.5, "1.5"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (100.0, "100.0"),
            (1e10, "1.0E10"),
            (1e-5, "1.0E-5"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (1_234_567.8, "1234567.8"),
            (12_345_678.0, "1.2345678E7"),
            (-2.5e-7, "-2.5E-7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(value), text);
        }
        assert_eq!(float(1.1), "1.1");
        assert_eq!(float(3.4e38), "3.4E38");
    }
}
