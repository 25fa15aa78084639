//! From raw text to batches of token ids.
//!
//! Text is read from a [`Source`] or generated ([`tales`]), split and encoded ([`prepare()`]) with a [`Tokenizer`] into
//! [`TokenShard`]s on disk, from which a [`WindowSampler`] draws each training [`Batch`] as a pure function of seed and
//! step.

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod batch;
mod error;
mod fetch;
mod file;
mod info;
mod prepare;
mod sampler;
mod shard;
mod source;
pub mod tales;
mod tokenizer;

pub use batch::{Batch, IGNORED, Windows};
pub use error::{Absence, Error, Result};
pub use fetch::{CORPORA, FetchOptions, FetchProgress, Fetched, HubDataset, KnownCorpus, Origin, fetch};
pub use info::CorpusInfo;
pub use prepare::{
    Dataset, Lengths, MANIFEST, Manifest, PrepareOptions, PrepareProgress, REMEMBERED, Skipped, SplitSummary,
    TextSplits, character_tokenizer, encode_corpus, prepare, sample_documents,
};
pub use sampler::{Order, WindowSampler, mix};
pub use shard::{FileIdentity, ShardFormat, ShardWriter, TokenShard, Vocabulary};
pub use source::{
    CARGO, Compression, DEFAULT_FIELD, Format, Location, ReadEvent, ReadOptions, Source, SourceFile,
};
pub use tokenizer::{BpeTrainer, BytePairs, Splitting, StreamDecoder, TOKENIZERS, Tokenizer};
