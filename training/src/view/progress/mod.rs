//! The state of a run as the display needs it: plain data that the trainer updates.

mod read;
mod step_curves;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) use self::step_curves::StepCurves;
use crate::run::{EvaluationRecord, History, StepRecord};
use crate::view::curve::Curve;
use crate::view::part::Part;
use crate::view::sample::Sample;
use crate::view::status::Status;
use crate::view::throughput::{Spent, Throughput};

/// What is known of a run before its first step.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunInfo {
    /// Steps of the whole run.
    pub total_steps: usize,
    /// How long it may train, where there is a limit.
    pub time_limit: Option<Duration>,
    /// The model in a few words, such as `0.80 M parameters, 4 layers × 128`.
    pub model: String,
    /// Name of the backend.
    pub backend: String,
    /// Directory that the run is written to.
    pub run_dir: PathBuf,
    /// A loss that no model can beat, where the data has one.
    pub floor: Option<f64>,
    /// Which of several runs it is.
    pub part: Option<Part>,
}

/// Everything that the dashboard or the plain lines show. Its size does not grow with the run.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    info: RunInfo,
    started: Instant,
    finished: Option<Instant>,
    revision: u64,
    status: Status,
    latest: Option<StepRecord>,
    step: usize,
    tokens: u64,
    seconds: f64,
    steps_in_time: Option<usize>,
    throughput: Throughput,
    peak_tokens_per_second: Option<f64>,
    steps: StepCurves,
    valid: Curve,
    evaluation: Option<EvaluationRecord>,
    best: Option<EvaluationRecord>,
    sample: Option<Sample>,
    skipped: usize,
    checkpoint: Option<Instant>,
}

impl Progress {
    /// A run that starts now.
    pub(crate) fn new(info: RunInfo) -> Self {
        Self {
            info,
            started: Instant::now(),
            finished: None,
            revision: 0,
            status: Status::Starting,
            latest: None,
            step: 0,
            tokens: 0,
            seconds: 0.0,
            steps_in_time: None,
            throughput: Throughput::default(),
            peak_tokens_per_second: None,
            steps: StepCurves::default(),
            valid: Curve::default(),
            evaluation: None,
            best: None,
            sample: None,
            skipped: 0,
            checkpoint: None,
        }
    }

    /// Takes over what a resumed run has behind it: its records, the tokens seen and the steps skipped so far.
    pub(crate) fn resume(&mut self, history: &History, tokens: u64, skipped: usize) {
        self.tokens = tokens;
        self.skipped = skipped;
        for record in &history.steps {
            self.step = self.step.max(record.step);
            self.seconds = record.seconds;
            self.steps.push(record);
        }
        for record in history.evaluations.iter().filter(|record| record.loss.is_finite()) {
            self.record(*record);
        }
        self.revision += 1;
    }

    /// The device would train on this many tokens a second if all of a step went as fast as large matrix products.
    pub(crate) fn set_peak(&mut self, tokens_per_second: f64) {
        self.peak_tokens_per_second = Some(tokens_per_second);
    }

    /// An optimizer step is done.
    pub(crate) fn on_step(&mut self, record: StepRecord) {
        self.on_step_at(Instant::now(), record);
    }

    /// An evaluation is done.
    pub(crate) fn on_evaluation(&mut self, record: EvaluationRecord) {
        self.on_evaluation_at(Instant::now(), record);
    }

    /// The model has written a sample. Control characters in it are made harmless.
    pub(crate) fn on_sample(&mut self, step: usize, text: &str) {
        self.throughput.mark(Instant::now(), Spent::Overhead);
        self.sample = Some(Sample::new(step, text));
        self.revision += 1;
    }

    /// The time limit ends the run at about `step`, before its last one.
    pub(crate) fn on_fewer_steps(&mut self, step: usize) {
        self.steps_in_time = Some(step);
    }

    /// A checkpoint has been written.
    pub(crate) fn on_checkpoint(&mut self) {
        self.checkpoint = Some(Instant::now());
        self.revision += 1;
    }

    /// The run turns to something else. Time outside [`Status::Training`] does not count for the speed.
    pub(crate) fn set_status(&mut self, status: Status) {
        self.set_status_at(Instant::now(), status);
    }

    pub(crate) fn on_step_at(&mut self, now: Instant, record: StepRecord) {
        let spent = match self.status {
            Status::Training | Status::Stopping => {
                Spent::Step { tokens: record.tokens.saturating_sub(self.tokens) }
            }
            Status::Starting | Status::Paused => Spent::Idle,
            _ => Spent::Overhead,
        };
        self.throughput.mark(now, spent);
        if self.status == Status::Starting {
            self.status = Status::Training;
        }
        self.step = record.step;
        self.tokens = record.tokens;
        self.seconds = record.seconds;
        self.skipped = record.skipped;
        self.steps.push(&record);
        self.latest = Some(record);
        self.revision += 1;
    }

    pub(crate) fn on_evaluation_at(&mut self, now: Instant, record: EvaluationRecord) {
        self.throughput.mark(now, Spent::Overhead);
        self.record(record);
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

    fn record(&mut self, record: EvaluationRecord) {
        self.valid.push(record.step, record.loss);
        self.evaluation = Some(record);
        if !record.loss.is_nan() && self.best.is_none_or(|best| record.loss < best.loss) {
            self.best = Some(record);
        }
    }
}
