//! From parts to shards: each document to its split, duplicates dropped, sources mixed.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::cursor::Cursor;
use super::decisions::Decisions;
use super::journal::Journal;
use super::manifest::{Manifest, SplitSummary};
use super::part::{Part, Record};
use super::plan::Plan;
use crate::ShardWriter;
use crate::dataset::{MANIFEST, TRAIN, VALID};
use crate::error::{Error, Result};
use crate::shard::token_width;

/// Folder in which the result is put together. It lies in that of unfinished work, so a kill leaves no half
/// of a file elsewhere.
const WHOLE: &str = "whole";

/// Writes the shards, the tokenizer and the manifest in `scratch`, and moves them to `folder` when all of
/// them are whole.
pub(super) fn join(plan: &Plan<'_>, journal: &Journal, scratch: &Path, folder: &Path) -> Result<Manifest> {
    let parts: Vec<&Part> = journal.parts.values().collect();
    let decisions = Decisions::make(plan, &parts, scratch)?;
    let mut manifest = Manifest::of(plan, decisions.duplicates);
    for part in &parts {
        manifest.skip(&part.skipped);
        manifest.empty += part.empty;
    }
    if decisions.tokens.iter().all(|tokens| *tokens == 0) {
        return Err(match manifest.skipped_documents.first() {
            None => plan.sources[0].empty(),
            Some(first) => Error::NoText {
                path: plan.sources[0].location.clone(),
                reason: format!("every document is bad; the first: {}", first.reason),
            },
        });
    }
    let whole = scratch.join(WHOLE);
    if whole.exists() {
        std::fs::remove_dir_all(&whole).map_err(Error::io(&whole))?;
    }
    std::fs::create_dir(&whole).map_err(Error::io(&whole))?;
    let cursor = |source| Cursor::new(source, plan, &parts, &decisions, scratch);
    let cursors = (0..plan.sources.len()).map(cursor).collect();
    (manifest.train, manifest.valid) = write_splits(plan, cursors, &whole)?;
    plan.tokenizer.save(&whole)?;
    manifest.write(&whole)?;
    publish(&whole, folder)?;
    Ok(manifest)
}

/// Writes the shards of both splits.
fn write_splits(
    plan: &Plan<'_>,
    mut cursors: Vec<Cursor<'_>>,
    folder: &Path,
) -> Result<(SplitSummary, SplitSummary)> {
    let mut train = SplitWriter::create(&folder.join(TRAIN), plan)?;
    let mut valid = SplitWriter::create(&folder.join(VALID), plan)?;
    // The source with the smallest share so far comes next, so that any stretch of the result is a fair
    // sample.
    while let Some(cursor) = cursors
        .iter_mut()
        .filter(|cursor| !cursor.is_done())
        .min_by(|a, b| a.share().total_cmp(&b.share()).then(a.source.cmp(&b.source)))
    {
        cursor.step(&mut train, &mut valid)?;
    }
    Ok((train.finish()?, valid.finish()?))
}

/// Moves every file: first the tokenizer, then the shards, last the manifest, so that each finds what it
/// needs.
fn publish(whole: &Path, folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(whole).map_err(Error::io(whole))?;
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::io(whole))?;
    names.sort_by_key(|name| [VALID, TRAIN, MANIFEST].iter().position(|last| name == last));
    for name in names {
        std::fs::rename(whole.join(&name), folder.join(&name)).map_err(Error::io(folder.join(&name)))?;
    }
    Ok(())
}

/// A split while it is written.
pub(super) struct SplitWriter {
    writer: ShardWriter,
    summary: SplitSummary,
    width: u64,
}

impl SplitWriter {
    fn create(path: &Path, plan: &Plan<'_>) -> Result<Self> {
        let writer = ShardWriter::create(path, plan.vocabulary.clone())?;
        let width = token_width(plan.vocabulary.size) as u64;
        Ok(Self { writer, summary: SplitSummary::default(), width })
    }

    pub(super) fn copy(&mut self, record: &Record, tokens: &mut BufReader<File>, path: &Path) -> Result<()> {
        let mut left = record.tokens * self.width;
        let mut bytes = vec![0; left.min(1 << 20) as usize];
        while left > 0 {
            let count = left.min(bytes.len() as u64) as usize;
            tokens.read_exact(&mut bytes[..count]).map_err(Error::io(path))?;
            self.writer.write_bytes(&bytes[..count])?;
            left -= count as u64;
        }
        self.summary.documents += 1;
        self.summary.tokens += record.tokens;
        self.summary.text_bytes += record.document.bytes;
        self.summary.lengths.add(record.tokens);
        Ok(())
    }

    fn finish(self) -> Result<SplitSummary> {
        self.writer.finish(self.summary.documents, self.summary.text_bytes)?;
        Ok(self.summary)
    }
}
