//! What to generate.

use std::sync::Arc;

use crate::Sampling;
use crate::constraint::Constraint;
use crate::steer::Steering;

/// How a text is to be generated. A caller that ends with `..GenerateOptions::default()` is not broken by a
/// new field.
#[derive(Clone, Debug)]
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
    /// Whether to tell the log-probability of each token of the prompt too, and of how many of the most probable ones beside it.
    pub prompt_logprobs: Option<usize>,
    /// What happens when the context is full.
    pub when_full: WhenFull,
    /// How each token is chosen.
    pub sampling: Sampling,
    /// The form that the text is to have. Log-probabilities are those of the model without it.
    pub constraint: Option<Arc<dyn Constraint>>,
    /// What is done to the residual stream meanwhile.
    pub steering: Steering,
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
            prompt_logprobs: None,
            when_full: WhenFull::default(),
            sampling: Sampling::default(),
            constraint: None,
            steering: Steering::default(),
            seed: 0,
            kv_cache: true,
        }
    }
}

/// What happens to a text that has as many tokens as the model can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The newest half of the context stays, positions are counted from its start, and the text goes on.
    #[default]
    Shorten,
    /// The text ends; a prompt that is longer than the context is an error.
    End,
}

/// A prompt, and how it is to be continued.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Tokens to continue.
    pub prompt: Vec<u32>,
    /// How to continue them.
    pub options: GenerateOptions,
}
