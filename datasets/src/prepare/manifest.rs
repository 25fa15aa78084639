//! What a prepared folder holds, in words and numbers: `dataset.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::Source;
use crate::dataset::MANIFEST;
use crate::error::{Error, Result};
use crate::file::write_file;

/// Bad documents that are listed; the others are only counted.
const LISTED: usize = 100;

/// A prepared corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Identifies everything that the shards depend on.
    pub plan: String,
    /// Name of the tokenizer.
    pub tokenizer: String,
    /// Its number of tokens.
    pub vocab_size: usize,
    /// Where the text came from.
    pub sources: Vec<Source>,
    /// Share of the documents that was kept for validation.
    pub valid_fraction: f64,
    /// Decided the split, together with the content of the documents.
    pub seed: u64,
    /// Documents that were dropped because they had been there before.
    pub duplicates: u64,
    /// Documents without text, such as an empty cell of a table.
    #[serde(default)]
    pub empty: u64,
    /// Bad documents.
    pub skipped: u64,
    /// The first of them.
    pub skipped_documents: Vec<Skipped>,
    /// What the model learns from.
    pub train: SplitSummary,
    /// What it is judged by.
    pub valid: SplitSummary,
}

/// A document that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Skipped {
    /// File, location, and what was wrong.
    pub reason: String,
}

/// One split of a prepared corpus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SplitSummary {
    /// Tokens, those that end documents included.
    pub tokens: u64,
    /// Documents.
    pub documents: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// How long they are.
    pub lengths: Lengths,
}

/// A histogram of document lengths: entry `k` counts documents of `2^k` to `2^(k+1) - 1` tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lengths(pub Vec<u64>);

impl Lengths {
    /// Counts a document.
    pub fn add(&mut self, tokens: u64) {
        let entry = tokens.max(1).ilog2() as usize;
        if self.0.len() <= entry {
            self.0.resize(entry + 1, 0);
        }
        self.0[entry] += 1;
    }

    /// Shortest and longest length of each entry that counts any, with its documents.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let counts = self.0.iter().enumerate().filter(|(_, documents)| **documents > 0);
        counts.map(|(entry, documents)| (1 << entry, (2 << entry) - 1, *documents))
    }
}

impl Manifest {
    /// Reads the manifest in a folder, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for one that is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(MANIFEST);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Error::format(path, format!("not the description of a corpus: {error}"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(None),
            Err(error) => Err(Error::io(path)(error)),
        }
    }

    /// The manifest of a plan, before anything is counted.
    pub(super) fn of(plan: &Plan<'_>, duplicates: u64) -> Self {
        Self {
            plan: plan.fingerprint(),
            tokenizer: plan.vocabulary.tokenizer.clone(),
            vocab_size: plan.vocabulary.size,
            sources: plan.sources.to_vec(),
            valid_fraction: plan.options.valid_fraction,
            seed: plan.options.seed,
            duplicates,
            empty: 0,
            skipped: 0,
            skipped_documents: Vec::new(),
            train: SplitSummary::default(),
            valid: SplitSummary::default(),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("plain values serialise");
        write_file(&folder.join(MANIFEST), text + "\n")
    }

    pub(super) fn skip(&mut self, skipped: &[Skipped]) {
        self.skipped += skipped.len() as u64;
        let room = LISTED.saturating_sub(self.skipped_documents.len());
        self.skipped_documents.extend(skipped.iter().take(room).cloned());
    }
}
