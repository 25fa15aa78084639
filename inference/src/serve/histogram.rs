//! How long something takes, as Prometheus counts it.

use std::fmt::Write;
use std::time::Duration;

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Counts by duration.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// Those within each bound, and not within the one before.
    counts: [u64; BOUNDS.len()],
    /// All of them.
    count: u64,
    /// Seconds of all together.
    sum: f64,
}

impl Histogram {
    /// Counts one.
    pub(super) fn observe(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// Writes it as text.
    pub(super) fn write(&self, name: &str, help: &str, text: &mut String) {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut within = 0;
        for (bound, count) in BOUNDS.iter().zip(self.counts) {
            within += count;
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {within}");
        }
        let Self { count, sum, .. } = self;
        let _ =
            writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let mut histogram = Histogram::default();
        for milliseconds in [1, 2, 60_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let mut text = String::new();
        histogram.write("t", "Time.", &mut text);
        for line in ["# TYPE t histogram", "t_bucket{le=\"0.001\"} 1", "t_bucket{le=\"30\"} 2", "t_count 3"] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(text.contains("t_bucket{le=\"+Inf\"} 3\nt_sum 60.003"));
    }
}
