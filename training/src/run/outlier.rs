//! How far a value is from those before it, in standard deviations: what tells a spike from noise.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Values that are looked back at, as in llm.c.
const LENGTH: usize = 128;
/// Values from which on there is something to compare with.
const FEWEST: usize = 16;

/// The latest finite values of a quantity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Window(VecDeque<f64>);

impl Window {
    /// The z-score of `value` among those before it, which it then joins; `None` while there are few of them, where
    /// they are all alike, or where it is not finite.
    pub(crate) fn push(&mut self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        let score = self.score(value);
        if self.0.len() == LENGTH {
            self.0.pop_front();
        }
        self.0.push_back(value);
        score
    }

    fn score(&self, value: f64) -> Option<f64> {
        if self.0.len() < FEWEST {
            return None;
        }
        let count = self.0.len() as f64;
        let mean = self.0.iter().sum::<f64>() / count;
        let variance = self.0.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let score = (value - mean) / variance.sqrt();
        score.is_finite().then_some(score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(x - statistics.mean(w)) / statistics.stdev(w)` of Python for `w = [0, 1, 4, 9, …, 225]`.
    #[test]
    fn equals_python() {
        let mut window = Window::default();
        for i in 0..16 {
            assert_eq!(window.push(f64::from(i * i)), None);
        }
        let score = window.push(400.0).expect("sixteen values");
        assert!((score - PYTHON).abs() < 1e-12, "{score}");
    }

    const PYTHON: f64 = 4.356199308202789;

    #[test]
    fn looks_back_so_far_and_ignores_what_is_not_finite() {
        let mut window = Window::default();
        for i in 0..1000 {
            window.push(f64::from(i % 2));
            assert_eq!(window.push(f64::NAN), None);
        }
        assert_eq!(window.0.len(), LENGTH);
        assert!(window.push(0.5).expect("a score").abs() < 1e-12);
        let mut alike = Window::default();
        assert!((0..100).all(|_| alike.push(2.0).is_none()));
    }
}
