//! From any pile of files to token shards: in parallel, in bounded memory, the same on any number of threads.
//!
//! 1. A [`plan`] lists the files and puts them into groups.
//! 2. The [`pipeline`] reads groups, gathers documents into batches ([`batcher`]) and encodes batches on
//!    every thread; its [`writer`] puts them back into their order and writes them to [`part`]s. The
//!    [`journal`] remembers which parts are finished, so that work that was cut off resumes where it stopped.
//! 3. [`decisions`] give each document to a split and drop duplicates; a [`cursor`] walks through each
//!    source, and [`assemble`] mixes them and writes two shards, described by a [`manifest`].

mod assemble;
mod batcher;
mod cursor;
mod decisions;
mod encode;
mod journal;
mod learn;
mod manifest;
mod options;
mod part;
mod pipeline;
mod plan;
mod run;
mod text_batch;
mod writer;

pub use self::encode::encode_corpus;
pub use self::learn::{character_tokenizer, sample_documents};
pub use self::manifest::{Lengths, Manifest, Skipped, SplitSummary};
pub use self::options::{PrepareOptions, PrepareProgress};
pub use self::run::prepare;

#[cfg(test)]
mod tests;
