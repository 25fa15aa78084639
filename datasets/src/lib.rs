//! From raw text to batches of token ids.
//!
//! Text is read ([`read_text`]) or generated ([`tales`]), split and encoded ([`prepare()`]) with a [`Tokenizer`] into
//! [`TokenShard`]s on disk, from which a [`Sampler`] draws each training [`Batch`] as a pure function of seed and
//! step.

mod batch;
mod error;
mod prepare;
mod sampler;
mod shard;
mod source;
pub mod tales;
mod tokenizer;

pub use batch::{Batch, Windows};
pub use error::{Error, Result};
pub use prepare::{Corpus, Dataset, prepare};
pub use sampler::{Order, Sampler, mix};
pub use shard::{ShardWriter, TokenShard};
pub use source::read_text;
pub use tokenizer::{BytePairs, Splitting, StreamDecoder, TOKENIZERS, Tokenizer};
