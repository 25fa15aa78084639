//! Numbers as people read them.

use std::time::Duration;

/// `18214` as `18,214`.
pub(crate) fn thousands(n: impl ToString) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in three or four characters and a unit: `950`, `18.2 k`, `1.05 M`, `3.20 G`.
pub(crate) fn count(n: f64) -> String {
    if !n.is_finite() {
        return n.to_string();
    }
    let (value, unit) = match n {
        n if n < 1e3 => return format!("{n:.0}"),
        n if n < 999.5e3 => (n / 1e3, "k"),
        n if n < 999.5e6 => (n / 1e6, "M"),
        n if n < 999.5e9 => (n / 1e9, "G"),
        n => (n / 1e12, "T"),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

/// A rate of tokens, whole where that says something.
pub(crate) fn rate(n: f64) -> String {
    if n.is_finite() && n >= 100.0 { thousands(n.round() as u64) } else { format!("{n:.1}") }
}

/// `0:31`, `12:05`, `3:07:42`, `2 d 03:07`.
pub(crate) fn duration(duration: Duration) -> String {
    let s = duration.as_secs();
    let (days, hours, minutes, seconds) = (s / 86_400, s / 3_600 % 24, s / 60 % 60, s % 60);
    if days > 0 {
        format!("{} d {hours:02}:{minutes:02}", thousands(days))
    } else if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// A time below or about a second, to three digits: `850 µs`, `22.4 ms`, `1.35 s`; a longer one as [`duration`] has it.
pub(crate) fn short_duration(time: Duration) -> String {
    let (value, unit) = match time.as_secs_f64() {
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 100.0 => (s, "s"),
        _ => return duration(time),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

/// How long ago, in one unit, so that it does not flicker: `12 s`, `7 min`, `3 h`, `2 d`.
pub(crate) fn age(duration: Duration) -> String {
    match duration.as_secs() {
        s if s < 60 => format!("{s} s"),
        s if s < 3_600 => format!("{} min", s / 60),
        s if s < 86_400 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// Bytes in binary units: `512 B`, `1.50 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in units {
        if value < 1023.5 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    let decimals = if unit == "B" || value >= 99.95 { 0 } else { 1 + usize::from(value < 9.995) };
    format!("{value:.decimals$} {unit}")
}

/// A loss with four decimals, fewer where it is large.
pub(crate) fn loss(loss: f64) -> String {
    if !loss.is_finite() || loss.abs() < 100.0 { format!("{loss:.4}") } else { short(loss) }
}

/// A positive quantity of any size in at most seven characters: `0.742`, `12.3`, `1.2e9`.
pub(crate) fn short(x: f64) -> String {
    match x.abs() {
        a if !a.is_finite() || a == 0.0 => format!("{x}"),
        a if !(1e-3..1e5).contains(&a) => format!("{x:.1e}"),
        a if a < 10.0 => format!("{x:.3}"),
        a if a < 100.0 => format!("{x:.2}"),
        a if a < 1000.0 => format!("{x:.1}"),
        _ => format!("{x:.0}"),
    }
}

/// A learning rate in scientific notation: `9.80e-4`.
pub(crate) fn learning_rate(rate: f64) -> String {
    if rate == 0.0 { "0".into() } else { format!("{rate:.2e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1234567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 999.0, 1000.0, 18_214.0, 999_600.0, 1.2e9, 5e12].map(count),
            ["0", "999", "1.00 k", "18.2 k", "1.00 M", "1.20 G", "5.00 T"]
        );
        assert_eq!(
            [0, 1023, 1024, 1 << 30, 300 << 30].map(bytes),
            ["0 B", "1023 B", "1.00 KiB", "1.00 GiB", "300 GiB"]
        );
        assert_eq!(
            [31, 725, 11_262, 184_020].map(|s| duration(Duration::from_secs(s))),
            ["0:31", "12:05", "3:07:42", "2 d 03:07"]
        );
        assert_eq!(
            [850, 22_400, 1_350_000, 125_000_000].map(|us| short_duration(Duration::from_micros(us))),
            ["850 µs", "22.4 ms", "1.35 s", "2:05"]
        );
        assert_eq!([0.742, 12.3, 1.2e9, f64::NAN, 0.0].map(short), ["0.742", "12.30", "1.2e9", "NaN", "0"]);
        assert_eq!([9.8e-4, 0.0].map(learning_rate), ["9.80e-4", "0"]);
        assert_eq!([1.93214, 123.456, f64::INFINITY].map(loss), ["1.9321", "123.5", "inf"]);
        assert_eq!([12.34, 18_214.4, f64::NAN].map(rate), ["12.3", "18,214", "NaN"]);
    }
}
