//! Text out of a GPT, as token ids: the tokenizer stays outside.
//!
//! [`Sampling`] chooses a token from logits, [`generate`] repeats that with a cache, [`generate_batch`] for many texts, [`score()`] asks how probable a
//! given text is, and [`evaluate()`] does so for a corpus.

#![recursion_limit = "256"]
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod batch;
mod engine;
mod error;
mod evaluate;
mod sampling;
mod score;

pub use batch::generate_batch;
pub use engine::{Generation, generate};
pub use error::{Error, Result};
pub use evaluate::{Evaluation, evaluate};
pub use sampling::{Sampler, Sampling};
pub use score::{Score, score};
