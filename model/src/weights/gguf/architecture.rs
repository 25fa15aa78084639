//! llama.cpp's architectures as data: one table for each, read by all that opens or writes a file.

use crate::weights::family::Family;
use crate::{Activation, GptConfig, Heads, Positions, RotaryScaling};

/// An architecture of llama.cpp.
pub(super) struct Architecture {
    /// `general.architecture`.
    pub(super) name: &'static str,
    /// The family whose models it computes.
    pub(super) family: &'static Family,
    /// Keys of whole numbers, without the name of the architecture, and what `config.json` calls them.
    pub(super) sizes: &'static [(&'static str, &'static str)],
    /// The same for the constant in the norms.
    pub(super) epsilon: (&'static str, &'static str),
    /// What `config.json` says of the activation, which the files do not.
    pub(super) activation: (&'static str, &'static str),
    /// Switches of `config.json`, and the tensor whose presence turns each on.
    pub(super) switches: &'static [(&'static str, &'static str)],
    /// Whether positions are rotary.
    pub(super) rotary: bool,
    /// Whether rows of queries and keys that rotate together are neighbours; else they are half a head apart, as at
    /// Hugging Face.
    neighbour_pairs: bool,
    /// What a model of the family needs that llama.cpp's version of it does not compute.
    pub(super) refusal: fn(&GptConfig) -> Option<String>,
}

/// Heads that a tensor has a row for each feature of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadsOf {
    Queries,
    Keys,
}

const LLAMA: Architecture = Architecture {
    name: "llama",
    family: &Family::LLAMA,
    sizes: &[
        ("context_length", "max_position_embeddings"),
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
    ],
    epsilon: ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    activation: ("hidden_act", "silu"),
    switches: &[("attention_bias", "blk.0.attn_output.bias"), ("mlp_bias", "blk.0.ffn_up.bias")],
    rotary: true,
    neighbour_pairs: true,
    refusal: only_silu,
};

const QWEN2: Architecture = Architecture {
    name: "qwen2",
    family: &Family::QWEN2,
    switches: &[],
    neighbour_pairs: false,
    refusal: |config| {
        let Heads { n_heads, head_dim, .. } = config.heads();
        let (width, d_model) = (n_heads * head_dim, config.d_model);
        let own_width = || format!("its Qwen 2 has heads of {d_model} features together, not of {width}");
        only_silu(config)
            .or_else(|| no_llama_3_scaling(config))
            .or_else(|| (width != d_model).then(own_width))
    },
    ..LLAMA
};

const QWEN3: Architecture = Architecture {
    name: "qwen3",
    family: &Family::QWEN3,
    switches: &[("attention_bias", "blk.0.attn_output.bias")],
    neighbour_pairs: false,
    refusal: |config| {
        let biased = || "its Qwen 3 adds no biases".to_owned();
        only_silu(config).or_else(|| no_llama_3_scaling(config)).or_else(|| config.bias.qkv.then(biased))
    },
    ..LLAMA
};

const GPT2: Architecture = Architecture {
    name: "gpt2",
    family: &Family::GPT2,
    sizes: &[
        ("context_length", "n_positions"),
        ("embedding_length", "n_embd"),
        ("block_count", "n_layer"),
        ("feed_forward_length", "n_inner"),
        ("attention.head_count", "n_head"),
    ],
    epsilon: ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
    activation: ("activation_function", "gelu_new"),
    switches: &[],
    rotary: false,
    neighbour_pairs: false,
    refusal: |config| {
        if config.activation != Activation::GeluTanh {
            return Some(format!("its GPT-2 has the tanh GELU only, not {:?}", config.activation));
        }
        (!config.scale_attention || config.scale_attention_by_layer)
            .then(|| "its GPT-2 always divides attention scores by √head_dim, and by nothing else".to_owned())
    },
};

/// Every architecture, in the order in which messages name them.
pub(super) const ARCHITECTURES: [&Architecture; 4] = [&GPT2, &LLAMA, &QWEN2, &QWEN3];

fn only_silu(config: &GptConfig) -> Option<String> {
    let other = config.activation != Activation::Silu;
    other.then(|| format!("its gated feed-forward network has SiLU only, not {:?}", config.activation))
}

fn no_llama_3_scaling(config: &GptConfig) -> Option<String> {
    let Positions::Rotary(rotary) = &config.positions else { return None };
    let is_llama_3 = matches!(rotary.scaling, Some(RotaryScaling::Llama3 { .. }));
    is_llama_3.then(|| "its Qwen does not stretch rotary positions as Llama 3 does".to_owned())
}

impl Architecture {
    /// The architecture that computes models of a family, if there is one.
    pub(super) fn of_family(family: &Family) -> Option<&'static Self> {
        ARCHITECTURES.into_iter().find(|known| known.family.model_type == family.model_type)
    }

    /// A key of this architecture.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    /// Whose heads a tensor has, if its rows that rotate together are neighbours.
    pub(super) fn neighbours(&self, tensor: &str) -> Option<HeadsOf> {
        let layer = tensor.rsplit_once('.').map_or(tensor, |(layer, _)| layer);
        match layer.rsplit_once('.').filter(|_| self.neighbour_pairs)?.1 {
            "attn_q" => Some(HeadsOf::Queries),
            "attn_k" => Some(HeadsOf::Keys),
            _ => None,
        }
    }
}
