//! Sparse autoencoders on disk, as SAELens has them: `cfg.json`, `sae_weights.safetensors` and `sparsity.safetensors`.

mod config_file;
mod open;
mod save;

/// The numbers of an autoencoder.
const CONFIG: &str = "cfg.json";
/// Its matrices.
const WEIGHTS: &str = "sae_weights.safetensors";
/// How often each feature is active.
const SPARSITY: &str = "sparsity.safetensors";

/// `log10` of how often each feature is active.
const LOG_DENSITY: &str = "sparsity";
/// The largest value of each feature, for which SAELens has no place.
const MAX_ACTIVATION: &str = "max_activation";
/// What keeps the logarithm of a feature that is never active finite.
const LEAST_DENSITY: f32 = 1e-10;
