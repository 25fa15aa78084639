//! One optimizer update.

use std::time::Instant;

use burn::data::dataloader::DataLoaderIterator;
use burn_train::{EventProcessorTraining, LearnerEvent};
use kiln_datasets::{Batch, mix};
use kiln_model::AutodiffBackend;

use super::strategy::{Fit, Work, finite};
use crate::error::Result;
use crate::run::metrics::{MetricsLine, Split};
use crate::{MicroBatches, StepOutput};

/// Keeps the random numbers of dropout apart from those of the data order.
const DROPOUT_SEED: u64 = 0x6B69_6C6E;

impl<B: AutodiffBackend> Fit<B> {
    /// One optimizer update, left out if something is not finite.
    pub(super) fn step(&mut self, windows: &mut dyn DataLoaderIterator<MicroBatches>) -> Result<()> {
        let began = Instant::now();
        let Work { config, seen, view, metrics, peak, .. } = &mut self.work;
        let state = &mut self.state;
        let batches = windows.next().expect("the loader has as many items as the run has steps");
        let tokens: usize = batches.0.iter().map(Batch::num_tokens).sum();
        // Seeded by step, so that a resumed run drops what the uninterrupted one would have dropped.
        B::seed(&self.device, mix(config.seed ^ DROPOUT_SEED, state.step as u64));
        self.learner.lr_step();
        let output = self.learner.train_step(batches);
        let skipped = seen.skipped();
        let loss = output.item.loss;
        if loss.is_finite() {
            self.learner.optimizer_step(output.grads);
        }
        let updated = loss.is_finite() && seen.skipped() == skipped;
        let grad_norm = if loss.is_finite() { seen.norm() } else { f64::NAN };

        state.step += 1;
        state.tokens += tokens as u64;
        state.seconds = self.earlier + self.started.elapsed().as_secs_f64();
        if updated {
            state.skipped_in_a_row = 0;
        } else {
            state.skipped += 1;
            state.skipped_in_a_row += 1;
            view.update(|progress| progress.on_skipped_step());
        }
        self.last_train = loss;
        let learning_rate = self.learner.lr_current();
        state.learning_rate = learning_rate;
        let seconds = began.elapsed().as_secs_f64();
        metrics.write(&MetricsLine {
            step: state.step,
            split: Split::Train,
            loss: finite(loss),
            tokens: state.tokens,
            tokens_per_second: tokens as f64 / seconds,
            learning_rate,
            grad_norm: Some(finite(grad_norm)),
            loss_z: Some(state.losses.push(loss)),
            grad_norm_z: Some(state.grad_norms.push(grad_norm)),
            seconds: state.seconds,
        })?;
        if let Some(peak) = peak {
            let utilization = peak.utilization(tokens, seconds);
            view.update(|progress| progress.set_mfu(utilization));
        }
        let item = StepOutput { step: state.step, loss, grad_norm, learning_rate, tokens: state.tokens };
        let item = self.item(item);
        self.processor.process_train(LearnerEvent::ProcessedItem(item));
        Ok(())
    }
}
