//! GGUF files of others. They may be damaged, or lie: nothing is believed that the file's size does not allow, and
//! nothing is kept that is larger than the file.

mod architecture;
mod config;
mod cursor;
mod file;
mod metadata;
mod open;
mod rotary;
mod special_tokens;
mod tensor_info;
mod tensor_type;
#[cfg(test)]
mod tests;
mod value;
mod vocabulary;

pub(in crate::weights::gguf) use file::Gguf;
pub use open::is_gguf;
pub(in crate::weights) use open::{load_config, load_special_tokens, tensors};
pub use vocabulary::load_gguf_vocabulary;
