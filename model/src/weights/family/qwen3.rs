//! Qwen 3 (`Qwen3ForCausalLM`): Llama's block with a norm for each head's queries and keys, and heads of a width of their own.

use super::llama::{ATTENTION_BIAS, LLAMA_KEYS, SLIDING_WINDOW, is_llama_block};
use super::{Family, SPECIAL_TOKENS};
use crate::{Biases, GptConfig};

impl Family {
    /// Everything in which Qwen 3's files differ from those of other families.
    pub(in crate::weights) const QWEN3: Self = Self {
        model_type: "qwen3",
        architecture: "Qwen3ForCausalLM",
        fits: |config| {
            let Biases { qkv, attention_out, feed_forward, .. } = config.bias;
            is_llama_block(config) && config.qk_norm && qkv == attention_out && !feed_forward
        },
        keys: &[LLAMA_KEYS, &[ATTENTION_BIAS, SLIDING_WINDOW], SPECIAL_TOKENS],
        // As in `transformers`' `Qwen3Config`.
        defaults: || GptConfig {
            vocab_size: 151_936,
            context_length: 32_768,
            d_ff: 22_016,
            n_kv_heads: Some(32),
            head_dim: Some(128),
            norm_epsilon: 1e-6,
            tied_head: false,
            qk_norm: true,
            ..GptConfig::llama(32, 32, 4096)
        },
        ..Self::LLAMA
    };
}
