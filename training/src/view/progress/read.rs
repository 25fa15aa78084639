//! What the display reads.

use std::time::{Duration, Instant};

use super::{Progress, RunInfo, StepCurves};
use crate::run::{EvaluationRecord, StepRecord};
use crate::view::curve::Curve;
use crate::view::sample::Sample;
use crate::view::status::Status;

impl Progress {
    /// Number of changes so far: equal numbers, equal pictures but for the clock.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// What was known before the first step.
    pub(crate) fn info(&self) -> &RunInfo {
        &self.info
    }

    /// What the run is doing.
    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    /// Steps done, those of an interrupted run included.
    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// The share of the run that is done, from 0 to 1: of its steps, or of its time where that ends before them.
    pub(crate) fn fraction(&self) -> f64 {
        let steps = self.step as f64 / self.info.total_steps.max(1) as f64;
        let time = self.info.time_limit.filter(|_| self.steps_in_time.is_some());
        steps.max(time.map_or(0.0, |limit| self.seconds / limit.as_secs_f64())).min(1.0)
    }

    /// The step at which the time limit ends the run, about, where that is before the last one.
    pub(crate) fn steps_in_time(&self) -> Option<usize> {
        self.steps_in_time
    }

    /// Tokens seen, those of an interrupted run included.
    pub(crate) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Tokens a second over the latest steps, evaluations and other pauses left out.
    pub(crate) fn tokens_per_second(&self) -> Option<f64> {
        self.throughput.tokens_per_second()
    }

    /// Time of a step, over the same steps.
    pub(crate) fn step_time(&self) -> Option<Duration> {
        self.throughput.step_time()
    }

    /// Time since this process started the run, until its end where it has one.
    pub(crate) fn elapsed(&self) -> Duration {
        self.finished.unwrap_or_else(Instant::now).saturating_duration_since(self.started)
    }

    /// Time until the last step, evaluations included, or until the time limit if that is sooner.
    pub(crate) fn eta(&self) -> Option<Duration> {
        if self.status == Status::Finished {
            return None;
        }
        let steps = self.throughput.time_for(self.info.total_steps.saturating_sub(self.step))?;
        let spent = Duration::try_from_secs_f64(self.seconds).unwrap_or_default();
        Some(self.info.time_limit.map_or(steps, |limit| steps.min(limit.saturating_sub(spent))))
    }

    /// What one more step takes, with its share of evaluations, as far as it is known.
    pub(crate) fn seconds_per_step(&self) -> Option<f64> {
        self.throughput.time_for(1).map(|time| time.as_secs_f64())
    }

    /// The latest step of this process.
    pub(crate) fn latest(&self) -> Option<&StepRecord> {
        self.latest.as_ref()
    }

    /// The smoothed training loss.
    pub(crate) fn train_loss(&self) -> Option<f64> {
        self.steps.loss.latest()
    }

    /// What was measured of the steps.
    pub(crate) fn steps(&self) -> &StepCurves {
        &self.steps
    }

    /// Validation losses.
    pub(crate) fn valid(&self) -> &Curve {
        &self.valid
    }

    /// The latest evaluation.
    pub(crate) fn evaluation(&self) -> Option<EvaluationRecord> {
        self.evaluation
    }

    /// The evaluation with the lowest loss.
    pub(crate) fn best(&self) -> Option<EvaluationRecord> {
        self.best
    }

    /// The latest sample.
    pub(crate) fn sample(&self) -> Option<&Sample> {
        self.sample.as_ref()
    }

    /// Steps left out for not being finite.
    pub(crate) fn skipped_steps(&self) -> usize {
        self.skipped
    }

    /// Time since the latest checkpoint.
    pub(crate) fn checkpoint_age(&self) -> Option<Duration> {
        self.checkpoint.map(|at| at.elapsed())
    }

    /// Bytes of memory in use.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.latest?.memory
    }

    /// Model FLOPs utilisation, from 0 to 1, over the same steps as [`tokens_per_second`](Self::tokens_per_second).
    pub(crate) fn utilization(&self) -> Option<f64> {
        Some(self.tokens_per_second()? / self.peak_tokens_per_second?)
    }
}
