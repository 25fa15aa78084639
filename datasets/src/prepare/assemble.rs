//! From parts to shards: each document to its split, duplicates dropped, sources mixed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::PrepareOptions;
use super::journal::Journal;
use super::manifest::{MANIFEST, Manifest, SplitSummary};
use super::part::{Part, Record};
use super::plan::Plan;
use super::text_batch::{Document, Fate};
use crate::dataset::{TRAIN, VALID};
use crate::error::{Error, Result};
use crate::shard::token_width;
use crate::{ShardWriter, Source, Tokenizer, mix};

/// Folder in which the result is put together, in that of unfinished work: whoever is killed leaves no half of a file elsewhere.
const WHOLE: &str = "whole";

/// Writes the shards, the tokenizer and the manifest in `scratch`, and moves them to `folder` when all of them are whole.
pub(super) fn join(
    plan: &Plan,
    journal: &Journal,
    tokenizer: &Tokenizer,
    scratch: &Path,
    folder: &Path,
    sources: &[Source],
    options: &PrepareOptions,
) -> Result<Manifest> {
    let parts: Vec<&Part> = journal.parts.values().collect();
    let decisions = Decisions::make(plan, &parts, scratch, options)?;
    let mut manifest = Manifest {
        plan: plan.fingerprint(),
        tokenizer: plan.vocabulary.tokenizer.clone(),
        vocab_size: plan.vocabulary.size,
        sources: sources.to_vec(),
        valid_fraction: options.valid_fraction,
        seed: options.seed,
        duplicates: decisions.duplicates,
        skipped: 0,
        skipped_documents: Vec::new(),
        train: SplitSummary::default(),
        valid: SplitSummary::default(),
    };
    parts.iter().for_each(|part| manifest.skip(&part.skipped));
    if decisions.tokens.iter().all(|tokens| *tokens == 0) {
        return Err(match manifest.skipped_documents.first() {
            None => sources[0].empty(),
            Some(first) => Error::NoText {
                path: sources[0].location.clone(),
                reason: format!("every document is bad; the first: {}", first.reason),
            },
        });
    }
    let whole = scratch.join(WHOLE);
    if whole.exists() {
        std::fs::remove_dir_all(&whole).map_err(Error::io(&whole))?;
    }
    std::fs::create_dir(&whole).map_err(Error::io(&whole))?;
    let mut train = SplitWriter::create(&whole.join(TRAIN), plan)?;
    let mut valid = SplitWriter::create(&whole.join(VALID), plan)?;
    let mut cursors: Vec<Cursor<'_>> = (0..plan.weights.len())
        .map(|source| Cursor::new(source, plan, &parts, &decisions, scratch, options.seed))
        .collect();
    // Whose share is the least complete comes next, so that any stretch of the result is a fair sample.
    while let Some(cursor) = cursors.iter_mut().filter(|cursor| !cursor.is_done()).min_by(|a, b| {
        let share = |cursor: &Cursor<'_>| cursor.written as f64 / cursor.expected;
        share(a).total_cmp(&share(b)).then(a.source.cmp(&b.source))
    }) {
        cursor.step(&mut train, &mut valid)?;
    }
    manifest.train = train.finish()?;
    manifest.valid = valid.finish()?;
    tokenizer.save(&whole)?;
    manifest.write(&whole)?;
    publish(&whole, folder)?;
    Ok(manifest)
}

/// Moves every file, the shards after what they are read with and the manifest last: where one is, those before it are.
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

/// What becomes of each document, in the order of the parts.
struct Decisions {
    fates: Vec<Fate>,
    /// Training tokens of each source.
    tokens: Vec<u64>,
    duplicates: u64,
}

impl Decisions {
    fn make(plan: &Plan, parts: &[&Part], scratch: &Path, options: &PrepareOptions) -> Result<Self> {
        let (mut fates, mut seen, mut duplicates) = (Vec::new(), HashSet::new(), 0);
        let mut tokens = vec![0; plan.weights.len()];
        // The document nearest to each split, should one of them get none.
        let (mut lowest, mut highest) = ((f64::INFINITY, 0), (f64::NEG_INFINITY, 0));
        let (mut trained, mut validated) = (0u64, 0u64);
        for part in parts {
            part.verify(scratch)?;
            for Record { document, tokens: length } in part.records(scratch)? {
                let position = unit(mix(options.seed, document.hash as u64));
                let mut fate = document.fate;
                if fate == Fate::Open {
                    fate = if position < options.valid_fraction { Fate::Valid } else { Fate::Train };
                    if options.dedup && !seen.insert(document.hash) {
                        duplicates += 1;
                        fate = Fate::Dropped;
                    } else {
                        lowest = if position < lowest.0 { (position, fates.len()) } else { lowest };
                        highest = if position > highest.0 { (position, fates.len()) } else { highest };
                    }
                }
                match fate {
                    Fate::Train => trained += 1,
                    Fate::Valid => validated += 1,
                    Fate::Open | Fate::Dropped => {}
                }
                if fate != Fate::Dropped {
                    tokens[plan.groups[part.group].source] += length;
                }
                fates.push(fate);
            }
        }
        match (trained, validated) {
            (2.., 0) if options.valid_fraction > 0.0 => fates[lowest.1] = Fate::Valid,
            (0, 2..) => fates[highest.1] = Fate::Train,
            _ => {}
        }
        Ok(Self { fates, tokens, duplicates })
    }
}

/// A number in `0..1` from 64 well-mixed bits.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A split while it is written.
struct SplitWriter {
    writer: ShardWriter,
    summary: SplitSummary,
    width: u64,
}

impl SplitWriter {
    fn create(path: &Path, plan: &Plan) -> Result<Self> {
        let writer = ShardWriter::create(path, plan.vocabulary.clone())?;
        let width = token_width(plan.vocabulary.size) as u64;
        Ok(Self { writer, summary: SplitSummary::default(), width })
    }

    fn copy(&mut self, record: &Record, tokens: &mut BufReader<File>, path: &Path) -> Result<()> {
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

/// Walks through the documents of one source, once for each time that they are taken.
struct Cursor<'a> {
    source: usize,
    weight: f64,
    width: u64,
    seed: u64,
    /// Parts of this source, each with the index of its first document.
    parts: Vec<(&'a Part, usize)>,
    decisions: &'a Decisions,
    scratch: &'a Path,
    /// Walks that are over.
    walk: u32,
    /// Parts of this walk that are over.
    part: usize,
    open: Option<OpenPart>,
    /// Tokens written, and to be written in all, about.
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
    fn new(
        source: usize,
        plan: &Plan,
        parts: &[&'a Part],
        decisions: &'a Decisions,
        scratch: &'a Path,
        seed: u64,
    ) -> Self {
        let mut first = 0;
        let mut own = Vec::new();
        for &part in parts {
            if plan.groups[part.group].source == source {
                own.push((part, first));
            }
            first += part.documents as usize;
        }
        let weight = plan.weights[source];
        let width = token_width(plan.vocabulary.size) as u64;
        let expected = (decisions.tokens[source] as f64 * weight).max(1.0);
        let (walk, part, open, written) = (0, 0, None, 0);
        Self {
            source,
            weight,
            width,
            seed,
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

    fn is_done(&self) -> bool {
        f64::from(self.walk) >= self.weight || self.parts.is_empty()
    }

    /// Copies the next document to its split, or passes over it.
    fn step(&mut self, train: &mut SplitWriter, valid: &mut SplitWriter) -> Result<()> {
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
