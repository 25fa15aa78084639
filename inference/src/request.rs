//! What to generate.

use crate::Sampling;

/// How a text is to be generated. A caller that ends with `..GenerateOptions::default()` is not broken by a
/// new field.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    /// Most tokens to add.
    pub max_tokens: usize,
    /// Tokens that end the text when they are chosen; they are not part of it.
    pub stop: Vec<u32>,
    /// How each token is chosen.
    pub sampling: Sampling,
    /// Where the draws start: the same seed gives the same text.
    pub seed: u64,
    /// Whether to keep keys and values of earlier positions instead of computing them again for every token.
    pub kv_cache: bool,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { max_tokens: 200, stop: Vec::new(), sampling: Sampling::default(), seed: 0, kv_cache: true }
    }
}

/// A prompt, and how it is to be continued.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Tokens to continue.
    pub prompt: Vec<u32>,
    /// How to continue them.
    pub options: GenerateOptions,
}
