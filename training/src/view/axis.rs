//! Round numbers for the axes of a chart.

/// At most `most` multiples of 1, 2 or 5 times a power of ten that lie in `low..=high`, and their distance.
pub(crate) fn ticks_with_step(low: f64, high: f64, most: usize) -> (Vec<f64>, f64) {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || most == 0 {
        return (Vec::new(), 0.0);
    }
    let power = 10f64.powf((span / most as f64).log10().floor());
    // Rounding may leave one tick too many at the first step that seems wide enough.
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].map(|m| m * power);
    for step in steps {
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let n = last - first + 1.0;
        if n <= most as f64 {
            return ((0..n.max(0.0) as u64).map(|i| (first + i as f64) * step).collect(), step);
        }
    }
    (Vec::new(), 0.0)
}

/// The ticks of [`ticks_with_step`] alone.
pub(crate) fn ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    ticks_with_step(low, high, most).0
}

/// A tick with just the decimals that tell it from its neighbours.
pub(crate) fn label(tick: f64, step: f64) -> String {
    let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 6.0) as usize;
    let tick = if tick.abs() < step / 2.0 { 0.0 } else { tick };
    if tick.abs() >= 1e6 { format!("{tick:.1e}") } else { format!("{tick:.decimals$}") }
}

/// A number of steps on an axis: `0`, `500`, `1.5k`, `20k`, `3M`.
pub(crate) fn step_label(step: f64) -> String {
    let (value, unit) = match step {
        s if s < 1e3 => (s, ""),
        s if s < 1e6 => (s / 1e3, "k"),
        s => (s / 1e6, "M"),
    };
    let text = format!("{value:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
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
        let labels = |low, high| {
            let (ticks, step) = ticks_with_step(low, high, 4);
            ticks.iter().map(|t| label(*t, step)).collect::<Vec<_>>()
        };
        assert_eq!(labels(1.5, 3.0), ["1.5", "2.0", "2.5", "3.0"]);
        assert_eq!(labels(-1.0, 1.0), ["-1", "0", "1"]);
        assert_eq!(labels(3.17, 3.19), ["3.17", "3.18", "3.19"]);
        assert_eq!([0.0, 250.0, 1500.0, 20e3, 3e6].map(step_label), ["0", "250", "1.5k", "20k", "3M"]);
    }
}
