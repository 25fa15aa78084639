//! Qwen 2 and 2.5 (`Qwen2ForCausalLM`): Llama's block, with biases where queries, keys and values are made.

use super::llama::is_llama_block;
use super::{Family, Key};
use crate::{Biases, GptConfig};

impl Family {
    /// Everything in which Qwen 2's files differ from those of other families.
    pub(in crate::weights) const QWEN2: Self = Self {
        model_type: "qwen2",
        architecture: "Qwen2ForCausalLM",
        fits: |config| {
            is_llama_block(config) && !config.qk_norm && Biases { norm: false, ..config.bias } == Biases::QKV
        },
        keys: &[
            Key::Field("vocab_size", "vocab_size"),
            Key::Field("max_position_embeddings", "context_length"),
            Key::Field("hidden_size", "d_model"),
            Key::Field("intermediate_size", "d_ff"),
            Key::Field("num_hidden_layers", "n_layers"),
            Key::Field("num_attention_heads", "n_heads"),
            Key::Field("num_key_value_heads", "n_kv_heads"),
            Key::Field("head_dim", "head_dim"),
            Key::Field("hidden_act", "activation"),
            Key::Field("rms_norm_eps", "norm_epsilon"),
            Key::Rotary,
            Key::Field("initializer_range", "init_std"),
            Key::Field("attention_dropout", "dropout"),
            Key::Field("tie_word_embeddings", "tied_head"),
            Key::Unsupported("use_sliding_window"),
            Key::SpecialToken("bos_token_id"),
            Key::SpecialToken("eos_token_id"),
            Key::SpecialToken("pad_token_id"),
        ],
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
        gguf_architecture: "qwen2",
        ..Self::LLAMA
    };
}
