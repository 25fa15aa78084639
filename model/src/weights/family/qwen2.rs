//! Qwen 2 and 2.5 (`Qwen2ForCausalLM`): Llama's block, with biases where queries, keys and values are made.

use super::llama::{LLAMA_KEYS, SLIDING_WINDOW, is_llama_block};
use super::{Family, SPECIAL_TOKENS};
use crate::{Biases, GptConfig};

impl Family {
    /// Everything in which Qwen 2's files differ from those of other families.
    pub(in crate::weights) const QWEN2: Self = Self {
        model_type: "qwen2",
        architecture: "Qwen2ForCausalLM",
        fits: |config| {
            is_llama_block(config) && !config.qk_norm && Biases { norm: false, ..config.bias } == Biases::QKV
        },
        keys: &[LLAMA_KEYS, &[SLIDING_WINDOW], SPECIAL_TOKENS],
        // As in `transformers`' `Qwen2Config`.
        defaults: || GptConfig {
            vocab_size: 151_936,
            context_length: 32_768,
            d_ff: 22_016,
            n_kv_heads: Some(32),
            norm_epsilon: 1e-6,
            tied_head: false,
            bias: Biases::QKV,
            ..GptConfig::llama(32, 32, 4096)
        },
        ..Self::LLAMA
    };
}
