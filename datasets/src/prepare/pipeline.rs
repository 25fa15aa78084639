//! Readers, encoders and one writer, joined by bounded channels.
//!
//! A reader needs a ticket for each batch, which the writer gives back once the batch is on disk: so the
//! number of batches in memory is bounded, whichever stage is slowest.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::PrepareProgress;
use super::batcher::Batcher;
use super::journal::Journal;
use super::plan::Plan;
use super::text_batch::{Fate, TextBatch};
use super::writer::{Encoded, Writer};
use crate::ReadOptions;
use crate::error::{Error, Result};
use crate::shard::to_bytes;

/// Encodes all of a plan that is not finished.
pub(super) fn run(
    plan: &Plan<'_>,
    scratch: &Path,
    journal: &mut Journal,
    progress: &mut dyn FnMut(PrepareProgress),
) -> Result<()> {
    let work = Work::of(plan, journal);
    let mut writer = Writer::new(plan, scratch, journal, work.bytes_read());
    progress(writer.progress);

    let threads = plan.options.threads.max(1);
    let readers = threads.div_ceil(4).min(work.left.len());
    let tickets = 3 * threads + readers;
    let (give_ticket, take_ticket) = bounded(tickets);
    for _ in 0..tickets {
        give_ticket.send(()).expect("there is room for every ticket");
    }
    let (send_batch, batches) = bounded(tickets);
    let (send_encoded, encoded) = bounded(tickets);

    std::thread::scope(|scope| {
        // Lives as long as the writer: readers that wait for a ticket must not outlast it.
        let give_ticket = give_ticket;
        for _ in 0..readers {
            let (tickets, batches, failed) = (take_ticket.clone(), send_batch.clone(), send_encoded.clone());
            let work = &work;
            scope.spawn(move || work.read(&tickets, &batches, &failed));
        }
        for _ in 0..threads {
            let (batches, encoded) = (batches.clone(), send_encoded.clone());
            scope.spawn(move || encode_all(plan, &batches, &encoded));
        }
        // The threads hold the only other ends: when they are done, or the writer is, the channels close.
        drop((take_ticket, send_batch, batches, send_encoded));
        for encoded in encoded {
            for _ in 0..writer.take(encoded?)? {
                // Readers that are done take no more.
                let _ = give_ticket.send(());
            }
            writer.progress.bytes_read = work.bytes_read().min(writer.progress.bytes_total);
            progress(writer.progress);
        }
        Ok(())
    })
}

/// A batch with its place in the whole.
struct Numbered {
    group: usize,
    /// Position among the batches of its group that are sent.
    number: u64,
    batch: TextBatch,
}

/// What the readers share.
struct Work<'a> {
    plan: &'a Plan<'a>,
    reading: ReadOptions,
    /// Finished parts of each group.
    finished: Vec<usize>,
    /// Groups that are not finished.
    left: Vec<usize>,
    /// How many of these have been taken.
    taken: AtomicUsize,
}

impl<'a> Work<'a> {
    fn of(plan: &'a Plan<'a>, journal: &Journal) -> Self {
        let groups: Vec<_> = (0..plan.groups.len()).map(|group| journal.finished(group)).collect();
        let (finished, whole): (Vec<usize>, Vec<bool>) = groups.into_iter().unzip();
        let left: Vec<usize> = (0..whole.len()).filter(|group| !whole[*group]).collect();
        let size_left: u64 = left.iter().map(|group| plan.groups[*group].size()).sum();
        let reading = ReadOptions { lossy: plan.options.lossy, ..ReadOptions::default() };
        reading.bytes_read.store(plan.size() - size_left, Ordering::Relaxed);
        Self { plan, reading, finished, left, taken: AtomicUsize::new(0) }
    }

    /// Bytes taken from disk, those of finished groups included.
    fn bytes_read(&self) -> u64 {
        self.reading.bytes_read.load(Ordering::Relaxed)
    }

    /// Reads groups until none is left.
    fn read(&self, tickets: &Receiver<()>, batches: &Sender<Numbered>, failed: &Sender<Result<Encoded>>) {
        while let Some(&group) = self.left.get(self.taken.fetch_add(1, Ordering::Relaxed)) {
            let mut number = 0;
            let mut send = |batch: TextBatch| {
                if batch.part < self.finished[group] {
                    return Ok(());
                }
                let numbered = Numbered { group, number, batch };
                number += 1;
                tickets.recv().map_err(|_| Error::Cancelled)?;
                batches.send(numbered).map_err(|_| Error::Cancelled)
            };
            if let Err(error) = self.read_group(group, &mut send) {
                // Without a receiver, someone else has failed before.
                let _ = failed.send(Err(error));
                return;
            }
        }
    }

    fn read_group(&self, group: usize, send: &mut dyn FnMut(TextBatch) -> Result<()>) -> Result<()> {
        let mut batcher = Batcher::new(self.plan.options.skip_bad, self.plan.cut, send);
        for (index, file) in self.plan.groups[group].files.iter().enumerate() {
            batcher.start_file(index);
            file.read(&self.reading, &mut |event| batcher.take(event))?;
        }
        batcher.finish()
    }
}

/// Encodes batches until there are no more, or nobody wants them.
fn encode_all(plan: &Plan<'_>, batches: &Receiver<Numbered>, encoded: &Sender<Result<Encoded>>) {
    for batch in batches {
        if encoded.send(encode(plan, batch)).is_err() {
            return;
        }
    }
}

fn encode(plan: &Plan<'_>, Numbered { group, number, batch }: Numbered) -> Result<Encoded> {
    let TextBatch { text, pieces, skipped, empty, part, ends_part, ends_group } = batch;
    let (mut bytes, mut counts, mut start) = (Vec::new(), Vec::with_capacity(pieces.len()), 0);
    for piece in pieces {
        let text = &text[start..piece.end];
        start = piece.end;
        let encoded = plan.tokenizer.encode_on_this_thread(text).map_err(|error| Error::Document {
            path: plan.groups[group].files[piece.file].path.clone(),
            location: piece.location,
            source: Box::new(error),
        })?;
        let mut tokens = if piece.is_first { [plan.start, &encoded].concat() } else { encoded };
        if piece.document.is_some_and(|document| document.fate != Fate::Dropped) {
            tokens.extend(plan.separator);
        }
        counts.push((tokens.len() as u64, piece.document));
        bytes.extend(to_bytes(&tokens, &plan.vocabulary)?);
    }
    let text_bytes = text.len() as u64;
    let pieces = counts;
    Ok(Encoded { group, number, bytes, text_bytes, pieces, skipped, empty, part, ends_part, ends_group })
}
