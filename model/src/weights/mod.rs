//! Models on disk are Hugging Face directories: `config.json` and `model.safetensors`, in the layout of their
//! family.
//!
//! What `transformers` saves, [`load()`] opens; what [`save()`] writes, `transformers` opens, and what
//! [`save_gguf`] writes, llama.cpp. [`Adapter`]s are directories of PEFT. A `.gguf` file is opened wherever such a directory is.

mod adapter;
mod check;
mod checksum;
mod classifier;
mod collect;
mod config_file;
mod dtype;
mod encoding;
mod family;
mod gguf;
mod json_file;
mod load;
mod mapped;
mod metadata;
mod rotary_keys;
mod sae;
mod save;
mod source;
mod special_tokens;
mod tensor_file;
mod weight_files;

pub use adapter::{Adapter, base_checksum, save_adapter, save_classifier_adapter};
pub use classifier::{load_classifier, load_labels, save_classifier};
pub use dtype::Dtype;
pub use family::parameter_shapes;
pub(crate) use family::{LinearMap, linear_maps, usually_adapted};
pub use gguf::{ControlVector, GgufVocabulary, is_gguf, load_gguf_vocabulary, save_gguf};
pub use load::{load, load_config, load_weights, load_with_precision, unused_heads};
pub use save::{save, save_generation};
pub use special_tokens::SpecialTokens;

/// The architecture.
const CONFIG: &str = "config.json";
/// How `transformers` generates where nobody says otherwise.
const GENERATION: &str = "generation_config.json";
/// The parameters, in one file.
const WEIGHTS: &str = "model.safetensors";
/// Which of several files holds which parameter.
const INDEX: &str = "model.safetensors.index.json";
