//! The sections of `Config.toml` and their defaults.

use std::path::PathBuf;

use kiln_datasets::{DEFAULT_FIELD, Format, Order};
use kiln_inference::Sampling;
use kiln_model::LoraConfig;
use kiln_training::{OptimizerConfig, ScheduleConfig, TrainingConfig};
use serde::{Deserialize, Serialize};

use super::finetune::FinetuneSection;
use super::model::ModelSection;
use super::sae::SaeSection;

/// A whole configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub model: ModelSection,
    pub tokenizer: TokenizerSection,
    pub data: DataSection,
    pub optimizer: OptimizerConfig,
    pub schedule: ScheduleConfig,
    pub training: TrainingConfig,
    pub generation: GenerationSection,
    /// Where a model is tuned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finetune: Option<FinetuneSection>,
    /// Where an adapter learns instead of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// Where a sparse autoencoder learns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sae: Option<SaeSection>,
}

/// `[tokenizer]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerSection {
    /// char, byte, bpe, gpt2, cl100k_base, o200k_base, or a directory.
    pub kind: String,
    /// Tokens of a `bpe` that is learned from the corpus.
    pub vocab_size: usize,
    /// Reserves tokens for the turns of conversations.
    pub chat: bool,
}

impl Default for TokenizerSection {
    fn default() -> Self {
        Self { kind: "char".to_owned(), vocab_size: 1024, chat: false }
    }
}

/// Where text comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataSource {
    /// The embedded corpus.
    #[default]
    Tales,
    /// Lines of random letters, each written twice.
    Repeats,
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
    /// Format of the files, if their names do not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Replaces bytes that are not UTF-8 instead of refusing them.
    pub lossy: bool,
    /// Share of the documents that is kept for validation; of a single text, its end.
    pub valid_fraction: f64,
    pub order: Order,
    /// Least size of the text that the program makes up, in bytes.
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
            format: None,
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
        let Sampling { temperature, top_k, top_p, .. } = Sampling::default();
        Self { temperature, top_k, top_p, max_tokens: 300, prompt: "\n".to_owned() }
    }
}

impl GenerationSection {
    /// How tokens are chosen.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            ..Sampling::default()
        }
    }
}
