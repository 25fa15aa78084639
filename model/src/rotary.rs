//! Rotary positions: queries and keys turn with their place, so that their product knows how far apart they are.

use std::f64::consts::PI;

use burn::tensor::{Tensor, TensorData};

use crate::{Backend, Heads, Rotary, RotaryScaling, backend};

/// Sines and cosines of the angles by which the features at some positions turn.
#[derive(Clone, Debug)]
pub struct Angles<B: Backend> {
    /// `[batch or 1, seq, head_dim / 2]`
    pub cos: Tensor<B, 3>,
    /// `[batch or 1, seq, head_dim / 2]`
    pub sin: Tensor<B, 3>,
}

impl<B: Backend> Angles<B> {
    /// Angles of these positions, `seq` of them for each sequence or for all.
    pub fn new(
        rotary: &Rotary,
        head_dim: usize,
        positions: &[usize],
        seq: usize,
        device: &B::Device,
    ) -> Self {
        let frequencies = rotary.frequencies(head_dim);
        // In f32, as those who trained the published models computed them.
        let angles: Vec<f32> = positions
            .iter()
            .flat_map(|position| frequencies.iter().map(move |frequency| *position as f32 * frequency))
            .collect();
        let shape = [positions.len() / seq.max(1), seq, head_dim / 2];
        let tensor = |function: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|angle| function(f64::from(*angle)) as f32).collect();
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        Self { cos: tensor(f64::cos), sin: tensor(f64::sin) }
    }

    /// Turns the queries and keys of a joint projection in one operation; values stay.
    ///
    /// # Shapes
    ///
    /// - qkv, output: `[batch, seq, (n_heads + 2 * n_kv_heads) * head_dim]`
    pub(crate) fn turn_joint(&self, qkv: Tensor<B, 3>, heads: Heads) -> Tensor<B, 3> {
        backend::rotary(qkv, heads, self.cos.clone(), self.sin.clone())
    }

    /// Step by step: each pair `(a, b)` of features, `head_dim / 2` apart, becomes `(a cos - b sin, b cos + a sin)`.
    ///
    /// # Shapes
    ///
    /// - heads, output: `[batch, n_heads, seq, head_dim]`
    pub(crate) fn turn(&self, heads: Tensor<B, 4>) -> Tensor<B, 4> {
        let [_, _, _, head_dim] = heads.dims();
        let half = head_dim / 2;
        let cos = self.cos.clone().unsqueeze_dim::<4>(1); // [batch or 1, 1, seq, head_dim / 2]
        let sin = self.sin.clone().unsqueeze_dim::<4>(1); // [batch or 1, 1, seq, head_dim / 2]
        let first = heads.clone().narrow(3, 0, half); // [batch, n_heads, seq, head_dim / 2]
        let second = heads.narrow(3, half, half); // [batch, n_heads, seq, head_dim / 2]
        let turned = first.clone() * cos.clone() - second.clone() * sin.clone(); // [batch, n_heads, seq, head_dim / 2]
        Tensor::cat(vec![turned, second * cos + first * sin], 3) // [batch, n_heads, seq, head_dim]
    }
}

impl Rotary {
    /// By how much each pair of features turns from one position to the next, in radians: `theta^(-2 i / head_dim)`, stretched
    /// where there is a [scaling](RotaryScaling).
    pub fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        let divided = self.unscaled(head_dim).zip(self.divisors(head_dim));
        divided.map(|(frequency, divisor)| (frequency / divisor) as f32).collect()
    }

    /// What divides the frequency of each pair of features.
    pub(crate) fn divisors(&self, head_dim: usize) -> Vec<f64> {
        let divisor = |frequency| self.scaling.map_or(1.0, |scaling| scaling.divisor(frequency));
        self.unscaled(head_dim).map(divisor).collect()
    }

    fn unscaled(&self, head_dim: usize) -> impl Iterator<Item = f64> {
        let frequency = move |pair| (1.0 / self.theta.powf((2 * pair) as f64 / head_dim as f64)) as f32;
        (0..head_dim / 2).map(frequency).map(f64::from)
    }
}

impl RotaryScaling {
    fn divisor(self, frequency: f64) -> f64 {
        match self {
            Self::Linear { factor } => factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_context_length } => {
                let turns = original_context_length as f64 * frequency / (2.0 * PI);
                match (turns - low_freq_factor) / (high_freq_factor - low_freq_factor) {
                    ..=0.0 => factor,
                    1.0.. => 1.0,
                    kept => 1.0 / ((1.0 - kept) / factor + kept),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1 / inv_freq` of transformers' `LlamaRotaryEmbedding` for Llama 3.2 1B, pairs 0, 12, 16, 20, 31.
    #[test]
    fn wavelengths_are_stretched_as_in_llama_3() {
        let scaling = RotaryScaling::Llama3 {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context_length: 8192,
        };
        let plain = Rotary { theta: 5e5, scaling: None }.frequencies(64);
        let stretched = Rotary { theta: 5e5, scaling: Some(scaling) }.frequencies(64);
        assert_eq!((plain[0], stretched[0]), (1.0, 1.0));
        assert_eq!(plain[12], stretched[12], "short: 2π · 137 positions");
        assert_eq!(plain[31] / 32.0, stretched[31], "long");
        let divisors = Rotary { theta: 5e5, scaling: Some(scaling) }.divisors(64);
        assert_eq!((divisors[14], divisors[18]), (1.0, 32.0));
        assert!((16..18).all(|pair| divisors[pair] > 1.0 && divisors[pair] < 32.0), "{divisors:?}");
        let linear = Rotary { scaling: Some(RotaryScaling::Linear { factor: 4.0 }), ..Rotary::default() };
        assert_eq!(linear.frequencies(8)[1], Rotary::default().frequencies(8)[1] / 4.0);
    }
}
