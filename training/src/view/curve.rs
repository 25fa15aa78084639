//! A loss curve of bounded size: raw values and their moving average, halved whenever it grows too long.

/// Most points a [`Curve`] keeps; two per column of a very wide terminal, and more than a screen shows.
const CAPACITY: usize = 2_000;

/// Longest memory of the moving average, in values. It is a twenty-fifth of the run until then: much longer,
/// and the average would visibly trail behind.
const LONGEST_WINDOW: f64 = 100.0;

/// One point of a [`Curve`]: the mean over one or more consecutive values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CurvePoint {
    /// Step, the mean over the values merged here.
    pub(crate) step: f64,
    /// Mean of the raw values.
    pub(crate) value: f64,
    /// Mean of the exponential moving average at those values.
    pub(crate) smooth: f64,
}

/// Values over steps in at most 2,000 points, whatever the length of the run.
///
/// When full, neighbours are averaged in pairs, so every point always stands for the same number of values.
/// The moving average `s += (x - s) / w` is taken before that, with a window `w` that grows from 1 to 100
/// values: it follows the steep first steps and still calms the long tail.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    points: Vec<CurvePoint>,
    values_per_point: u64,
    open: CurvePoint,
    in_open: u64,
    seen: u64,
    smooth: f64,
}

impl Default for Curve {
    fn default() -> Self {
        let open = CurvePoint { step: 0.0, value: 0.0, smooth: 0.0 };
        Self { points: Vec::new(), values_per_point: 1, open, in_open: 0, seen: 0, smooth: 0.0 }
    }
}

impl Curve {
    /// Adds a value; one that is not finite has no place on a curve and is left out.
    pub(crate) fn push(&mut self, step: usize, value: f64) {
        if !value.is_finite() {
            return;
        }
        let window = 1.0 + (self.seen as f64 / 25.0).min(LONGEST_WINDOW - 1.0);
        self.smooth += (value - self.smooth) / window;
        self.seen += 1;

        self.open.step += step as f64;
        self.open.value += value;
        self.open.smooth += self.smooth;
        self.in_open += 1;
        if self.in_open == self.values_per_point {
            self.points.extend(self.open_point());
            self.open = CurvePoint { step: 0.0, value: 0.0, smooth: 0.0 };
            self.in_open = 0;
            if self.points.len() >= CAPACITY {
                self.halve();
            }
        }
    }

    /// The points in order of their steps, the last one possibly over fewer values.
    pub(crate) fn points(&self) -> impl Iterator<Item = CurvePoint> + '_ {
        self.points.iter().copied().chain(self.open_point())
    }

    /// The moving average after the last value.
    pub(crate) fn latest(&self) -> Option<f64> {
        (self.seen > 0).then_some(self.smooth)
    }

    /// Whether there is nothing to draw.
    pub(crate) fn is_empty(&self) -> bool {
        self.seen == 0
    }

    fn open_point(&self) -> Option<CurvePoint> {
        let n = self.in_open as f64;
        let CurvePoint { step, value, smooth } = self.open;
        (self.in_open > 0).then(|| CurvePoint { step: step / n, value: value / n, smooth: smooth / n })
    }

    fn halve(&mut self) {
        let mean = |a: f64, b: f64| a / 2.0 + b / 2.0;
        let (pairs, rest) = self.points.as_chunks::<2>();
        debug_assert!(rest.is_empty(), "the capacity is even");
        self.points = pairs
            .iter()
            .map(|[a, b]| CurvePoint {
                step: mean(a.step, b.step),
                value: mean(a.value, b.value),
                smooth: mean(a.smooth, b.smooth),
            })
            .collect();
        self.values_per_point *= 2;
    }
}

impl FromIterator<(usize, f64)> for Curve {
    fn from_iter<I: IntoIterator<Item = (usize, f64)>>(values: I) -> Self {
        let mut curve = Self::default();
        values.into_iter().for_each(|(step, value)| curve.push(step, value));
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_bounded_and_keeps_the_mean() {
        let n = 1_000_003usize;
        let curve: Curve = (0..n).map(|i| (i, (i % 7) as f64)).collect();
        let points: Vec<_> = curve.points().collect();
        assert!(points.len() <= CAPACITY && points.len() > CAPACITY / 2 - 2, "{} points", points.len());
        assert!(points.is_sorted_by(|a, b| a.step < b.step));
        let mean = points.iter().map(|p| p.value).sum::<f64>() / points.len() as f64;
        assert!((mean - 3.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn leaves_out_what_is_not_finite() {
        let curve: Curve = [(1, f64::NAN), (2, 3.0), (3, f64::INFINITY)].into_iter().collect();
        assert_eq!(curve.points().collect::<Vec<_>>(), [CurvePoint { step: 2.0, value: 3.0, smooth: 3.0 }]);
        assert_eq!(curve.latest(), Some(3.0));
    }

    #[test]
    fn average_starts_at_the_first_value_and_follows() {
        let curve: Curve = (0..500).map(|i| (i, if i < 250 { 4.0 } else { 2.0 })).collect();
        assert_eq!(curve.points().next().map(|p| p.smooth), Some(4.0));
        assert!(curve.latest().is_some_and(|v| v < 2.1));
    }
}
