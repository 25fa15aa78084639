//! Loss over the validation split, the best model, and a sample.

use std::time::Instant;

use burn::module::AutodiffModule;
use kiln_model::{AutodiffBackend, MeanLoss};

use super::strategy::{Fit, Work};
use crate::error::Result;
use crate::objective::{Learns as _, MicroBatch, Objective, add_sums, scalar};
use crate::run::{EvaluationRecord, Record, SampleRecord, TaskFigures};
use crate::view::Status;

/// What the validation split comes to.
struct Validation {
    /// Mean over its counted targets.
    loss: f64,
    task: TaskFigures,
    /// Tokens read.
    tokens: usize,
}

impl<B: AutodiffBackend, O: Objective<B>> Fit<B, O> {
    /// Loss over the validation split, best model, and a sample; `false` if asked to stop meanwhile, and then nothing
    /// of it has happened.
    pub(super) fn evaluate(&mut self) -> Result<bool> {
        let model = self.learner.model().valid();
        let started = Instant::now();
        let Some(Validation { loss, task, tokens }) = self.validate(&model) else { return Ok(false) };
        let seconds = started.elapsed().as_secs_f64();
        let sample = self.sample(&model);
        if self.work.controls.stop().is_some() {
            return Ok(false);
        }

        self.work.run.directory.check()?;
        self.judge(loss)?;
        let state = &self.work.state;
        let step = state.step;
        self.report(Record::Evaluation(EvaluationRecord {
            step,
            loss,
            tokens: state.tokens,
            tokens_per_second: tokens as f64 / seconds,
            learning_rate: state.learning_rate,
            seconds: self.clock.seconds(),
            task,
        }))?;
        if let Some(text) = sample {
            self.report_sample(SampleRecord { step, text })?;
        }
        self.work.screen.set_status(Status::Training);
        Ok(true)
    }

    /// Keeps the model if it is the best so far.
    fn judge(&mut self, loss: f64) -> Result<()> {
        let state = &mut self.work.state;
        state.evaluated = Some(state.step);
        if loss.is_finite() && state.best.is_none_or(|(_, best)| loss < best) {
            state.best = Some((state.step, loss));
            state.evaluations_since_best = 0;
            self.save_model()
        } else {
            state.evaluations_since_best += 1;
            Ok(())
        }
    }

    /// Reads the validation split; `None` if asked to stop meanwhile.
    fn validate(&mut self, model: &O::Inner) -> Option<Validation> {
        let batches = self.valid.num_items();
        let Work { run, screen, controls, .. } = &mut self.work;
        let training = &run.recipe.training;
        let total = if training.eval_batches == 0 { batches } else { training.eval_batches.min(batches) };
        let (mut loss, mut sums, mut tokens) = (MeanLoss::default(), Vec::new(), 0);
        for (done, batch) in self.valid.iter().take(total).enumerate() {
            screen.set_status(Status::Evaluating { done, total });
            for batch in batch.split(training.micro_batch()) {
                if controls.stop().is_some() {
                    return None;
                }
                let targets = batch.num_targets();
                tokens += batch.num_tokens();
                let outcome = model.outcome(&batch);
                loss.add(scalar(outcome.loss), targets);
                add_sums(&mut sums, &outcome.sums);
            }
        }
        Some(Validation { loss: loss.mean(), task: model.figures(&sums, loss.targets()), tokens })
    }

    /// A sample, if the run shows any.
    fn sample(&mut self, model: &O::Inner) -> Option<String> {
        let Work { objective, controls, screen, .. } = &mut self.work;
        screen.set_status(Status::Sampling);
        objective.sample(model, &mut || controls.stop().is_some())
    }

    /// A sample between evaluations.
    pub(super) fn sample_early(&mut self) -> Result<()> {
        let step = self.work.state.step;
        let model = self.learner.model().valid();
        if let Some(text) = self.sample(&model)
            && self.work.controls.stop().is_none()
        {
            self.report_sample(SampleRecord { step, text })?;
        }
        self.work.screen.set_status(Status::Training);
        Ok(())
    }

    pub(super) fn save_model(&mut self) -> Result<()> {
        let Work { objective, run, screen, .. } = &mut self.work;
        screen.set_status(Status::Saving);
        objective.save_model(&self.learner.model().valid(), &run.directory.model())
    }
}
