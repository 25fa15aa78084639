//! Published architectures by name.

use super::{Biases, FeedForwardKind, GptConfig, NormKind, Positions, Rotary, RotaryScaling};
use crate::Activation;

/// Names accepted by [`GptConfig::preset`], family by family.
pub const PRESETS: [&str; 10] = [
    "gpt2",
    "gpt2-medium",
    "gpt2-large",
    "gpt2-xl",
    "smollm2-135m",
    "smollm2-360m",
    "llama-3.2-1b",
    "qwen2.5-0.5b",
    "qwen3-0.6b",
    "llama-tiny",
];

impl GptConfig {
    /// A published model by its name, one of [`PRESETS`]; `None` for any other name. `llama-tiny` is nobody's: the shape of
    /// Llama at a size that a CPU trains in minutes.
    pub fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "gpt2" => Self::new(12, 12, 768),
            "gpt2-medium" => Self::new(24, 16, 1024),
            "gpt2-large" => Self::new(36, 20, 1280),
            "gpt2-xl" => Self::new(48, 25, 1600),
            "smollm2-135m" => Self {
                vocab_size: 49_152,
                context_length: 8192,
                n_kv_heads: Some(3),
                d_ff: 1536,
                positions: rotary(1e5),
                ..Self::llama(30, 9, 576)
            },
            "smollm2-360m" => Self {
                vocab_size: 49_152,
                context_length: 8192,
                n_kv_heads: Some(5),
                d_ff: 2560,
                positions: rotary(1e5),
                ..Self::llama(32, 15, 960)
            },
            "llama-3.2-1b" => Self {
                vocab_size: 128_256,
                context_length: 131_072,
                n_kv_heads: Some(8),
                d_ff: 8192,
                positions: Positions::Rotary(Rotary { theta: 5e5, scaling: Some(LLAMA_3_2) }),
                ..Self::llama(16, 32, 2048)
            },
            "qwen2.5-0.5b" => Self {
                vocab_size: 151_936,
                context_length: 32_768,
                n_kv_heads: Some(2),
                d_ff: 4864,
                bias: Biases::QKV,
                norm_epsilon: 1e-6,
                positions: rotary(1e6),
                ..Self::llama(24, 14, 896)
            },
            "qwen3-0.6b" => Self {
                vocab_size: 151_936,
                context_length: 40_960,
                n_kv_heads: Some(8),
                head_dim: Some(128),
                d_ff: 3072,
                qk_norm: true,
                norm_epsilon: 1e-6,
                positions: rotary(1e6),
                ..Self::llama(28, 16, 1024)
            },
            "llama-tiny" => Self {
                vocab_size: 1024,
                context_length: 256,
                n_kv_heads: Some(2),
                d_ff: 384,
                ..Self::llama(4, 4, 128)
            },
            _ => return None,
        })
    }

    /// A model of the given depth and width with the choices of Llama: RMS norm, rotary positions, a gated feed-forward
    /// network with SiLU, no biases. The head is tied, as in its smaller models.
    pub fn llama(n_layers: usize, n_heads: usize, d_model: usize) -> Self {
        Self {
            bias: Biases::NONE,
            activation: Activation::Silu,
            norm: NormKind::RmsNorm,
            positions: Positions::Rotary(Rotary::default()),
            feed_forward: FeedForwardKind::Gated,
            ..Self::new(n_layers, n_heads, d_model)
        }
    }
}

/// How Llama 3.2 stretches its context from 8,192 tokens.
const LLAMA_3_2: RotaryScaling = RotaryScaling::Llama3 {
    factor: 32.0,
    low_freq_factor: 1.0,
    high_freq_factor: 4.0,
    original_context_length: 8192,
};

fn rotary(theta: f64) -> Positions {
    Positions::Rotary(Rotary { theta, scaling: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_the_published_parameter_counts() {
        let published = [
            124_439_808,
            354_823_168,
            774_030_080,
            1_557_611_200,
            134_515_008,
            361_821_120,
            1_235_814_400,
            494_032_768,
            596_049_920,
        ];
        for (name, count) in PRESETS.into_iter().zip(published) {
            let config = GptConfig::preset(name).expect("a listed preset exists");
            config.validate().expect("presets are valid");
            assert_eq!(config.num_parameters(), count, "{name}");
        }
        assert!(PRESETS.iter().all(|name| GptConfig::preset(name).is_some()));
    }
}
