//! From raw text to batches of token ids.
//!
//! 1. A [`Tokenizer`] turns text into token ids and back: characters, bytes, a BPE that was learned here or
//!    published (GPT-2, GPT-4, GPT-4o), or any `tokenizer.json`.
//! 2. Text comes from a [`Source`], from the network with [`fetch()`], or is generated: [`tales`].
//! 3. [`prepare()`] splits and encodes it into [`TokenShard`]s on disk, which a [`Dataset`] opens.
//! 4. A [`WindowSampler`] draws each training [`Batch`] as a pure function of seed and step; [`Windows`] go
//!    over a shard once, for evaluation.
//! 5. Fine-tuning learns from [`examples`]: conversations, pairs of answers, texts with a label each.
//!
#![cfg_attr(feature = "prepare", doc = "```")]
#![cfg_attr(not(feature = "prepare"), doc = "```ignore")]
//! use kiln_datasets::{Dataset, Order, PrepareOptions, Source, Tokenizer, WindowSampler, prepare};
//!
//! let text = "the kiln is hot and the clay is cold, the kiln is old and the clay is new\n".repeat(20);
//! let tokenizer = Tokenizer::train_bpe([&text], 280)?;
//! let tokens = tokenizer.encode("the clay is hot")?;
//! assert_eq!(tokenizer.decode(&tokens)?, "the clay is hot");
//!
//! let folder = tempfile::tempdir()?;
//! let (file, prepared) = (folder.path().join("text.txt"), folder.path().join("prepared"));
//! std::fs::write(&file, &text)?;
//! prepare(&[Source::new(file)], &tokenizer, &prepared, &PrepareOptions::default(), &mut |_| {})?;
//!
//! let dataset = Dataset::open(&prepared, &tokenizer)?;
//! let sampler = WindowSampler { order: Order::Random, seed: 1337, batch_size: 4, context_length: 8, end_of_text: None };
//! let batch = sampler.batch(&dataset.train, 0);
//! assert_eq!((batch.windows, batch.inputs.len(), batch.num_targets()), (4, 32, 32));
//! assert_eq!(batch.inputs[1..8], batch.targets[..7]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! All are on by default. Without any, tokenizers, shards, windows and tales remain, with a third of the
//! dependencies.
//!
//! | feature | what it adds | what it needs |
//! |---|---|---|
//! | `prepare` | sources of many formats, `prepare`, `CorpusInfo`, `examples` | flate2, zstd, globset, crossbeam-channel, minijinja, chrono, sha2 |
//! | `parquet` | Parquet among these formats | parquet |
//! | `fetch` | corpora and models of the Hugging Face hub, and its cache | ureq, hf-hub, sha2 |
//! | `huggingface` | every `tokenizer.json` that is not a byte-level BPE | tokenizers |

#![warn(clippy::print_stderr, clippy::print_stdout, unreachable_pub)]
// What a feature leaves out cannot be linked to.
#![cfg_attr(not(all(feature = "prepare", feature = "fetch")), allow(rustdoc::broken_intra_doc_links))]

mod absence;
mod batch;
mod binary;
mod dataset;
mod error;
mod error_kind;
#[cfg(feature = "prepare")]
pub mod examples;
#[cfg(feature = "fetch")]
mod fetch;
mod file;
#[cfg(feature = "prepare")]
mod info;
mod location;
mod open;
#[cfg(feature = "prepare")]
mod prepare;
mod repeats;
mod sampler;
mod shard;
#[cfg(feature = "prepare")]
mod source;
pub mod tales;
mod tokenizer;
mod wording;

pub use absence::Absence;
pub use batch::{Batch, IGNORED, Windows};
pub use binary::Binary;
pub use dataset::{Dataset, TextSplits};
pub use error::{Error, Result};
#[cfg(feature = "fetch")]
pub use fetch::{
    CORPORA, FetchOptions, FetchProgress, Fetched, HubDataset, HubModel, KnownCorpus, LocalModel,
    ModelDownload, Origin, fetch,
};
#[cfg(feature = "prepare")]
pub use info::CorpusInfo;
pub use location::Location;
pub use open::{STANDARD_INPUT, open_input};
#[cfg(feature = "prepare")]
pub use prepare::{
    Lengths, Manifest, PrepareOptions, PrepareProgress, Skipped, SplitSummary, character_tokenizer,
    encode_corpus, prepare, sample_documents,
};
pub use repeats::{Repeats, repeats};
pub use sampler::{Order, WindowSampler, mix};
pub use shard::{FileIdentity, ShardFormat, ShardWriter, TokenShard, Vocabulary};
#[cfg(feature = "prepare")]
pub use source::{
    CARGO, Compression, DEFAULT_FIELD, Format, ReadEvent, ReadOptions, Record, Source, SourceFile, Spool,
};
pub use tokenizer::{
    BpeTrainer, BytePairs, CHAT_TOKENS, CHATML, GgufTokenizer, Splitting, StreamDecoder, TOKENIZERS,
    Tokenizer,
};
