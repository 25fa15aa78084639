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
mod dataset;
mod encode;
mod journal;
mod learn;
mod manifest;
mod part;
mod pipeline;
mod plan;
mod remember;
mod text_batch;
mod text_splits;

use std::io::ErrorKind;
use std::path::Path;

pub use self::dataset::Dataset;
pub(crate) use self::dataset::shards;
pub use self::encode::encode_corpus;
use self::journal::Journal;
pub use self::learn::{character_tokenizer, sample_documents};
pub use self::manifest::{Lengths, MANIFEST, Manifest, Skipped, SplitSummary};
use self::plan::Plan;
pub use self::remember::REMEMBERED;
pub use self::text_splits::TextSplits;
use crate::error::{Error, Result};
use crate::{ReadOptions, Source, Tokenizer};

/// How a corpus is prepared.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// Share of the documents that is kept for validation; 0 keeps none. A corpus of a single text file is cut
    /// instead: its first `1 - valid_fraction` characters are for training, as nanoGPT does it.
    pub valid_fraction: f64,
    /// With the content of a document, decides its split.
    pub seed: u64,
    /// Drops documents that have been there before, byte for byte.
    pub dedup: bool,
    /// Replaces bytes that are not UTF-8 by `U+FFFD` instead of refusing them.
    pub lossy: bool,
    /// Counts bad documents and goes on, instead of refusing them.
    pub skip_bad: bool,
    /// Threads that encode.
    pub threads: usize,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            valid_fraction: 0.1,
            seed: 1337,
            dedup: false,
            lossy: false,
            skip_bad: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// How far preparing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrepareProgress {
    /// Bytes taken from disk, those of an earlier attempt included.
    pub bytes_read: u64,
    /// Bytes there are on disk.
    pub bytes_total: u64,
    /// Bytes of text that were encoded.
    pub text_bytes: u64,
    /// Tokens that were written, those of an earlier attempt included.
    pub tokens: u64,
    /// Bytes that an earlier attempt had read.
    pub bytes_resumed: u64,
}

/// Encodes `sources` with `tokenizer` into two shards in `folder`, and describes them there in a [`Manifest`].
///
/// An attempt that was cut off is continued by calling again with the same arguments, and gives the same bytes. If
/// everything is there already, only what an attempt left behind is removed.
///
/// # Errors
///
/// What [`Source::files`] says; the first bad document, unless they are skipped; [`Error::Prepared`] if the folder
/// holds something else, [`Error::Busy`] if another process works there; [`Error::NoText`] if there is no document.
/// Nothing is left in `folder` then, except for what another attempt can use after [`Error::Io`].
pub fn prepare(
    sources: &[Source],
    tokenizer: &Tokenizer,
    folder: &Path,
    options: &PrepareOptions,
    progress: &mut dyn FnMut(PrepareProgress),
) -> Result<Manifest> {
    let reading = ReadOptions { lossy: options.lossy, ..ReadOptions::default() };
    let plan = Plan::make(sources, tokenizer, options)?;
    let scratch = folder.join(SCRATCH);
    // Best effort: what is left there does no harm.
    let clean = || drop(std::fs::remove_dir_all(&scratch));
    if let Some(manifest) = finished(&plan, folder)? {
        clean();
        return Ok(manifest);
    }
    let existed = folder.exists();
    std::fs::create_dir_all(&scratch).map_err(Error::io(&scratch))?;
    let mut journal = Journal::open(&scratch, plan.fingerprint())?;
    // Whoever held the journal until now may have finished.
    if let Some(done) = finished(&plan, folder).transpose() {
        clean();
        return done;
    }
    let outcome = pipeline::run(&plan, tokenizer, &mut journal, &scratch, options, &reading, progress)
        .and_then(|()| assemble::join(&plan, &journal, tokenizer, &scratch, folder, sources, options));
    if !outcome.as_ref().is_err_and(is_passing) {
        clean();
        if outcome.is_err() && !existed {
            // Only if it is empty: someone else may have written there meanwhile.
            let _ = std::fs::remove_dir(folder);
        }
    }
    outcome
}

/// The manifest in a folder in which everything is done; refused if that was another plan.
fn finished(plan: &Plan, folder: &Path) -> Result<Option<Manifest>> {
    match Manifest::read(folder)? {
        Some(manifest) if manifest.plan != plan.fingerprint() => {
            Err(Error::Prepared { path: folder.to_owned() })
        }
        manifest => Ok(manifest),
    }
}

/// Whether another attempt with the same arguments may succeed, as when the disk was full.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() != ErrorKind::InvalidData)
}

/// Folder of unfinished work in the output folder.
const SCRATCH: &str = ".prepare";

#[cfg(test)]
mod tests;
