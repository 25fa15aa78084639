//! GGUF files for llama.cpp.

mod entries;
mod rotary;
mod save;
mod tensors;

pub(super) use entries::Entries;
#[cfg(test)]
pub(super) use entries::put_string;
pub use save::save_gguf;
pub(super) use tensors::{GgufTensor, write};
