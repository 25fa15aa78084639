//! Round numbers for the axes of a chart.

/// Most decimals of a label.
const DECIMALS: usize = 6;

/// At most `most` multiples of 1, 2 or 5 times a power of ten that lie in `low..=high`.
pub(crate) fn ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || most == 0 {
        return Vec::new();
    }
    let power = 10f64.powf((span / most as f64).log10().floor());
    // Rounding may leave one tick too many at the first step that seems wide enough.
    for step in [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].map(|m| m * power) {
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let n = last - first + 1.0;
        if n <= most as f64 {
            return (0..n.max(0.0) as u64).map(|i| (first + i as f64) * step).collect();
        }
    }
    Vec::new()
}

/// The ticks of an axis with just the decimals that tell them apart, as many for each.
pub(crate) fn labels(ticks: &[f64]) -> Vec<String> {
    // Not the negative zero.
    let ticks = || ticks.iter().map(|tick| rounded(*tick) + 0.0);
    let decimals = |tick: f64| tick.to_string().split_once('.').map_or(0, |(_, digits)| digits.len());
    let decimals = ticks().map(decimals).max().unwrap_or(0).min(DECIMALS);
    let label = |tick: f64| match tick.abs() >= 1e6 {
        true => format!("{tick:.1e}"),
        false => format!("{tick:.decimals$}"),
    };
    ticks().map(label).collect()
}

/// A number of steps or tokens on an axis: `0`, `500`, `1.5k`, `20k`, `3M`.
pub(crate) fn count_label(count: f64) -> String {
    let (value, unit) = match count {
        n if n < 1e3 => (n, ""),
        n if n < 1e6 => (n / 1e3, "k"),
        n => (n / 1e6, "M"),
    };
    let text = format!("{value:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A tick in scientific notation: `0`, `8e-3`, `2.5e-4`.
pub(crate) fn scientific_label(tick: f64) -> String {
    if tick == 0.0 { "0".to_owned() } else { format!("{:e}", rounded(tick)) }
}

/// Without the last bits, which would make `0.30000000000000004` of 0.3.
pub(crate) fn rounded(x: f64) -> f64 {
    format!("{x:.6e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 2000.0, 5), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        assert_eq!(ticks(1.3, 4.4, 4), [2.0, 3.0, 4.0]);
        for most in 1..12 {
            for (low, high) in [(0.0, 1.0), (3.17, 3.19), (-2.0, 1e9), (0.0, 1e-7), (1e6, 1e6 + 3.0)] {
                let got = ticks(low, high, most);
                assert!(
                    got.len() <= most && got.iter().all(|t| (low - 1e-6..=high + 1e-6).contains(t)),
                    "{got:?}"
                );
            }
        }
        assert!(
            ticks(1.0, 1.0, 5).is_empty()
                && ticks(0.0, f64::NAN, 5).is_empty()
                && ticks(0.0, 1.0, 0).is_empty()
        );
    }

    #[test]
    fn labels_have_the_decimals_they_need() {
        let labels = |low, high| labels(&ticks(low, high, 4));
        assert_eq!(labels(1.5, 3.0), ["1.5", "2.0", "2.5", "3.0"]);
        assert_eq!(labels(-1.0, 1.0), ["-1", "0", "1"]);
        assert_eq!(labels(3.17, 3.19), ["3.17", "3.18", "3.19"]);
        assert_eq!(labels(0.0, 3e6), ["0", "1.0e6", "2.0e6", "3.0e6"]);
        assert_eq!([0.0, 250.0, 1500.0, 20e3, 3e6].map(count_label), ["0", "250", "1.5k", "20k", "3M"]);
        assert_eq!([0.0, 8e-3, 2.5e-4].map(scientific_label), ["0", "8e-3", "2.5e-4"]);
    }
}
