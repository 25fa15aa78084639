//! Directions that cost no autoencoder, and those that stand for chance.

use kiln_datasets::mix;

use super::Observed;
use crate::vectors::norm;

/// A vector brought to this length; zero stays zero.
pub(super) fn of_length(vector: Vec<f32>, length: f32) -> Vec<f32> {
    let factor = length / norm(&vector).max(f32::MIN_POSITIVE);
    vector.into_iter().map(|number| number * factor).collect()
}

/// The mean of the stream where the word comes next, minus that where it might have and did not.
pub(super) fn mean_difference(observed: &Observed) -> Option<Vec<f32>> {
    let mean = |before_word: bool| {
        let (mut sum, mut count) = (vec![0.0; observed.d_model], 0usize);
        for (index, _) in observed.choices().filter(|(_, position)| position.is_before_word == before_word) {
            sum.iter_mut().zip(observed.at(index)).for_each(|(sum, number)| *sum += f64::from(*number));
            count += 1;
        }
        (count > 0).then(|| sum.into_iter().map(move |sum| sum / count as f64).collect::<Vec<f64>>())
    };
    let (with, without) = (mean(true)?, mean(false)?);
    Some(with.iter().zip(&without).map(|(with, without)| (with - without) as f32).collect())
}

/// A direction without any meaning: independent normal numbers.
pub(super) fn random(seed: u64, d_model: usize) -> Vec<f32> {
    (0..d_model as u64).map(|index| normal(mix(seed, index)) as f32).collect()
}

/// A random direction of the stream's own covariance: those that the model uses more are more likely.
pub(super) fn random_of_stream(seed: u64, observed: &Observed) -> Vec<f32> {
    let count = observed.positions.len();
    let (mut sum, mut mean) = (vec![0.0; observed.d_model], vec![0.0; observed.d_model]);
    let mut weights = 0.0;
    for index in 0..count {
        let weight = normal(mix(seed, index as u64));
        weights += weight;
        for ((sum, mean), number) in sum.iter_mut().zip(&mut mean).zip(observed.at(index)) {
            *sum += weight * f64::from(*number);
            *mean += f64::from(*number) / count as f64;
        }
    }
    sum.iter().zip(mean).map(|(sum, mean)| (sum - weights * mean) as f32).collect()
}

/// A number of the standard normal distribution, from random bits (Box and Muller, 1958).
fn normal(bits: u64) -> f64 {
    let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    (-2.0 * uniform(bits).ln()).sqrt() * (std::f64::consts::TAU * uniform(mix(bits, 1))).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_normal() {
        let numbers = random(3, 20_000);
        let mean = numbers.iter().sum::<f32>() / 20_000.0;
        let variance = numbers.iter().map(|number| number * number).sum::<f32>() / 20_000.0;
        let beyond = numbers.iter().filter(|number| number.abs() > 1.96).count() as f32 / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05 && (beyond - 0.05).abs() < 0.01);
        assert!((norm(&of_length(numbers, 3.0)) - 3.0).abs() < 1e-4);
    }
}
