//! Kiln's own names, for models that fit no published family: the model's paths, and the fields of its configuration. No other
//! program opens such a directory.

use super::{Family, Has, Key, Layer, MatrixLayout, NO_BIAS, SPECIAL_TOKENS, Size};
use crate::{FeedForwardKind, GptConfig, Positions, Role};

impl Family {
    /// What every configuration fits.
    pub(in crate::weights) const KILN: Self = Self {
        model_type: "kiln",
        architecture: "KilnForCausalLM",
        fits: |_| true,
        keys: &[
            &[
                Key::Field("vocab_size", "vocab_size"),
                Key::Field("context_length", "context_length"),
                Key::Field("d_model", "d_model"),
                Key::Field("n_layers", "n_layers"),
                Key::Field("n_heads", "n_heads"),
                Key::Field("n_kv_heads", "n_kv_heads"),
                Key::Field("head_dim", "head_dim"),
                Key::Field("d_ff", "d_ff"),
                Key::Field("dropout", "dropout"),
                Key::Field("bias", "bias"),
                Key::Field("tied_head", "tied_head"),
                Key::Field("activation", "activation"),
                Key::Field("norm", "norm"),
                Key::Field("norm_epsilon", "norm_epsilon"),
                Key::Field("qk_norm", "qk_norm"),
                Key::Field("embedding_norm", "embedding_norm"),
                Key::Field("positions", "positions"),
                Key::Field("feed_forward", "feed_forward"),
                Key::Field("residual_scalars", "residual_scalars"),
                Key::Field("logit_softcap", "logit_softcap"),
                Key::Field("init_std", "init_std"),
                Key::Field("zero_init", "zero_init"),
                Key::Field("scale_attention", "scale_attention"),
                Key::Field("scale_attention_by_layer", "scale_attention_by_layer"),
            ],
            SPECIAL_TOKENS,
        ],
        defaults: || GptConfig::new(12, 12, 768),
        prefix: "",
        matrices: MatrixLayout::InputFirst,
        zero_biases: false,
        embeddings: &[
            layer("wte", Role::Embedding, &[Size::Vocab, Size::Width], NO_BIAS),
            Layer {
                is_in: |config| config.positions == Positions::Learned,
                ..layer("wpe", Role::Position, &[Size::Context, Size::Width], NO_BIAS)
            },
            scalars("scalars.residual"),
            scalars("scalars.embedding"),
        ],
        block: &[
            layer("h.*.ln_1", Role::Norm, &[Size::Width], Some(GptConfig::norm_bias)),
            layer("h.*.attn.c_attn", Role::Matrix, &[Size::Width, Size::Qkv], Some(|config| config.bias.qkv)),
            layer(
                "h.*.attn.c_proj",
                Role::Matrix,
                &[Size::Queries, Size::Width],
                Some(|config| config.bias.attention_out),
            ),
            head_norm("h.*.attn.q_norm"),
            head_norm("h.*.attn.k_norm"),
            layer("h.*.ln_2", Role::Norm, &[Size::Width], Some(GptConfig::norm_bias)),
            feed_forward("h.*.mlp.c_fc", &[Size::Width, Size::FeedForward]),
            Layer {
                is_in: |config| config.feed_forward == FeedForwardKind::Gated,
                ..feed_forward("h.*.mlp.c_gate", &[Size::Width, Size::FeedForward])
            },
            feed_forward("h.*.mlp.c_proj", &[Size::FeedForward, Size::Width]),
        ],
        last: &[
            layer("ln_f", Role::Norm, &[Size::Width], Some(GptConfig::norm_bias)),
            layer("lm_head", Role::Head, &[Size::Vocab, Size::Width], NO_BIAS),
        ],
        buffers: &[],
        other_heads: &[],
        adapted: &["c_attn"],
    };
}

const fn layer(path: &'static str, role: Role, shape: &'static [Size], bias: Has) -> Layer {
    Layer { path, name: path, gguf: path, role, shape, bias, is_in: |_| true }
}

const fn scalars(path: &'static str) -> Layer {
    Layer { is_in: |config| config.residual_scalars, ..layer(path, Role::Scalar, &[Size::Layers], NO_BIAS) }
}

const fn head_norm(path: &'static str) -> Layer {
    Layer { is_in: |config| config.qk_norm, ..layer(path, Role::Norm, &[Size::HeadDim], NO_BIAS) }
}

const fn feed_forward(path: &'static str, shape: &'static [Size]) -> Layer {
    layer(path, Role::Matrix, shape, Some(|config| config.bias.feed_forward))
}
