//! From raw text to batches of token ids.
//!
//! Text is read from a [`Source`] or generated ([`tales`]), split and encoded ([`prepare()`]) with a [`Tokenizer`] into
//! [`TokenShard`]s on disk, from which a [`WindowSampler`] draws each training [`Batch`] as a pure function of seed and
//! step.

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod batch;
mod dataset;
mod error;
#[cfg(feature = "fetch")]
mod fetch;
mod file;
#[cfg(feature = "prepare")]
mod info;
mod location;
#[cfg(feature = "prepare")]
mod prepare;
mod sampler;
mod shard;
#[cfg(feature = "prepare")]
mod source;
pub mod tales;
mod tokenizer;

pub use batch::{Batch, IGNORED, Windows};
pub use dataset::{Dataset, TextSplits};
pub use error::{Absence, Error, Result};
#[cfg(feature = "fetch")]
pub use fetch::{CORPORA, FetchOptions, FetchProgress, Fetched, HubDataset, KnownCorpus, Origin, fetch};
#[cfg(feature = "prepare")]
pub use info::CorpusInfo;
pub use location::Location;
#[cfg(feature = "prepare")]
pub use prepare::{
    Lengths, Manifest, PrepareOptions, PrepareProgress, Skipped, SplitSummary, character_tokenizer,
    encode_corpus, prepare, sample_documents,
};
pub use sampler::{Order, WindowSampler, mix};
pub use shard::{FileIdentity, ShardFormat, ShardWriter, TokenShard, Vocabulary};
#[cfg(feature = "prepare")]
pub use source::{CARGO, Compression, DEFAULT_FIELD, Format, ReadEvent, ReadOptions, Source, SourceFile};
pub use tokenizer::{BpeTrainer, BytePairs, Splitting, StreamDecoder, TOKENIZERS, Tokenizer};
