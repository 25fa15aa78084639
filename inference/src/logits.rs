//! Passes over the logits of a whole vocabulary, in loops that the compiler turns into vector instructions.

use crate::error::{Error, Result};

/// Numbers that a loop takes side by side.
const LANES: usize = 16;

/// Tokens whose weights are added up together: see [`Weights`].
const BLOCK: usize = 256;

/// Refuses logits that are not finite. `first` is the position of the first row of `vocab` logits.
pub(crate) fn check_finite(logits: &[f32], vocab: usize, first: usize) -> Result<()> {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut zeros = [0.0; LANES];
    for chunk in chunks {
        for (zero, logit) in zeros.iter_mut().zip(chunk) {
            // 0 for every finite number, NaN for all others.
            *zero += 0.0 * logit;
        }
    }
    let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    if finite(&zeros) && finite(rest) {
        return Ok(());
    }
    let at = logits.iter().position(|logit| !logit.is_finite()).expect("one was found");
    Err(Error::NotFinite { position: first + at / vocab, token: (at % vocab) as u32, value: logits[at] })
}

/// The largest of all logits.
pub(crate) fn largest(logits: &[f32]) -> f32 {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    let larger = |most: f32, logit: f32| if logit > most { logit } else { most };
    for chunk in chunks {
        for (most, logit) in most.iter_mut().zip(chunk) {
            *most = larger(*most, *logit);
        }
    }
    most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// The most probable token; of several, the first.
pub(crate) fn argmax(logits: &[f32]) -> u32 {
    let largest = largest(logits);
    logits.iter().position(|logit| *logit == largest).unwrap_or_default() as u32
}

/// What each token weighs: its probability, up to a common factor. Blocks are added up apart, so that a draw
/// passes over whole blocks.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    weights: Vec<f32>,
    /// Sum of each block.
    blocks: Vec<f64>,
}

impl Weights {
    /// `exp((logit - largest) / temperature)` for each token. Returns the sum of all.
    pub(crate) fn fill(&mut self, logits: &[f32], largest: f32, temperature: f64) -> f64 {
        let factor = (std::f64::consts::LOG2_E / temperature) as f32;
        self.weights.resize(logits.len(), 0.0);
        let blocks = self.weights.chunks_mut(BLOCK).zip(logits.chunks(BLOCK));
        self.blocks.clear();
        self.blocks.extend(blocks.map(|(weights, logits)| {
            for (weight, logit) in weights.iter_mut().zip(logits) {
                *weight = exp2((logit - largest) * factor);
            }
            sum(weights)
        }));
        self.blocks.iter().sum()
    }

    /// The weight of a token.
    pub(crate) fn of(&self, token: u32) -> f32 {
        self.weights[token as usize]
    }

    /// The token at which the sum of the weights, in the order of the ids, passes `mass`.
    pub(crate) fn token_at(&self, mass: f64) -> u32 {
        let mut left = mass;
        for (block, sum) in self.blocks.iter().enumerate() {
            if left >= *sum {
                left -= sum;
                continue;
            }
            let first = block * BLOCK;
            let weights = &self.weights[first..self.weights.len().min(first + BLOCK)];
            for (at, weight) in weights.iter().enumerate() {
                left -= f64::from(*weight);
                if left < 0.0 {
                    return (first + at) as u32;
                }
            }
            break;
        }
        // Rounding may leave a sliver of probability behind.
        self.weights.iter().rposition(|weight| *weight > 0.0).unwrap_or_default() as u32
    }
}

fn sum(values: &[f32]) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums.iter().chain(rest).map(|value| f64::from(*value)).sum()
}

/// `2^x` for `x ≤ 0`, within 3 units in the last place; 0 below -126.
///
/// `2^x = 2^n e^(f ln 2)` with `n` the integer next to `x` and Taylor's polynomial for the rest, `|f| ≤ 1/2`.
#[inline(always)]
fn exp2(x: f32) -> f32 {
    // Adding this rounds to an integer, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x + ROUND;
    let r = (x - (shifted - ROUND)) * std::f32::consts::LN_2;
    let mut series = 1.0 / 720.0;
    for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series * r + coefficient;
    }
    // The exponent of a float is counted from bit 23 on.
    let scaled = f32::from_bits(series.to_bits().wrapping_add(shifted.to_bits() << 23));
    if x >= -126.0 { scaled } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_accurate() {
        for step in 0..126_000 {
            let x = -step as f32 / 1000.0;
            let error = f64::from(exp2(x)) / f64::from(x).exp2() - 1.0;
            assert!(error.abs() < 3.6e-7, "2^{x} is off by {error}");
        }
        assert_eq!([exp2(0.0), exp2(-127.0), exp2(f32::NEG_INFINITY)], [1.0, 0.0, 0.0]);
    }

    #[test]
    fn sums_and_draws_go_by_the_weights() {
        let logits: Vec<f32> = (0..1000).map(|token| (token * 37 % 91) as f32 / 10.0).collect();
        let mut weights = Weights::default();
        let total = weights.fill(&logits, largest(&logits), 0.7);
        let exact = |logit: &f32| ((f64::from(*logit) - 9.0) / 0.7).exp();
        let expected: f64 = logits.iter().map(exact).sum();
        assert!((total / expected - 1.0).abs() < 1e-6, "{total} against {expected}");
        let mut passed = 0.0;
        for (token, logit) in logits.iter().enumerate() {
            // Half of the weight must be more than what the sum before it is off by.
            if exact(logit) > 4e-6 * expected {
                assert_eq!(weights.token_at(passed + exact(logit) / 2.0), token as u32);
            }
            passed += exact(logit);
        }
        assert_eq!(weights.token_at(f64::INFINITY), 999);
    }

    #[test]
    fn a_token_without_weight_is_never_drawn() {
        let mut weights = Weights::default();
        let total = weights.fill(&[f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY], 0.0, 1.0);
        assert_eq!([0.0, total / 2.0, total, 2.0].map(|mass| weights.token_at(mass)), [1; 4]);
    }

    #[test]
    fn the_first_largest_wins() {
        let mut logits = vec![-3.0; 50];
        logits[33] = 2.0;
        logits[34] = 2.0;
        assert_eq!((argmax(&logits), largest(&logits)), (33, 2.0));
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let mut logits = vec![1.0; 60];
        assert!(check_finite(&logits, 20, 7).is_ok());
        for (at, value) in [(59, f32::NAN), (41, f32::INFINITY), (0, f32::NEG_INFINITY)] {
            logits[at] = value;
            let refused = check_finite(&logits, 20, 7).expect_err("it is not finite");
            let Error::NotFinite { position, token, .. } = refused else { panic!("{refused}") };
            assert_eq!((position, token as usize), (7 + at / 20, at % 20));
        }
    }
}
