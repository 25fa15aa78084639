//! The state of a run as the display needs it: plain data that the trainer updates.

mod read;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Instant;

use super::curve::Curve;
use super::events::{Evaluation, Sample, StepReport};
use super::status::Status;
use super::throughput::{Spent, Throughput};

/// What is known of a run before its first step.
#[derive(Clone, Debug, Default)]
pub struct RunInfo {
    /// Steps of the whole run.
    pub total_steps: u64,
    /// The model in a few words, such as `0.80 M parameters, 4 layers × 128`.
    pub model: String,
    /// Name of the backend.
    pub backend: String,
    /// Directory that the run is written to.
    pub run_dir: PathBuf,
    /// A loss that no model can beat, where the data has one.
    pub floor: Option<f64>,
}

/// Everything that the dashboard or the plain lines show. Its size does not grow with the run.
#[derive(Clone, Debug)]
pub struct Progress {
    info: RunInfo,
    started: Instant,
    finished: Option<Instant>,
    revision: u64,
    status: Status,
    latest: Option<StepReport>,
    step: u64,
    tokens: u64,
    throughput: Throughput,
    train: Curve,
    valid: Curve,
    evaluation: Option<Evaluation>,
    best: Option<Evaluation>,
    sample: Option<Sample>,
    skipped: u64,
    checkpoint: Option<Instant>,
    memory: Option<u64>,
    mfu: Option<f64>,
}

impl Progress {
    /// A run that starts now.
    pub fn new(info: RunInfo) -> Self {
        Self {
            info,
            started: Instant::now(),
            finished: None,
            revision: 0,
            status: Status::Starting,
            latest: None,
            step: 0,
            tokens: 0,
            throughput: Throughput::default(),
            train: Curve::default(),
            valid: Curve::default(),
            evaluation: None,
            best: None,
            sample: None,
            skipped: 0,
            checkpoint: None,
            memory: None,
            mfu: None,
        }
    }

    /// Takes over what a resumed run has behind it: its curves, the tokens seen and the steps skipped so far.
    pub fn resume(
        &mut self,
        tokens: u64,
        skipped: u64,
        train: impl IntoIterator<Item = (u64, f64)>,
        valid: impl IntoIterator<Item = (u64, f64)>,
    ) {
        self.tokens = tokens;
        self.skipped = skipped;
        for (step, loss) in train {
            self.step = self.step.max(step);
            self.train.push(step, loss);
        }
        for (step, loss) in valid {
            self.record(Evaluation { step, loss });
        }
        self.revision += 1;
    }

    /// An optimizer step is done.
    pub fn on_step(&mut self, report: StepReport) {
        self.on_step_at(Instant::now(), report);
    }

    /// An evaluation is done.
    pub fn on_evaluation(&mut self, step: u64, loss: f64) {
        self.on_evaluation_at(Instant::now(), step, loss);
    }

    /// The model has written a sample. Control characters in it are made harmless.
    pub fn on_sample(&mut self, step: u64, text: &str) {
        self.throughput.mark(Instant::now(), Spent::Overhead);
        self.sample = Some(Sample::new(step, text));
        self.revision += 1;
    }

    /// A step was left out, its loss or gradient not being finite.
    pub fn on_skipped_step(&mut self) {
        self.skipped += 1;
        self.revision += 1;
    }

    /// A checkpoint has been written.
    pub fn on_checkpoint(&mut self) {
        self.checkpoint = Some(Instant::now());
        self.revision += 1;
    }

    /// The run turns to something else. Time outside [`Status::Training`] does not count for the speed.
    pub fn set_status(&mut self, status: Status) {
        self.set_status_at(Instant::now(), status);
    }

    /// Bytes of memory that the run uses.
    pub fn set_memory(&mut self, bytes: Option<u64>) {
        self.memory = bytes;
        self.revision += 1;
    }

    /// Model FLOPs utilisation, from 0 to 1.
    pub fn set_mfu(&mut self, mfu: Option<f64>) {
        self.mfu = mfu;
        self.revision += 1;
    }

    pub(crate) fn on_step_at(&mut self, now: Instant, report: StepReport) {
        let spent = match self.status {
            Status::Training | Status::Stopping => Spent::Step { tokens: report.tokens },
            Status::Starting | Status::Paused => Spent::Idle,
            _ => Spent::Overhead,
        };
        self.throughput.mark(now, spent);
        if self.status == Status::Starting {
            self.status = Status::Training;
        }
        self.step = report.step;
        self.tokens += report.tokens;
        self.train.push(report.step, report.loss);
        self.latest = Some(report);
        self.revision += 1;
    }

    pub(crate) fn on_evaluation_at(&mut self, now: Instant, step: u64, loss: f64) {
        self.throughput.mark(now, Spent::Overhead);
        self.record(Evaluation { step, loss });
        self.revision += 1;
    }

    pub(crate) fn set_status_at(&mut self, now: Instant, status: Status) {
        let spent = match self.status {
            Status::Starting | Status::Paused => Spent::Idle,
            _ => Spent::Overhead,
        };
        // Saying again that it trains is no interruption.
        if !(self.status == Status::Training && status == Status::Training) {
            self.throughput.mark(now, spent);
        }
        self.finished = (status == Status::Finished).then_some(now);
        self.status = status;
        self.revision += 1;
    }

    fn record(&mut self, evaluation: Evaluation) {
        self.valid.push(evaluation.step, evaluation.loss);
        self.evaluation = Some(evaluation);
        if !evaluation.loss.is_nan() && self.best.is_none_or(|best| evaluation.loss < best.loss) {
            self.best = Some(evaluation);
        }
    }
}
