//! An objective's batches as burn-train's data loaders. An epoch of the learner is `eval_interval` steps.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use kiln_model::AutodiffBackend;

use crate::objective::{MicroBatch, MicroBatches, Objective};

/// Reads the micro-batches of consecutive steps.
pub(super) struct StepLoader<O> {
    pub(super) objective: Arc<O>,
    /// Examples that are computed at a time.
    pub(super) micro_batch: usize,
    /// Steps of the whole run.
    pub(super) steps: usize,
    /// The next step, counted from zero; shared by every copy of the loader.
    pub(super) next: Arc<AtomicUsize>,
}

impl<O> Clone for StepLoader<O> {
    fn clone(&self) -> Self {
        Self { objective: Arc::clone(&self.objective), next: Arc::clone(&self.next), ..*self }
    }
}

impl<B: AutodiffBackend, O: Objective<B>> DataLoader<B, MicroBatches<O::Batch>> for StepLoader<O> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<MicroBatches<O::Batch>> + 'a> {
        Box::new(Steps { loader: self, backend: PhantomData::<fn() -> B> })
    }

    fn num_items(&self) -> usize {
        self.steps
    }

    fn to_device(&self, _device: &B::Device) -> Arc<dyn DataLoader<B, MicroBatches<O::Batch>>> {
        Arc::new(self.clone())
    }

    /// Every device of a multi-device run reads the same sequence of steps.
    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<B, MicroBatches<O::Batch>>> {
        Arc::new(self.clone())
    }
}

struct Steps<'a, B, O> {
    loader: &'a StepLoader<O>,
    backend: PhantomData<fn() -> B>,
}

impl<B: AutodiffBackend, O: Objective<B>> Iterator for Steps<'_, B, O> {
    type Item = MicroBatches<O::Batch>;

    fn next(&mut self) -> Option<MicroBatches<O::Batch>> {
        let StepLoader { objective, micro_batch, steps, next } = self.loader;
        let step = next.fetch_add(1, Ordering::Relaxed);
        let parts = |batch: O::Batch| batch.split(*micro_batch);
        (step < *steps)
            .then(|| objective.batches(step).into_iter().flat_map(parts).collect::<Vec<_>>().into())
    }
}

impl<B: AutodiffBackend, O: Objective<B>> DataLoaderIterator<MicroBatches<O::Batch>> for Steps<'_, B, O> {
    fn progress(&self) -> Progress {
        let items_processed = self.loader.next.load(Ordering::Relaxed);
        Progress { items_processed, items_total: self.loader.steps }
    }
}

/// Reads the validation split front to back.
pub(super) struct ValidationLoader<B, O> {
    objective: Arc<O>,
    backend: PhantomData<fn() -> B>,
}

impl<B, O> ValidationLoader<B, O> {
    pub(super) fn new(objective: Arc<O>) -> Self {
        Self { objective, backend: PhantomData }
    }
}

impl<B: AutodiffBackend, O: Objective<B>> DataLoader<B::InnerBackend, O::Batch> for ValidationLoader<B, O> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<O::Batch> + 'a> {
        let batches = self.objective.validation_batches();
        Box::new(Batches { batches, done: 0, total: self.objective.num_validation_batches() })
    }

    fn num_items(&self) -> usize {
        self.objective.num_validation_batches()
    }

    fn to_device(&self, _device: &B::Device) -> Arc<dyn DataLoader<B::InnerBackend, O::Batch>> {
        Arc::new(Self::new(Arc::clone(&self.objective)))
    }

    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<B::InnerBackend, O::Batch>> {
        Arc::new(Self::new(Arc::clone(&self.objective)))
    }
}

struct Batches<'a, T> {
    batches: Box<dyn Iterator<Item = T> + 'a>,
    done: usize,
    total: usize,
}

impl<T> Iterator for Batches<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.done += 1;
        self.batches.next()
    }
}

impl<T> DataLoaderIterator<T> for Batches<'_, T> {
    fn progress(&self) -> Progress {
        Progress { items_processed: self.done, items_total: self.total }
    }
}
