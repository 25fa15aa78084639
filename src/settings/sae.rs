//! `[sae]`: the sparse autoencoder that learns, and where in which model.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::bad_value;

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

impl SaeSection {
    /// Checks what can be checked before the model is known.
    pub fn check(&self) -> Result<()> {
        for (key, value) in [("d_sae", self.d_sae), ("k", self.k), ("dead_after", self.dead_after)] {
            if value == 0 {
                return Err(bad_value("sae", key, " = 0: must be at least 1"));
            }
        }
        if self.k > self.d_sae {
            let problem = format!(" = {}: must be at most sae.d_sae = {}", self.k, self.d_sae);
            return Err(bad_value("sae", "k", problem));
        }
        if !(self.scale >= 0.0 && self.scale.is_finite()) {
            return Err(bad_value("sae", "scale", format!(" = {}: must not be negative", self.scale)));
        }
        Ok(())
    }
}
