//! The documents of one source on their way to the splits.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::assemble::SplitWriter;
use super::decisions::{Decisions, unit};
use super::part::{Part, Record};
use super::plan::Plan;
use super::text_batch::{Document, Fate};
use crate::error::{Error, Result};
use crate::mix;
use crate::shard::token_width;

/// Walks through the documents of one source, once for each time that they are taken.
pub(super) struct Cursor<'a> {
    pub source: usize,
    weight: f64,
    width: u64,
    seed: u64,
    /// Parts of this source, each with the index of its first document.
    parts: Vec<(&'a Part, usize)>,
    decisions: &'a Decisions,
    scratch: &'a Path,
    /// Finished walks.
    walk: u32,
    /// Finished parts of this walk.
    part: usize,
    open: Option<OpenPart>,
    /// Tokens written so far, and roughly how many there will be.
    written: u64,
    expected: f64,
}

struct OpenPart {
    records: std::vec::IntoIter<Record>,
    tokens: BufReader<File>,
    /// Index of the next document.
    document: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(
        source: usize,
        plan: &Plan<'_>,
        parts: &[&'a Part],
        decisions: &'a Decisions,
        scratch: &'a Path,
    ) -> Self {
        let mut first = 0;
        let mut own = Vec::new();
        for &part in parts {
            if plan.groups[part.group].source == source {
                own.push((part, first));
            }
            first += part.documents as usize;
        }
        let weight = plan.sources[source].weight;
        let width = token_width(plan.vocabulary.size) as u64;
        let expected = (decisions.tokens[source] as f64 * weight).max(1.0);
        let (walk, part, open, written) = (0, 0, None, 0);
        Self {
            source,
            weight,
            width,
            seed: plan.options.seed,
            parts: own,
            decisions,
            scratch,
            walk,
            part,
            open,
            written,
            expected,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        f64::from(self.walk) >= self.weight || self.parts.is_empty()
    }

    /// The share of its tokens that is written.
    pub(super) fn share(&self) -> f64 {
        self.written as f64 / self.expected
    }

    /// Copies the next document to its split, or passes over it.
    pub(super) fn step(&mut self, train: &mut SplitWriter, valid: &mut SplitWriter) -> Result<()> {
        let (part, first) = self.parts[self.part];
        if self.open.is_none() {
            let records = part.records(self.scratch)?.into_iter();
            self.open = Some(OpenPart { records, tokens: part.tokens(self.scratch)?, document: first });
        }
        let open = self.open.as_mut().expect("just opened");
        let Some(record) = open.records.next() else {
            self.open = None;
            self.part += 1;
            if self.part == self.parts.len() {
                self.part = 0;
                self.walk += 1;
            }
            return Ok(());
        };
        let fate = self.decisions.fates[open.document];
        open.document += 1;
        let split = match fate {
            Fate::Train if is_taken(&record.document, self.weight, self.walk, self.seed) => Some(train),
            Fate::Valid if self.walk == 0 => Some(valid),
            _ => None,
        };
        let path = part.path(self.scratch);
        match split {
            Some(split) => {
                self.written += record.tokens;
                split.copy(&record, &mut open.tokens, &path)
            }
            None => {
                let bytes = record.tokens * self.width;
                open.tokens.seek_relative(bytes as i64).map_err(Error::io(&path))
            }
        }
    }
}

/// Whether a document of a source of that weight is taken in walk number `walk`.
fn is_taken(document: &Document, weight: f64, walk: u32, seed: u64) -> bool {
    let left = weight - f64::from(walk);
    // Not the bits that decide the split: the two must be independent.
    left >= 1.0 || unit(mix(seed, (document.hash >> 64) as u64)) < left
}
