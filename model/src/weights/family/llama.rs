//! Llama (`LlamaForCausalLM`) and those that share its block: SmolLM2, TinyLlama, and with changes Qwen.

use super::{Family, Key, Layer, MatrixLayout, NO_BIAS, SPECIAL_TOKENS, Size};
use crate::{Biases, FeedForwardKind, GptConfig, NormKind, Positions, Role};

impl Family {
    /// Everything in which Llama's files differ from those of other families.
    pub(in crate::weights) const LLAMA: Self = Self {
        model_type: "llama",
        architecture: "LlamaForCausalLM",
        fits: |config| {
            is_llama_block(config) && !config.qk_norm && config.bias.qkv == config.bias.attention_out
        },
        keys: &[
            LLAMA_KEYS,
            &[ATTENTION_BIAS, Key::Biases("mlp_bias", Biases { feed_forward: true, ..Biases::NONE })],
            SPECIAL_TOKENS,
        ],
        // As in `transformers`' `LlamaConfig`.
        defaults: || GptConfig {
            vocab_size: 32_000,
            context_length: 2048,
            d_ff: 11_008,
            norm_epsilon: 1e-6,
            tied_head: false,
            ..GptConfig::llama(32, 32, 4096)
        },
        prefix: "model.",
        matrices: MatrixLayout::OutputFirst,
        zero_biases: false,
        embeddings: &[table("embed_tokens", "wte", "token_embd", Role::Embedding)],
        block: &[
            norm("layers.*.input_layernorm", "h.*.ln_1", "blk.*.attn_norm", Size::Width),
            attention("layers.*.self_attn.q_proj", "blk.*.attn_q", Size::Queries),
            attention("layers.*.self_attn.k_proj", "blk.*.attn_k", Size::Keys),
            attention("layers.*.self_attn.v_proj", "blk.*.attn_v", Size::Keys),
            Layer {
                path: "h.*.attn.c_proj",
                name: "layers.*.self_attn.o_proj",
                gguf: "blk.*.attn_output",
                role: Role::Matrix,
                shape: &[Size::Queries, Size::Width],
                bias: Some(|config| config.bias.attention_out),
                is_in: |_| true,
            },
            head_norm("layers.*.self_attn.q_norm", "h.*.attn.q_norm", "blk.*.attn_q_norm"),
            head_norm("layers.*.self_attn.k_norm", "h.*.attn.k_norm", "blk.*.attn_k_norm"),
            norm("layers.*.post_attention_layernorm", "h.*.ln_2", "blk.*.ffn_norm", Size::Width),
            feed_forward("layers.*.mlp.up_proj", "h.*.mlp.c_fc", "blk.*.ffn_up", EXPANDING),
            feed_forward("layers.*.mlp.gate_proj", "h.*.mlp.c_gate", "blk.*.ffn_gate", EXPANDING),
            feed_forward("layers.*.mlp.down_proj", "h.*.mlp.c_proj", "blk.*.ffn_down", CONTRACTING),
        ],
        last: &[
            norm("norm", "ln_f", "output_norm", Size::Width),
            table("lm_head", "lm_head", "output", Role::Head),
        ],
        buffers: &[".rotary_emb.inv_freq"],
        other_heads: &["v_head.", "score.", "classifier.", "qa_outputs."],
        adapted: &["q_proj", "v_proj"],
    };
}

/// What all of them call their numbers.
pub(super) const LLAMA_KEYS: &[Key] = &[
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
];

pub(super) const ATTENTION_BIAS: Key =
    Key::Biases("attention_bias", Biases { qkv: true, attention_out: true, ..Biases::NONE });

/// Kiln has no windows.
pub(super) const SLIDING_WINDOW: Key = Key::Unsupported("use_sliding_window");

/// Whether norms, positions, feed-forward network and scores are those that Llama and its kin compute.
pub(super) fn is_llama_block(config: &GptConfig) -> bool {
    config.norm == NormKind::RmsNorm
        && config.positions != Positions::Learned
        && config.feed_forward == FeedForwardKind::Gated
        && config.scale_attention
        && !config.scale_attention_by_layer
        && config.own_choice().is_none()
}

const EXPANDING: &[Size] = &[Size::Width, Size::FeedForward];
const CONTRACTING: &[Size] = &[Size::FeedForward, Size::Width];

const fn table(name: &'static str, path: &'static str, gguf: &'static str, role: Role) -> Layer {
    Layer { path, name, gguf, role, shape: &[Size::Vocab, Size::Width], bias: NO_BIAS, is_in: |_| true }
}

const fn norm(name: &'static str, path: &'static str, gguf: &'static str, size: Size) -> Layer {
    let shape: &[Size] = match size {
        Size::HeadDim => &[Size::HeadDim],
        _ => &[Size::Width],
    };
    Layer { path, name, gguf, role: Role::Norm, shape, bias: NO_BIAS, is_in: |_| true }
}

const fn head_norm(name: &'static str, path: &'static str, gguf: &'static str) -> Layer {
    Layer { is_in: |config| config.qk_norm, ..norm(name, path, gguf, Size::HeadDim) }
}

/// Of the three that lie side by side in the model.
const fn attention(name: &'static str, gguf: &'static str, size: Size) -> Layer {
    let shape: &[Size] = match size {
        Size::Queries => &[Size::Width, Size::Queries],
        _ => &[Size::Width, Size::Keys],
    };
    Layer {
        path: "h.*.attn.c_attn",
        name,
        gguf,
        role: Role::Matrix,
        shape,
        bias: Some(|config| config.bias.qkv),
        is_in: |_| true,
    }
}

const fn feed_forward(
    name: &'static str,
    path: &'static str,
    gguf: &'static str,
    shape: &'static [Size],
) -> Layer {
    let bias: super::Has = Some(|config| config.bias.feed_forward);
    Layer { path, name, gguf, role: Role::Matrix, shape, bias, is_in: |_| true }
}
