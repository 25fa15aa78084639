//! Loss over the validation split, the best model, and a sample.

use std::time::Instant;

use burn::module::AutodiffModule;
use burn_train::{EventProcessorTraining, InferenceStep, LearnerEvent};
use kiln_model::{AutodiffBackend, Dtype};

use super::strategy::{Fit, Work, finite};
use crate::error::Result;
use crate::run::metrics::{MetricsLine, SampleLine, Split};
use crate::view::Status;
use crate::{LanguageModel, StepOutput};

impl<B: AutodiffBackend> Fit<B> {
    /// Loss over the validation split, best model, and a sample; `false` if asked to stop meanwhile, and then nothing
    /// of it has happened.
    pub(super) fn evaluate(&mut self) -> Result<bool> {
        let model = self.learner.model().valid();
        let step = self.state.step;
        let epoch = step.div_ceil(self.work.config.eval_interval);
        let began = Instant::now();
        let Some((loss, tokens)) = self.validation_loss(&model) else { return Ok(false) };
        let seconds = began.elapsed().as_secs_f64();
        let Some(sample) = self.sample(&model) else { return Ok(false) };

        self.work.run.check()?;
        let learning_rate = self.state.learning_rate;
        let improved = loss.is_finite() && self.state.best.is_none_or(|(_, best)| loss < best);
        self.state.evaluated = Some(step);
        if improved {
            self.state.best = Some((step, loss));
            self.state.evaluations_since_best = 0;
            self.save_model()?;
        } else {
            self.state.evaluations_since_best += 1;
        }
        self.work.metrics.write(&MetricsLine {
            step,
            split: Split::Valid,
            loss: finite(loss),
            tokens: self.state.tokens,
            tokens_per_second: tokens as f64 / seconds,
            learning_rate,
            grad_norm: None,
            loss_z: None,
            grad_norm_z: None,
            seconds: self.earlier + self.started.elapsed().as_secs_f64(),
        })?;
        self.last_valid = Some((step, loss));
        self.processor.process_train(LearnerEvent::EndEpoch(epoch));
        let tokens = self.state.tokens;
        let item = self.item(StepOutput { step, loss, learning_rate, tokens, grad_norm: f64::NAN });
        self.processor.process_valid(LearnerEvent::ProcessedItem(item));
        self.processor.process_valid(LearnerEvent::EndEpoch(epoch));
        if let Some(text) = sample {
            self.work.view.update(|progress| progress.on_sample(step as u64, &text));
            self.work.samples.write(&SampleLine { step, text })?;
        }
        self.work.view.update(|progress| progress.set_status(Status::Training));
        Ok(true)
    }

    /// Mean loss and number of tokens; `None` if asked to stop meanwhile.
    fn validation_loss(&mut self, model: &LanguageModel<B::InnerBackend>) -> Option<(f64, usize)> {
        let batches = self.valid.num_items();
        let limit = self.work.config.eval_batches;
        let total = if limit == 0 { batches } else { limit.min(batches) };
        let micro_batch = self.work.config.micro_batch();
        let (mut sum, mut tokens) = (0.0, 0);
        for (done, batch) in self.valid.iter().take(total).enumerate() {
            let status = Status::Evaluating { done: done as u64, total: total as u64 };
            self.work.view.update(|progress| progress.set_status(status));
            for batch in batch.split(micro_batch) {
                if self.work.controls.stop().is_some() {
                    return None;
                }
                let count = batch.num_tokens();
                sum += model.step(batch).loss * count as f64;
                tokens += count;
            }
        }
        Some((sum / tokens as f64, tokens))
    }

    /// A sample, if the run writes any; `None` if asked to stop meanwhile.
    fn sample(&mut self, model: &LanguageModel<B::InnerBackend>) -> Option<Option<String>> {
        let Work { sample, controls, view, .. } = &mut self.work;
        let Some(sample) = sample else { return Some(None) };
        view.update(|progress| progress.set_status(Status::Sampling));
        let text = sample(&model.gpt, &mut || controls.stop().is_some());
        controls.stop().is_none().then_some(Some(text))
    }

    pub(super) fn save_model(&self) -> Result<()> {
        self.work.view.update(|progress| progress.set_status(Status::Saving));
        let model = self.learner.model().valid();
        let end_of_text = self.work.tokenizer.end_of_text();
        Ok(kiln_model::save(&model.gpt, &self.work.run.model(), Dtype::F32, end_of_text)?)
    }
}
