//! Adapters on disk, as PEFT has them: `adapter_config.json` and `adapter_model.safetensors`.

mod base;
mod config_file;
mod open;
mod read;
mod save;

pub use base::base_checksum;
pub use open::Adapter;
pub use save::{save_adapter, save_classifier_adapter};

/// The numbers of an adapter.
const CONFIG: &str = "adapter_config.json";
/// Its matrices.
const WEIGHTS: &str = "adapter_model.safetensors";

/// In the header of the matrices: the [checksum](base_checksum) of the weights that the adapter was trained on.
const BASE: &str = "kiln.base";
/// In the header of the matrices: the names of a classifier's classes, for which PEFT has no place.
const LABELS: &str = "kiln.labels";
/// A classifier's head, stored whole.
const SCORE: &str = "score.weight";

/// What PEFT puts before every name.
const PREFIX: &str = "base_model.model.";
