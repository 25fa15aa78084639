//! Readers, encoders and one writer, joined by bounded channels.
//!
//! A reader needs a ticket for each batch, which the writer gives back once the batch is on disk: so the number of
//! batches in memory is fixed, whoever is the slowest.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::batcher::Batcher;
use super::journal::Journal;
use super::manifest::Skipped;
use super::part::{Part, PartWriter, Record};
use super::plan::Plan;
use super::text_batch::{Document, Fate, TextBatch};
use super::{PrepareOptions, PrepareProgress};
use crate::error::{Error, Result};
use crate::shard::to_bytes;
use crate::{ReadOptions, Tokenizer};

/// A batch with its place in the whole.
struct Numbered {
    group: usize,
    /// Position among the batches of its group that are sent.
    number: u64,
    batch: TextBatch,
}

/// A batch as tokens.
struct Encoded {
    group: usize,
    number: u64,
    bytes: Vec<u8>,
    text_bytes: u64,
    /// Tokens of each piece, with what is known of a document where one ends.
    pieces: Vec<(u64, Option<Document>)>,
    skipped: Vec<Skipped>,
    part: usize,
    ends_part: bool,
    ends_group: bool,
}

/// Encodes all of a plan that is not finished.
pub(super) fn run(
    plan: &Plan,
    tokenizer: &Tokenizer,
    journal: &mut Journal,
    scratch: &Path,
    options: &PrepareOptions,
    reading: &ReadOptions,
    progress: &mut dyn FnMut(PrepareProgress),
) -> Result<()> {
    let finished: Vec<_> = (0..plan.groups.len()).map(|group| journal.finished(group)).collect();
    let left: Vec<usize> = (0..plan.groups.len()).filter(|group| !finished[*group].1).collect();

    let resumed = plan.size() - left.iter().map(|group| plan.groups[*group].size()).sum::<u64>();
    reading.bytes_read.store(resumed, Ordering::Relaxed);
    let width = crate::shard::token_width(plan.vocabulary.size) as u64;
    let mut state = PrepareProgress {
        bytes_total: plan.size(),
        bytes_read: resumed,
        bytes_resumed: resumed,
        tokens: journal.parts.values().map(|part| part.token_bytes / width).sum(),
        text_bytes: 0,
    };
    progress(state);

    let threads = options.threads.max(1);
    let readers = threads.div_ceil(4).min(left.len());
    let tickets = 3 * threads + readers;
    let (give_ticket, take_ticket) = bounded(tickets);
    for _ in 0..tickets {
        give_ticket.send(()).expect("there is room for every ticket");
    }
    let (send_batch, batches) = bounded::<Numbered>(tickets);
    let (send_encoded, encoded) = bounded::<Result<Encoded>>(tickets);
    let next = AtomicUsize::new(0);

    std::thread::scope(|scope| {
        // Lives as long as the writer: readers that wait for a ticket must not outlast it.
        let give_ticket = give_ticket;
        for _ in 0..readers {
            let (take_ticket, send_batch, failed) =
                (take_ticket.clone(), send_batch.clone(), send_encoded.clone());
            let (next, left, finished) = (&next, &left, &finished);
            scope.spawn(move || {
                while let Some(&group) = left.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut number = 0;
                    let mut send = |batch: TextBatch| {
                        if batch.part < finished[group].0 {
                            return Ok(());
                        }
                        let numbered = Numbered { group, number, batch };
                        number += 1;
                        take_ticket.recv().map_err(|_| Error::Cancelled)?;
                        send_batch.send(numbered).map_err(|_| Error::Cancelled)
                    };
                    if let Err(error) = read_group(plan, group, options, reading, &mut send) {
                        // Without a receiver, someone else has failed before.
                        let _ = failed.send(Err(error));
                        return;
                    }
                }
            });
        }
        for _ in 0..threads {
            let (batches, send_encoded): (Receiver<_>, Sender<_>) = (batches.clone(), send_encoded.clone());
            scope.spawn(move || {
                for batch in batches {
                    if send_encoded.send(encode(plan, tokenizer, batch)).is_err() {
                        return;
                    }
                }
            });
        }
        // The threads hold the only other ends: when they are done, or the writer is, the channels close.
        drop((take_ticket, send_batch, batches, send_encoded));
        let mut groups = HashMap::new();
        for encoded in encoded {
            let encoded = encoded?;
            let group: &mut GroupWriter = groups.entry(encoded.group).or_default();
            group.waiting.insert(encoded.number, encoded);
            while let Some(encoded) = group.waiting.remove(&group.next) {
                group.next += 1;
                state.text_bytes += encoded.text_bytes;
                state.tokens += encoded.bytes.len() as u64 / width;
                if let Some(part) = group.write(scratch, encoded)? {
                    journal.add(part)?;
                }
                // Readers that are done take no more.
                let _ = give_ticket.send(());
            }
            state.bytes_read = reading.bytes_read.load(Ordering::Relaxed).min(state.bytes_total);
            progress(state);
        }
        Ok(())
    })
}

fn read_group(
    plan: &Plan,
    group: usize,
    options: &PrepareOptions,
    reading: &ReadOptions,
    send: &mut dyn FnMut(TextBatch) -> Result<()>,
) -> Result<()> {
    let mut batcher = Batcher::new(options.skip_bad, plan.cut, send);
    for (index, file) in plan.groups[group].files.iter().enumerate() {
        batcher.begin_file(index);
        file.read(reading, &mut |event| batcher.take(event))?;
    }
    batcher.finish()
}

fn encode(
    plan: &Plan,
    tokenizer: &Tokenizer,
    Numbered { group, number, batch }: Numbered,
) -> Result<Encoded> {
    let TextBatch { text, pieces, skipped, part, ends_part, ends_group } = batch;
    let (mut bytes, mut counts, mut start) = (Vec::new(), Vec::with_capacity(pieces.len()), 0);
    for piece in pieces {
        let text = &text[start..piece.end];
        start = piece.end;
        let mut tokens = tokenizer.encode_on_this_thread(text).map_err(|error| Error::Document {
            path: plan.groups[group].files[piece.file].path.clone(),
            location: piece.location,
            source: Box::new(error),
        })?;
        if piece.document.is_some_and(|document| document.fate != Fate::Dropped) {
            tokens.extend(plan.separator);
        }
        counts.push((tokens.len() as u64, piece.document));
        bytes.extend(to_bytes(&tokens, &plan.vocabulary)?);
    }
    let text_bytes = text.len() as u64;
    Ok(Encoded { group, number, bytes, text_bytes, pieces: counts, skipped, part, ends_part, ends_group })
}

/// Writes the batches of a group in their order.
#[derive(Default)]
struct GroupWriter {
    next: u64,
    /// Batches that came before their turn.
    waiting: BTreeMap<u64, Encoded>,
    part: Option<PartWriter>,
    /// Tokens of the document at hand.
    tokens: u64,
}

impl GroupWriter {
    /// Appends a batch; returns the part that it completes.
    fn write(&mut self, scratch: &Path, encoded: Encoded) -> Result<Option<Part>> {
        let mut part = match self.part.take() {
            Some(part) => part,
            None => PartWriter::create(scratch, encoded.group, encoded.part)?,
        };
        part.tokens(&encoded.bytes)?;
        part.skip(encoded.skipped);
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
