//! The scales of the picture: linear or logarithmic, with marks at round numbers.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::view::axis::ticks;

/// From this ratio between the largest and the smallest loss on, the scale is logarithmic.
const LOGARITHMIC_FROM: f64 = 3.0;
/// An axis with its marks where we want them.
pub(super) struct Axis {
    pub(super) range: Range<f64>,
    pub(super) marks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        (f64::from(from) + share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// The vertical scale of the losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

impl Scale {
    pub(super) fn between(low: f64, high: f64) -> Self {
        if low > 0.0 && high / low >= LOGARITHMIC_FROM { Self::Logarithmic } else { Self::Linear }
    }

    pub(super) fn place(self, loss: f64) -> f64 {
        match self {
            Self::Linear => loss,
            Self::Logarithmic => loss.ln(),
        }
    }

    pub(super) fn marks(self, low: f64, high: f64) -> Vec<f64> {
        if self == Self::Linear {
            return ticks(low, high, 8);
        }
        let between: &[f64] =
            if high - low < 20f64.ln() { &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0] } else { &[1.0, 2.0, 5.0] };
        let powers = (low / 10f64.ln()).floor() as i32..=(high / 10f64.ln()).ceil() as i32;
        let marks = powers.flat_map(|power| between.iter().map(move |m| (m * 10f64.powi(power)).ln()));
        marks.filter(|mark| (low..=high).contains(mark)).collect()
    }

    pub(super) fn label(self, mark: f64) -> String {
        let loss = if self == Self::Linear { mark } else { mark.exp() };
        rounded(loss).to_string()
    }
}

/// Without the last bits, which would make `0.30000000000000004` of 0.3.
pub(super) fn rounded(x: f64) -> f64 {
    format!("{x:.6e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_has_round_marks() {
        assert_eq!(Scale::between(1.5, 4.2), Scale::Linear);
        assert_eq!(
            (Scale::between(3.3, 10.8), Scale::between(0.0, 9.0)),
            (Scale::Logarithmic, Scale::Linear)
        );
        let scale = Scale::Logarithmic;
        let labels: Vec<_> =
            scale.marks(3.1f64.ln(), 11f64.ln()).iter().map(|mark| scale.label(*mark)).collect();
        assert_eq!(labels, ["4", "6", "8", "10"]);
        assert_eq!(Scale::Linear.label(0.1 + 0.2), "0.3");
    }
}
