//! The scale of an axis: linear or logarithmic, with marks at round values.

use super::axis::ticks;

/// From this ratio between the largest and the smallest value on, a logarithmic scale shows more.
const LOGARITHMIC_FROM: f64 = 3.0;
/// Fewer marks do not tell what lies between them.
const FEWEST_MARKS: usize = 3;
/// Round values of a power of ten, the densest first.
const ROUND: [&[f64]; 3] = [&[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0], &[1.0, 2.0, 5.0], &[1.0]];

/// How values become places on an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scale {
    #[default]
    Linear,
    Logarithmic,
}

impl Scale {
    /// The scale that shows more of what lies between two values.
    pub(crate) fn between(low: f64, high: f64) -> Self {
        if low > 0.0 && high / low >= LOGARITHMIC_FROM { Self::Logarithmic } else { Self::Linear }
    }

    /// Where a value is.
    pub(crate) fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.ln(),
        }
    }

    /// What is at a place.
    pub(crate) fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Logarithmic => place.exp(),
        }
    }

    /// At most `most` round values between two places.
    pub(crate) fn marks(self, low: f64, high: f64, most: usize) -> Vec<f64> {
        if self == Self::Linear {
            return ticks(low, high, most);
        }
        if !(low.is_finite() && high.is_finite()) {
            return Vec::new();
        }
        let powers = (low / 10f64.ln()).floor() as i32..=(high / 10f64.ln()).ceil() as i32;
        let marks = |round: &[f64]| -> Vec<f64> {
            let marks = powers.clone().flat_map(|power| round.iter().map(move |m| m * 10f64.powi(power)));
            marks.filter(|mark| (low..=high).contains(&mark.ln())).collect()
        };
        let fitting = ROUND.into_iter().map(marks).find(|marks| marks.len() <= most).unwrap_or_default();
        // A short stretch of the scale holds hardly a power of ten.
        if fitting.len() < FEWEST_MARKS { ticks(low.exp(), high.exp(), most) } else { fitting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::axis::labels;

    #[test]
    fn the_scale_has_round_marks() {
        assert_eq!(Scale::between(1.5, 4.2), Scale::Linear);
        assert_eq!(
            (Scale::between(3.3, 10.8), Scale::between(0.0, 9.0)),
            (Scale::Logarithmic, Scale::Linear)
        );
        let marks = |low: f64, high: f64, most| labels(&Scale::Logarithmic.marks(low.ln(), high.ln(), most));
        assert_eq!(marks(3.1, 11.0, 8), ["4", "6", "8", "10"]);
        assert_eq!(marks(0.5, 11.0, 6), ["0.5", "1.0", "2.0", "5.0", "10.0"]);
        assert_eq!(marks(0.55, 0.62, 5), ["0.56", "0.58", "0.60", "0.62"]);
        assert!((Scale::Logarithmic.value(Scale::Logarithmic.place(2.5)) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn marks_of_any_stretch_are_few() {
        for (low, high) in [(-700.0, 700.0), (0.0, 0.0), (0.0, f64::INFINITY), (f64::NAN, 1.0)] {
            for most in 0..9 {
                assert!(
                    Scale::Logarithmic.marks(low, high, most).len() <= most.max(1),
                    "{low} {high} {most}"
                );
            }
        }
    }
}
