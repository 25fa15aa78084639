//! From any pile of files to token shards: in parallel, in bounded memory, the same on any number of threads.
//!
//! 1. A [`plan`] lists the files and puts them into groups.
//! 2. The [`pipeline`] reads groups, gathers documents into batches ([`batcher`]), encodes batches on every thread and
//!    writes their tokens, in order, to [`part`]s; the [`journal`] remembers which parts are finished, so that work
//!    that was cut off continues where it stopped.
//! 3. [`assemble`] gives each document to a split, drops duplicates, mixes the sources, and joins the parts to two
//!    shards, described by a [`manifest`].

mod assemble;
mod batcher;
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

pub use self::encode::encode_corpus;
pub use self::learn::{character_tokenizer, sample_documents};
pub use self::manifest::{Lengths, MANIFEST, Manifest, Skipped, SplitSummary};
pub use self::options::{PrepareOptions, PrepareProgress};
pub use self::run::prepare;

#[cfg(test)]
mod tests;
