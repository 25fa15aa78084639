//! A `tokenizer.json` that our own encoder does not understand: another kind of model, or a BPE with steps of
//! its own.

#[cfg(not(feature = "huggingface"))]
mod absent;
#[cfg(feature = "huggingface")]
mod present;

#[cfg(not(feature = "huggingface"))]
pub(super) use self::absent::HuggingFace;
#[cfg(feature = "huggingface")]
pub(super) use self::present::HuggingFace;
