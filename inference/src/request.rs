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
    /// Chooses only tokens below this id. A model may have more rows than its tokenizer has tokens, to round its
    /// matrices up; `None` allows them all.
    pub vocab_size: Option<usize>,
    /// Whether to keep the log-probability of each token, and of how many of the most probable ones beside it.
    pub logprobs: Option<usize>,
    /// How each token is chosen.
    pub sampling: Sampling,
    /// Where the draws start: the same seed gives the same text.
    pub seed: u64,
    /// Whether to keep keys and values of earlier positions instead of computing them again for every token.
    pub kv_cache: bool,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            max_tokens: 200,
            stop: Vec::new(),
            vocab_size: None,
            logprobs: None,
            sampling: Sampling::default(),
            seed: 0,
            kv_cache: true,
        }
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
