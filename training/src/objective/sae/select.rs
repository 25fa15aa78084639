//! The largest of many numbers.

/// Bits of a number that the first pass sorts by: sign, exponent and the leading digits.
const COARSE: u32 = 16;

/// The number that exactly the `count` largest positive of `values` exceed, or more than that where several are alike; 0 where
/// fewer are positive.
pub(super) fn exceeded_by(values: &[f32], count: usize) -> f32 {
    // The bits of positive numbers are in the order of the numbers.
    let bits = |value: &f32| if *value > 0.0 { value.to_bits() } else { 0 };
    let mut coarse = vec![0_usize; 1 << (32 - COARSE)];
    for value in values {
        coarse[(bits(value) >> COARSE) as usize] += 1;
    }
    // What is not positive counts as zero, and zero is exceeded by nothing that is not positive.
    let (mut above, mut bin) = (0, coarse.len() - 1);
    while bin > 0 && above + coarse[bin] <= count {
        above += coarse[bin];
        bin -= 1;
    }
    if bin == 0 {
        return 0.0;
    }
    let mut fine: Vec<u32> =
        values.iter().map(bits).filter(|bits| (bits >> COARSE) as usize == bin).collect();
    // Of this bin, `count - above` are to exceed it.
    let rank = fine.len() - 1 - (count - above);
    f32::from_bits(*fine.select_nth_unstable(rank).1)
}

/// How often numbers lie where, finely enough to find the one that a share of them exceeds without keeping them.
pub(super) struct Histogram {
    counts: Vec<u64>,
}

/// Bits that a bin of the [`Histogram`] does not tell apart: its numbers differ by 1 in 8192 at most.
const ALIKE: u32 = 10;

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; 1 << (31 - ALIKE)] }
    }

    /// Counts those of `values` that are positive.
    pub(super) fn add(&mut self, values: &[f32]) {
        for value in values.iter().filter(|value| **value > 0.0) {
            self.counts[(value.to_bits() >> ALIKE) as usize] += 1;
        }
    }

    /// A number that about `count` of the numbers exceed; 0 where fewer are positive.
    pub(super) fn exceeded_by(&self, count: u64) -> f32 {
        let mut above = 0;
        for (bin, counted) in self.counts.iter().enumerate().rev() {
            if above + counted > count {
                // The bin's upper end.
                return f32::from_bits(((bin as u32 + 1) << ALIKE) - 1);
            }
            above += counted;
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use kiln_datasets::mix;

    use super::*;

    #[test]
    fn as_many_exceed_it_as_were_asked_for() {
        let values: Vec<f32> =
            (0..5000).map(|index| (mix(3, index) as f64 / u64::MAX as f64 - 0.5) as f32).collect();
        let positive = values.iter().filter(|value| **value > 0.0).count();
        let mut histogram = Histogram::new();
        histogram.add(&values);
        for count in [0, 1, 7, 400, 2000, positive - 1, positive, 4000] {
            let threshold = exceeded_by(&values, count);
            let found = values.iter().filter(|value| **value > threshold).count();
            assert_eq!(found, count.min(positive), "{count}");
            let roughly = histogram.exceeded_by(count as u64);
            let found = values.iter().filter(|value| **value > roughly.max(0.0)).count();
            assert!(found.abs_diff(count.min(positive)) <= 3, "{found} of {count}");
        }
        assert_eq!(exceeded_by(&[-1.0, 0.0], 1), 0.0);
    }
}
