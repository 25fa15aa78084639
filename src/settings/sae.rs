//! `[sae]`: the sparse autoencoder that learns, and where in which model.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[sae]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaeSection {
    /// The model to look into.
    pub model: PathBuf,
    /// The place in it, as TransformerLens calls it.
    pub hook: String,
    /// Number of features.
    pub d_sae: usize,
    /// Active features of a vector, on the average.
    pub k: usize,
    /// Tokens of the windows that the model reads.
    pub context_length: usize,
    /// Vectors without a feature after which it counts as dead.
    pub dead_after: usize,
    /// What vectors are multiplied with; 0: measured, so that their mean length is the root of their width.
    pub scale: f64,
}

impl Default for SaeSection {
    fn default() -> Self {
        Self {
            model: PathBuf::new(),
            hook: String::new(),
            d_sae: 1024,
            k: 16,
            context_length: 128,
            dead_after: 100_000,
            scale: 0.0,
        }
    }
}
