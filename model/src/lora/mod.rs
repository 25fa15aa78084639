//! Low-rank adaptation (LoRA, <https://arxiv.org/abs/2106.09685>): a model stays as it is, and learns two thin matrices
//! beside each matrix that is adapted.

mod attach;
mod config;
mod layer;
mod merge;
mod targets;

pub use config::LoraConfig;
pub use layer::Lora;
pub use targets::Targets;

pub(crate) use config::Adapted;
pub(crate) use layer::added;
