//! GGUF, the file of llama.cpp and the programs around it: one file with numbers, names and vocabulary
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

mod architecture;
mod control_vector;
mod quantised;
mod read;
mod rotary;
mod vocabulary;
mod write;

pub use control_vector::ControlVector;
pub(super) use quantised::Quantised;
pub use read::{is_gguf, load_gguf_vocabulary};
pub(super) use read::{load_config, load_special_tokens, tensors};
pub(super) use rotary::halves_of_pairs;
pub use vocabulary::GgufVocabulary;
pub use write::save_gguf;
