//! What a shard says of itself.

use crate::Tokenizer;

/// The tokenizer that token ids belong to, as far as a shard remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Name of the tokenizer.
    pub tokenizer: String,
    /// See [`Tokenizer::fingerprint`].
    pub fingerprint: u64,
    /// Number of distinct tokens.
    pub size: usize,
    /// The token that ends a document.
    pub end_of_text: Option<u32>,
}

impl From<&Tokenizer> for Vocabulary {
    fn from(tokenizer: &Tokenizer) -> Self {
        Self {
            tokenizer: tokenizer.name().to_owned(),
            fingerprint: tokenizer.fingerprint(),
            size: tokenizer.vocab_size(),
            end_of_text: tokenizer.end_of_text(),
        }
    }
}

/// What kind of file a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardFormat {
    /// Kiln's own.
    Kiln,
    /// llm.c's `.bin`.
    LlmC,
    /// nanoGPT's `train.bin` and `val.bin`.
    NanoGpt,
}
