//! What llama.cpp's architectures are called at Hugging Face, as data: one table for each, read by all that opens a
//! file.

use super::file::Gguf;
use super::tensor_info::TensorInfo;
use crate::error::Result;

/// An architecture of llama.cpp.
pub(super) struct Architecture {
    /// `general.architecture`.
    pub(super) name: &'static str,
    /// `model_type` in `config.json`.
    pub(super) model_type: &'static str,
    /// The class of `transformers`.
    pub(super) class: &'static str,
    /// Keys that every file has, without the name of the architecture, and what `config.json` calls them.
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
}

const LLAMA_SIZES: &[(&str, &str)] = &[
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("attention.head_count", "num_attention_heads"),
    ("feed_forward_length", "intermediate_size"),
];

const LLAMA: Architecture = Architecture {
    name: "llama",
    model_type: "llama",
    class: "LlamaForCausalLM",
    sizes: LLAMA_SIZES,
    epsilon: ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    activation: ("hidden_act", "silu"),
    switches: &[("attention_bias", "blk.0.attn_output.bias"), ("mlp_bias", "blk.0.ffn_up.bias")],
    rotary: true,
    neighbour_pairs: true,
};

const QWEN2: Architecture = Architecture {
    name: "qwen2",
    model_type: "qwen2",
    class: "Qwen2ForCausalLM",
    switches: &[],
    neighbour_pairs: false,
    ..LLAMA
};

const QWEN3: Architecture = Architecture {
    name: "qwen3",
    model_type: "qwen3",
    class: "Qwen3ForCausalLM",
    switches: &[("attention_bias", "blk.0.attn_output.bias")],
    neighbour_pairs: false,
    ..LLAMA
};

const GPT2: Architecture = Architecture {
    name: "gpt2",
    model_type: "gpt2",
    class: "GPT2LMHeadModel",
    sizes: &[
        ("context_length", "n_positions"),
        ("embedding_length", "n_embd"),
        ("block_count", "n_layer"),
        ("attention.head_count", "n_head"),
        ("feed_forward_length", "n_inner"),
    ],
    epsilon: ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
    activation: ("activation_function", "gelu_new"),
    switches: &[],
    rotary: false,
    neighbour_pairs: false,
};

/// Every architecture, in the order in which messages name them.
const ARCHITECTURES: [&Architecture; 4] = [&GPT2, &LLAMA, &QWEN2, &QWEN3];

impl Architecture {
    /// The architecture of a file.
    pub(super) fn of(gguf: &Gguf<'_>) -> Result<&'static Self> {
        const KEY: &str = "general.architecture";
        let name = gguf.metadata.text(KEY)?;
        let found = ARCHITECTURES.into_iter().find(|known| Some(known.name) == name);
        found.ok_or_else(|| {
            let known = ARCHITECTURES.map(|known| format!("{:?}", known.name)).join(", ");
            gguf.wrong(format!("{}; expected {known}", gguf.metadata.told(KEY)))
        })
    }

    /// A key of this architecture.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    /// Whether a tensor of that name is no parameter, but belongs to the configuration.
    pub(super) fn describes(&self, name: &str) -> bool {
        self.rotary && name == super::rotary::FREQUENCIES
    }

    /// Number of heads, of a tensor whose rows rotate as pairs of neighbours.
    pub(super) fn heads_of_pairs(&self, gguf: &Gguf<'_>, tensor: &TensorInfo<'_>) -> Result<Option<usize>> {
        let layer = tensor.name.rsplit_once('.').map_or(tensor.name, |(layer, _)| layer);
        let (queries, keys) = (layer.ends_with(".attn_q"), layer.ends_with(".attn_k"));
        if !self.neighbour_pairs || !(queries || keys) {
            return Ok(None);
        }
        let heads = if queries { self.heads(gguf)? } else { self.key_value_heads(gguf)? };
        let rows = tensor.shape[0];
        let whole =
            heads.checked_mul(2).filter(|halves| *halves > 0 && (rows as u64).is_multiple_of(*halves));
        match whole {
            Some(_) => Ok(Some(heads as usize)),
            None => Err(gguf.wrong(format!("`{}` has {rows} rows for {heads} heads", tensor.name))),
        }
    }

    /// Heads of queries.
    pub(super) fn heads(&self, gguf: &Gguf<'_>) -> Result<u64> {
        gguf.metadata.size(&self.key("attention.head_count"))
    }

    /// Heads of keys and values: as many as of queries, where the file does not say otherwise.
    pub(super) fn key_value_heads(&self, gguf: &Gguf<'_>) -> Result<u64> {
        let own = gguf.metadata.whole(&self.key("attention.head_count_kv"))?;
        own.map_or_else(|| self.heads(gguf), Ok)
    }
}
