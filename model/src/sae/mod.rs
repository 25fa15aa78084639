//! Sparse autoencoders: what a model has in mind at one place, written as a sum of few directions out of many.

mod autoencoder;
mod config;
mod feature;

pub use autoencoder::{SaeWeights, SparseAutoencoder};
pub use config::{SaeActivation, SaeConfig, SaeStatistics};
pub use feature::Feature;
