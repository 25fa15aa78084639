//! Burn's data loaders over token shards. An epoch of the learner is `eval_interval` steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::tensor::backend::Backend;
use kiln_datasets::{Batch, TokenShard, WindowSampler, Windows};

use crate::MicroBatches;

/// Draws the windows of consecutive steps, from a position that a resumed run sets.
#[derive(Clone)]
pub(crate) struct TrainLoader {
    pub(crate) shard: Arc<TokenShard>,
    pub(crate) sampler: WindowSampler,
    pub(crate) grad_accumulation: usize,
    /// Windows that are computed at a time.
    pub(crate) micro_batch: usize,
    /// Steps of the whole run.
    pub(crate) steps: usize,
    /// The next step, counted from zero; shared by every copy of the loader.
    pub(crate) next: Arc<AtomicUsize>,
}

impl<B: Backend> DataLoader<B, MicroBatches> for TrainLoader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<MicroBatches> + 'a> {
        Box::new(Steps(self))
    }

    fn num_items(&self) -> usize {
        self.steps
    }

    fn to_device(&self, _device: &B::Device) -> Arc<dyn DataLoader<B, MicroBatches>> {
        Arc::new(self.clone())
    }

    /// Every device of a multi-device run draws from the same sequence of steps.
    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<B, MicroBatches>> {
        Arc::new(self.clone())
    }
}

struct Steps<'a>(&'a TrainLoader);

impl Iterator for Steps<'_> {
    type Item = MicroBatches;

    fn next(&mut self) -> Option<MicroBatches> {
        let TrainLoader { shard, sampler, grad_accumulation, micro_batch, steps, next } = self.0;
        let step = next.fetch_add(1, Ordering::Relaxed);
        let first = (step * grad_accumulation) as u64;
        (step < *steps).then(|| {
            let batches = (first..first + *grad_accumulation as u64).map(|index| sampler.batch(shard, index));
            MicroBatches(batches.flat_map(|batch| batch.split(*micro_batch)).collect())
        })
    }
}

impl DataLoaderIterator<MicroBatches> for Steps<'_> {
    fn progress(&self) -> Progress {
        Progress { items_processed: self.0.next.load(Ordering::Relaxed), items_total: self.0.steps }
    }
}

/// Reads the validation split front to back.
#[derive(Clone)]
pub(crate) struct ValidLoader {
    pub(crate) shard: Arc<TokenShard>,
    pub(crate) batch_size: usize,
    pub(crate) context_length: usize,
}

impl<B: Backend> DataLoader<B, Batch> for ValidLoader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch> + 'a> {
        let windows = Windows::new(&self.shard, self.batch_size, self.context_length);
        let total = windows.num_batches();
        Box::new(Batches { windows, done: 0, total })
    }

    fn num_items(&self) -> usize {
        Windows::new(&self.shard, self.batch_size, self.context_length).num_batches()
    }

    fn to_device(&self, _device: &B::Device) -> Arc<dyn DataLoader<B, Batch>> {
        Arc::new(self.clone())
    }

    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<B, Batch>> {
        Arc::new(self.clone())
    }
}

struct Batches<'a> {
    windows: Windows<'a>,
    done: usize,
    total: usize,
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.done += 1;
        self.windows.next()
    }
}

impl DataLoaderIterator<Batch> for Batches<'_> {
    fn progress(&self) -> Progress {
        Progress { items_processed: self.done, items_total: self.total }
    }
}
