//! `config.json` as `transformers` writes it for GPT-2, and what it means for a [`GptConfig`].

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Dtype;
use crate::error::{Error, Result};
use crate::{Activation, GptConfig};

/// The keys that decide what a GPT-2 computes; absent ones have the defaults of `transformers`' `GPT2Config`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HfConfig {
    #[serde(skip_deserializing)]
    architectures: Vec<String>,
    model_type: String,
    #[serde(default = "default_vocab_size")]
    vocab_size: usize,
    #[serde(default = "default_positions")]
    n_positions: usize,
    #[serde(default = "default_width")]
    n_embd: usize,
    #[serde(default = "default_layers")]
    n_layer: usize,
    #[serde(default = "default_heads")]
    n_head: usize,
    n_inner: Option<usize>,
    #[serde(default)]
    activation_function: Activation,
    #[serde(default = "default_epsilon")]
    layer_norm_epsilon: f64,
    #[serde(default = "default_std")]
    initializer_range: f64,
    #[serde(default = "default_dropout")]
    resid_pdrop: f64,
    #[serde(default = "default_dropout")]
    embd_pdrop: f64,
    #[serde(default = "default_dropout")]
    attn_pdrop: f64,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    #[serde(default = "yes")]
    scale_attn_weights: bool,
    #[serde(default)]
    scale_attn_by_inverse_layer_idx: bool,
    /// Computes the same scores in another order; nothing to do in f32.
    #[serde(default)]
    reorder_and_upcast_attn: bool,
    #[serde(default)]
    add_cross_attention: bool,
    #[serde(skip_deserializing)]
    bos_token_id: Option<u32>,
    #[serde(skip_deserializing)]
    eos_token_id: Option<u32>,
    /// Ours: whether the biases in the file are parameters. `transformers` ignores it and finds zeros.
    #[serde(default = "yes")]
    bias: bool,
    /// For readers of the file; the weights themselves say what they are.
    #[serde(skip_deserializing)]
    dtype: &'static str,
}

fn default_vocab_size() -> usize {
    50_257
}
fn default_positions() -> usize {
    1024
}
fn default_width() -> usize {
    768
}
fn default_layers() -> usize {
    12
}
fn default_heads() -> usize {
    12
}
fn default_epsilon() -> f64 {
    1e-5
}
fn default_std() -> f64 {
    0.02
}
fn default_dropout() -> f64 {
    0.1
}
fn yes() -> bool {
    true
}

impl HfConfig {
    pub(super) fn new(config: &GptConfig, end_of_text: Option<u32>, dtype: Dtype) -> Self {
        Self {
            architectures: vec!["GPT2LMHeadModel".to_owned()],
            model_type: "gpt2".to_owned(),
            vocab_size: config.vocab_size,
            n_positions: config.context_length,
            n_embd: config.d_model,
            n_layer: config.n_layers,
            n_head: config.n_heads,
            n_inner: Some(config.d_ff),
            activation_function: config.activation,
            layer_norm_epsilon: config.layer_norm_epsilon,
            initializer_range: config.init_std,
            resid_pdrop: config.dropout,
            embd_pdrop: config.dropout,
            attn_pdrop: config.dropout,
            tie_word_embeddings: config.tied_head,
            scale_attn_weights: config.scale_attention,
            scale_attn_by_inverse_layer_idx: config.scale_attention_by_layer,
            reorder_and_upcast_attn: false,
            add_cross_attention: false,
            bos_token_id: end_of_text,
            eos_token_id: end_of_text,
            bias: config.bias,
            dtype: match dtype {
                Dtype::F32 => "float32",
                Dtype::Bf16 => "bfloat16",
                Dtype::F16 => "float16",
            },
        }
    }

    /// Reads and checks `path`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        // The type first: another architecture should be told apart from a damaged file.
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| Error::format(path, error.to_string()))?;
        match value.get("model_type").and_then(|kind| kind.as_str()) {
            Some("gpt2") => {}
            Some(other) => {
                return Err(Error::format(
                    path,
                    format!("model_type is \"{other}\"; only \"gpt2\" is supported"),
                ));
            }
            None => return Err(Error::format(path, "there is no model_type; expected \"gpt2\"")),
        }
        // From the text again, so that an error knows its key and its line.
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text))
            .map_err(|error| Error::format(path, error.to_string()))
    }

    /// The validated configuration it describes.
    pub(super) fn into_config(self, path: &Path) -> Result<GptConfig> {
        if self.add_cross_attention {
            return Err(Error::format(path, "add_cross_attention = true is not supported"));
        }
        let config = GptConfig {
            vocab_size: self.vocab_size,
            context_length: self.n_positions,
            d_model: self.n_embd,
            n_layers: self.n_layer,
            n_heads: self.n_head,
            d_ff: self.n_inner.unwrap_or(self.n_embd.saturating_mul(4)),
            dropout: self.resid_pdrop,
            bias: self.bias,
            tied_head: self.tie_word_embeddings,
            layer_norm_epsilon: self.layer_norm_epsilon,
            init_std: self.initializer_range,
            activation: self.activation_function,
            scale_attention: self.scale_attn_weights,
            scale_attention_by_layer: self.scale_attn_by_inverse_layer_idx,
        };
        config.validate().map_err(|error| Error::format(path, error.to_string()))?;
        Ok(config)
    }
}
