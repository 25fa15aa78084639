//! The sections of `Config.toml` and their defaults.

use std::path::PathBuf;

use anyhow::Result;
use kiln_datasets::{DEFAULT_FIELD, Order};
use kiln_inference::Sampling;
use kiln_model::{Activation, GptConfig, PRESETS};
use kiln_training::{OptimizerConfig, ScheduleConfig, TrainingConfig};
use serde::{Deserialize, Serialize};

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub model: ModelSection,
    pub tokenizer: TokenizerSection,
    pub data: DataSection,
    pub optimizer: OptimizerConfig,
    pub schedule: ScheduleConfig,
    pub training: TrainingConfig,
    pub generation: GenerationSection,
}

/// `[model]`: a preset, numbers of one's own, or a preset with some numbers changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSection {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_model: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_layers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_heads: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_ff: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tied_head: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_norm_epsilon: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_std: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_attention: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_attention_by_layer: Option<bool>,
}

impl ModelSection {
    /// The architecture for a tokenizer of that many tokens; without a preset, a small model for a CPU.
    pub fn config(&self, tokens: usize) -> Result<GptConfig> {
        let base = match &self.preset {
            None => GptConfig { context_length: 256, ..GptConfig::new(4, 4, 128) },
            Some(name) => GptConfig::preset(name).ok_or_else(|| {
                let reason = format!("unknown preset\nhint: use one of {}", PRESETS.join(", "));
                kiln_model::Error::Config { key: "preset", value: format!("{name:?}"), reason }
            })?,
        };
        let vocab_size = self.vocab_size.unwrap_or(tokens);
        if vocab_size < tokens {
            let reason = format!("the tokenizer has {tokens} tokens");
            return Err(kiln_model::Error::Config {
                key: "vocab_size",
                value: vocab_size.to_string(),
                reason,
            }
            .into());
        }
        let d_model = self.d_model.unwrap_or(base.d_model);
        let config = GptConfig {
            vocab_size,
            context_length: self.context_length.unwrap_or(base.context_length),
            d_model,
            n_layers: self.n_layers.unwrap_or(base.n_layers),
            n_heads: self.n_heads.unwrap_or(base.n_heads),
            d_ff: self.d_ff.unwrap_or(d_model.saturating_mul(4)),
            dropout: self.dropout.unwrap_or(base.dropout),
            bias: self.bias.unwrap_or(base.bias),
            tied_head: self.tied_head.unwrap_or(base.tied_head),
            activation: self.activation.unwrap_or(base.activation),
            layer_norm_epsilon: self.layer_norm_epsilon.unwrap_or(base.layer_norm_epsilon),
            init_std: self.init_std.unwrap_or(base.init_std),
            scale_attention: self.scale_attention.unwrap_or(base.scale_attention),
            scale_attention_by_layer: self.scale_attention_by_layer.unwrap_or(base.scale_attention_by_layer),
        };
        config.validate()?;
        Ok(config)
    }

    /// Every number of `config` written out.
    pub fn resolved(config: &GptConfig) -> Self {
        Self {
            preset: None,
            vocab_size: Some(config.vocab_size),
            context_length: Some(config.context_length),
            d_model: Some(config.d_model),
            n_layers: Some(config.n_layers),
            n_heads: Some(config.n_heads),
            d_ff: Some(config.d_ff),
            dropout: Some(config.dropout),
            bias: Some(config.bias),
            tied_head: Some(config.tied_head),
            activation: Some(config.activation),
            layer_norm_epsilon: Some(config.layer_norm_epsilon),
            init_std: Some(config.init_std),
            scale_attention: Some(config.scale_attention),
            scale_attention_by_layer: Some(config.scale_attention_by_layer),
        }
    }
}

/// `[tokenizer]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerSection {
    /// char, byte, bpe, gpt2, cl100k_base, o200k_base, or a directory.
    pub kind: String,
    /// Tokens of a `bpe` that is learned from the corpus.
    pub vocab_size: usize,
}

impl Default for TokenizerSection {
    fn default() -> Self {
        Self { kind: "char".to_owned(), vocab_size: 1024 }
    }
}

/// Where text comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataSource {
    /// The embedded corpus.
    #[default]
    Tales,
    /// The file or folder `data.path`.
    Path,
    /// The Rust code in the user's own cargo registry.
    Cargo,
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    pub source: DataSource,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// In a folder, only files that match one of these.
    pub include: Vec<String>,
    /// In a folder, no file that matches one of these.
    pub exclude: Vec<String>,
    /// Field or column that holds the text.
    pub field: String,
    /// Replaces bytes that are not UTF-8 instead of refusing them.
    pub lossy: bool,
    /// Share of the documents that is kept for validation; of a single text, its end.
    pub valid_fraction: f64,
    pub order: Order,
    /// Least size of the embedded corpus, in bytes.
    pub tales_bytes: usize,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            source: DataSource::default(),
            path: None,
            include: Vec::new(),
            exclude: Vec::new(),
            field: DEFAULT_FIELD.to_owned(),
            lossy: false,
            valid_fraction: 0.1,
            order: Order::default(),
            tales_bytes: 4_000_000,
        }
    }
}

/// `[generation]`: the samples that a run shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerationSection {
    pub temperature: f64,
    pub top_k: usize,
    pub top_p: f64,
    pub max_tokens: usize,
    /// What samples continue.
    pub prompt: String,
}

impl Default for GenerationSection {
    fn default() -> Self {
        let Sampling { temperature, top_k, top_p } = Sampling::default();
        Self { temperature, top_k, top_p, max_tokens: 300, prompt: "\n".to_owned() }
    }
}

impl GenerationSection {
    /// How tokens are chosen.
    pub fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p }
    }
}
