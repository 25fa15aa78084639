//! GPT-2 (`GPT2LMHeadModel`): the names in its published files, which the model's own fields share.

use super::{Family, Has, Key, Layer, MatrixLayout, NO_BIAS, SPECIAL_TOKENS, Size};
use crate::{Activation, Biases, FeedForwardKind, GptConfig, Heads, NormKind, Positions, Role};

impl Family {
    /// Everything in which GPT-2's files differ from those of other families.
    pub(in crate::weights) const GPT2: Self = Self {
        model_type: "gpt2",
        architecture: "GPT2LMHeadModel",
        fits: |config| {
            let Heads { n_heads, n_kv_heads, head_dim } = config.heads();
            config.norm == NormKind::LayerNorm
                && config.positions == Positions::Learned
                && config.feed_forward == FeedForwardKind::Plain
                && !config.qk_norm
                && n_kv_heads == n_heads
                && n_heads * head_dim == config.d_model
                && [Biases::ALL, Biases::NONE].contains(&config.bias)
                && config.activation != Activation::Relu2
                && config.own_choice().is_none()
        },
        keys: &[
            &[
                Key::Field("vocab_size", "vocab_size"),
                Key::Field("n_positions", "context_length"),
                Key::Field("n_embd", "d_model"),
                Key::Field("n_layer", "n_layers"),
                Key::Field("n_head", "n_heads"),
                Key::FeedForward("n_inner"),
                Key::Field("activation_function", "activation"),
                Key::Field("layer_norm_epsilon", "norm_epsilon"),
                Key::Field("initializer_range", "init_std"),
                Key::Field("resid_pdrop", "dropout"),
                Key::Field("embd_pdrop", "dropout"),
                Key::Field("attn_pdrop", "dropout"),
                Key::Field("tie_word_embeddings", "tied_head"),
                Key::Field("scale_attn_weights", "scale_attention"),
                Key::Field("scale_attn_by_inverse_layer_idx", "scale_attention_by_layer"),
                // The same scores in another order: nothing to do in f32.
                Key::WithoutEffect("reorder_and_upcast_attn"),
                Key::Unsupported("add_cross_attention"),
                Key::Foreign("hidden_size", "n_embd"),
                Key::Foreign("d_model", "n_embd"),
                Key::Foreign("num_hidden_layers", "n_layer"),
                Key::Foreign("num_layers", "n_layer"),
                Key::Foreign("num_attention_heads", "n_head"),
                Key::Foreign("num_heads", "n_head"),
                Key::Foreign("num_key_value_heads", "n_head"),
                Key::Foreign("max_position_embeddings", "n_positions"),
                Key::Foreign("block_size", "n_positions"),
                Key::Foreign("intermediate_size", "n_inner"),
                Key::Foreign("hidden_act", "activation_function"),
                Key::Foreign("layer_norm_eps", "layer_norm_epsilon"),
            ],
            SPECIAL_TOKENS,
            &[
                // Ours: whether the biases in the file are parameters. `transformers` ignores it and finds zeros.
                Key::Field("bias", "bias"),
            ],
        ],
        // As in `transformers`' `GPT2Config`.
        defaults: || GptConfig { dropout: 0.1, ..GptConfig::new(12, 12, 768) },
        prefix: "transformer.",
        matrices: MatrixLayout::InputFirst,
        zero_biases: true,
        embeddings: &[
            table("wte", "token_embd", Role::Embedding, &[Size::Vocab, Size::Width]),
            table("wpe", "position_embd", Role::Position, &[Size::Context, Size::Width]),
        ],
        block: &[
            norm("h.*.ln_1", "blk.*.attn_norm"),
            linear("h.*.attn.c_attn", "blk.*.attn_qkv", &[Size::Width, Size::Qkv]),
            linear("h.*.attn.c_proj", "blk.*.attn_output", &[Size::Width, Size::Width]),
            norm("h.*.ln_2", "blk.*.ffn_norm"),
            linear("h.*.mlp.c_fc", "blk.*.ffn_up", &[Size::Width, Size::FeedForward]),
            linear("h.*.mlp.c_proj", "blk.*.ffn_down", &[Size::FeedForward, Size::Width]),
        ],
        last: &[
            norm("ln_f", "output_norm"),
            table("lm_head", "output", Role::Head, &[Size::Vocab, Size::Width]),
        ],
        // Causal masks, in old files.
        buffers: &[".attn.bias", ".attn.masked_bias"],
        other_heads: &["v_head.", "score.", "classifier.", "qa_outputs.", "multiple_choice_head."],
        adapted: &["c_attn"],
    };
}

const fn table(name: &'static str, gguf: &'static str, role: Role, shape: &'static [Size]) -> Layer {
    layer(name, gguf, role, shape, NO_BIAS)
}

const fn norm(name: &'static str, gguf: &'static str) -> Layer {
    layer(name, gguf, Role::Norm, &[Size::Width], Some(GptConfig::norm_bias))
}

const fn linear(name: &'static str, gguf: &'static str, shape: &'static [Size]) -> Layer {
    // All of them or none.
    layer(name, gguf, Role::Matrix, shape, Some(|config| config.bias.qkv))
}

const fn layer(
    name: &'static str,
    gguf: &'static str,
    role: Role,
    shape: &'static [Size],
    bias: Has,
) -> Layer {
    Layer { path: name, name, gguf, role, shape, bias, is_in: |_| true }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in llama.cpp's conversion of GPT-2.
    #[test]
    fn names_are_llama_cpps() {
        for (path, gguf) in [
            ("wte.weight", "token_embd.weight"),
            ("wpe.weight", "position_embd.weight"),
            ("h.11.attn.c_attn.bias", "blk.11.attn_qkv.bias"),
            ("h.0.mlp.c_proj.weight", "blk.0.ffn_down.weight"),
            ("h.0.ln_2.bias", "blk.0.ffn_norm.bias"),
            ("ln_f.weight", "output_norm.weight"),
            ("lm_head.weight", "output.weight"),
        ] {
            assert_eq!(Family::GPT2.slots_at(path)[0].gguf_name(), gguf);
        }
    }

    #[test]
    fn only_the_head_has_no_prefix() {
        let full = |path: &str| Family::GPT2.slots_at(path)[0].full_name(&Family::GPT2);
        assert_eq!(full("h.3.mlp.c_fc.bias"), "transformer.h.3.mlp.c_fc.bias");
        assert_eq!(full("lm_head.weight"), "lm_head.weight");
    }
}
