//! Qwen 3 (`Qwen3ForCausalLM`): Llama's block with a norm for each head's queries and keys, and heads of a width of their own.

use super::llama::is_llama_block;
use super::{Family, Key};
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
            Key::Biases("attention_bias", Biases { qkv: true, attention_out: true, ..Biases::NONE }),
            Key::Unsupported("use_sliding_window"),
            Key::SpecialToken("bos_token_id"),
            Key::SpecialToken("eos_token_id"),
            Key::SpecialToken("pad_token_id"),
        ],
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
        gguf_architecture: "qwen3",
        ..Self::LLAMA
    };
}
