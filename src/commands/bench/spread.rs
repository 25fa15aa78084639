//! Several measurements of the same thing.

use std::fmt;
use std::time::Duration;

/// Median, least and most of a rate.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// # Panics
    ///
    /// If there is no measurement.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { median: values[values.len() / 2], least: values[0], most: values[values.len() - 1] }
    }

    /// `amount` in each of `times`, a second.
    pub fn per_second(amount: usize, times: &[Duration]) -> Self {
        Self::of(times.iter().map(|time| amount as f64 / time.as_secs_f64()).collect())
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.median < 100.0 { 1 } else { 0 };
        let Self { median, least, most } = self;
        write!(f, "{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}
