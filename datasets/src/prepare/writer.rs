//! Encoded batches, put back into their order and written to parts.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::PrepareProgress;
use super::journal::Journal;
use super::manifest::Skipped;
use super::part::{Part, PartWriter, Record};
use super::plan::Plan;
use super::text_batch::Document;
use crate::error::Result;
use crate::shard::token_width;

/// A batch as tokens.
pub(super) struct Encoded {
    pub group: usize,
    /// Position among the batches of its group that are sent.
    pub number: u64,
    pub bytes: Vec<u8>,
    pub text_bytes: u64,
    /// Tokens of each piece, with what is known of a document where one ends.
    pub pieces: Vec<(u64, Option<Document>)>,
    pub skipped: Vec<Skipped>,
    pub empty: u64,
    pub part: usize,
    pub ends_part: bool,
    pub ends_group: bool,
}

/// Writes the parts of all groups.
pub(super) struct Writer<'a> {
    pub progress: PrepareProgress,
    groups: HashMap<usize, Group>,
    journal: &'a mut Journal,
    scratch: &'a Path,
    /// Bytes of a token.
    width: u64,
}

impl<'a> Writer<'a> {
    /// A writer of what is left when `resumed` bytes have been read.
    pub(super) fn new(plan: &Plan<'_>, scratch: &'a Path, journal: &'a mut Journal, resumed: u64) -> Self {
        let width = token_width(plan.vocabulary.size) as u64;
        let progress = PrepareProgress {
            bytes_total: plan.size(),
            bytes_read: resumed,
            bytes_resumed: resumed,
            tokens: journal.parts.values().map(|part| part.token_bytes / width).sum(),
            text_bytes: 0,
        };
        Self { progress, groups: HashMap::new(), journal, scratch, width }
    }

    /// Writes the batch if it is its turn, then those that waited for it. Returns how many it wrote.
    pub(super) fn take(&mut self, encoded: Encoded) -> Result<usize> {
        let group = self.groups.entry(encoded.group).or_default();
        group.waiting.insert(encoded.number, encoded);
        let mut written = 0;
        while let Some(encoded) = group.waiting.remove(&group.next) {
            group.next += 1;
            self.progress.text_bytes += encoded.text_bytes;
            self.progress.tokens += encoded.bytes.len() as u64 / self.width;
            if let Some(part) = group.write(self.scratch, encoded)? {
                self.journal.add(part)?;
            }
            written += 1;
        }
        Ok(written)
    }
}

/// A group that is being written.
#[derive(Default)]
struct Group {
    next: u64,
    /// Batches that came before their turn.
    waiting: BTreeMap<u64, Encoded>,
    part: Option<PartWriter>,
    /// Tokens of the document at hand.
    tokens: u64,
}

impl Group {
    /// Appends a batch; returns the part that it completes.
    fn write(&mut self, scratch: &Path, encoded: Encoded) -> Result<Option<Part>> {
        let mut part = match self.part.take() {
            Some(part) => part,
            None => PartWriter::create(scratch, encoded.group, encoded.part)?,
        };
        part.tokens(&encoded.bytes)?;
        part.skip(encoded.skipped, encoded.empty);
        for (tokens, document) in encoded.pieces {
            self.tokens += tokens;
            if let Some(document) = document {
                part.record(&Record { document, tokens: std::mem::take(&mut self.tokens) });
            }
        }
        if encoded.ends_part {
            return part.finish(encoded.ends_group).map(Some);
        }
        self.part = Some(part);
        Ok(None)
    }
}
