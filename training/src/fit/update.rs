//! One optimizer update.

use std::time::Instant;

use burn::data::dataloader::DataLoaderIterator;
use kiln_datasets::mix;
use kiln_model::AutodiffBackend;

use super::strategy::Fit;
use crate::error::Result;
use crate::objective::{MicroBatch, MicroBatches, Objective};
use crate::run::{Record, StepRecord};

/// Keeps the random numbers of dropout apart from those of the data order.
const DROPOUT_SEED: u64 = 0x6B69_6C6E;

impl<B: AutodiffBackend, O: Objective<B>> Fit<B, O> {
    /// One optimizer update, left out if something is not finite, and broken off if someone asks the run to stop.
    pub(super) fn step(
        &mut self,
        batches: &mut dyn DataLoaderIterator<MicroBatches<O::Batch>>,
    ) -> Result<()> {
        let started = Instant::now();
        let mut batches = batches.next().expect("the loader has as many items as the run has steps");
        let tokens: usize = batches.batches.iter().map(O::Batch::num_tokens).sum();
        let interrupt = self.interrupt();
        batches.interrupt = interrupt.clone();
        let (seed, step) = (self.work.run.recipe.training.seed, self.work.state.step);
        // Seeded by step, so that a resumed run drops what the uninterrupted one would have dropped.
        B::seed(&self.device, mix(seed ^ DROPOUT_SEED, step as u64));
        self.learner.lr_step();
        let output = self.learner.train_step(batches);
        if interrupt.is_obeyed() {
            // The run ends here, without this step.
            return Ok(());
        }
        let skipped = self.work.observed.skipped();
        let StepRecord { loss, task, .. } = output.item;
        if loss.is_finite() {
            self.learner.optimizer_step(output.grads);
        }
        let updated = loss.is_finite() && self.work.observed.skipped() == skipped;
        let grad_norm = if loss.is_finite() { self.work.observed.norm() } else { f64::NAN };
        self.last_loss = loss;
        let record = self.measure(loss, grad_norm, updated, tokens, started);
        self.report(Record::Step(StepRecord { task, ..record }))
    }

    /// Moves the run's state on by a step and measures it.
    fn measure(
        &mut self,
        loss: f64,
        grad_norm: f64,
        updated: bool,
        tokens: usize,
        started: Instant,
    ) -> StepRecord {
        let state = &mut self.work.state;
        state.step += 1;
        state.tokens += tokens as u64;
        state.seconds = self.clock.seconds();
        state.learning_rate = self.learner.lr_current();
        if updated {
            state.skipped_in_a_row = 0;
        } else {
            state.skipped += 1;
            state.skipped_in_a_row += 1;
        }
        let seconds = started.elapsed().as_secs_f64();
        StepRecord {
            step: state.step,
            loss,
            tokens: state.tokens,
            tokens_per_second: tokens as f64 / seconds,
            learning_rate: state.learning_rate,
            grad_norm,
            loss_z: state.losses.push(loss),
            grad_norm_z: state.grad_norms.push(grad_norm),
            seconds: state.seconds,
            skipped: state.skipped,
            memory: self.surroundings.memory(),
            ..StepRecord::default()
        }
    }
}
