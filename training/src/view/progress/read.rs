//! What the display reads.

use std::time::{Duration, Instant};

use super::{Progress, RunInfo};
use crate::view::curve::Curve;
use crate::view::events::{Evaluation, Sample, StepReport};
use crate::view::status::Status;

impl Progress {
    /// Number of changes so far: equal numbers, equal pictures but for the clock.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What was known before the first step.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// What the run is doing.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Steps done, those of an interrupted run included.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The share of the run that is done, from 0 to 1.
    pub fn fraction(&self) -> f64 {
        if self.info.total_steps == 0 {
            0.0
        } else {
            (self.step as f64 / self.info.total_steps as f64).min(1.0)
        }
    }

    /// Tokens seen, those of an interrupted run included.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Tokens a second over the latest steps, evaluations and other pauses left out.
    pub fn tokens_per_second(&self) -> Option<f64> {
        self.throughput.tokens_per_second()
    }

    /// Time since this process started the run, until its end where it has one.
    pub fn elapsed(&self) -> Duration {
        self.finished.unwrap_or_else(Instant::now).saturating_duration_since(self.started)
    }

    /// Time until the last step, evaluations included.
    pub fn eta(&self) -> Option<Duration> {
        match self.status {
            Status::Finished => None,
            _ => self.throughput.time_for(self.info.total_steps.saturating_sub(self.step)),
        }
    }

    /// The latest step of this process.
    pub fn latest(&self) -> Option<&StepReport> {
        self.latest.as_ref()
    }

    /// The smoothed training loss.
    pub fn train_loss(&self) -> Option<f64> {
        self.train.latest()
    }

    /// Training losses.
    pub fn train(&self) -> &Curve {
        &self.train
    }

    /// Validation losses.
    pub fn valid(&self) -> &Curve {
        &self.valid
    }

    /// The latest evaluation.
    pub fn evaluation(&self) -> Option<Evaluation> {
        self.evaluation
    }

    /// The evaluation with the lowest loss.
    pub fn best(&self) -> Option<Evaluation> {
        self.best
    }

    /// The latest sample.
    pub fn sample(&self) -> Option<&Sample> {
        self.sample.as_ref()
    }

    /// Steps left out for not being finite.
    pub fn skipped_steps(&self) -> u64 {
        self.skipped
    }

    /// Time since the latest checkpoint.
    pub fn checkpoint_age(&self) -> Option<Duration> {
        self.checkpoint.map(|at| at.elapsed())
    }

    /// Bytes of memory in use.
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// Model FLOPs utilisation, from 0 to 1.
    pub fn mfu(&self) -> Option<f64> {
        self.mfu
    }
}
