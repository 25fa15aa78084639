//! The state of a run as the display needs it: plain data that the trainer updates.

use std::path::PathBuf;
use std::time::{Duration, Instant};

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

    pub(super) fn on_step_at(&mut self, now: Instant, report: StepReport) {
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

    pub(super) fn on_evaluation_at(&mut self, now: Instant, step: u64, loss: f64) {
        self.throughput.mark(now, Spent::Overhead);
        self.record(Evaluation { step, loss });
        self.revision += 1;
    }

    pub(super) fn set_status_at(&mut self, now: Instant, status: Status) {
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

/// What the display reads.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: u64, loss: f64) -> StepReport {
        StepReport { step, loss, tokens: 100, learning_rate: 1e-3, grad_norm: 1.0 }
    }

    fn fresh(total_steps: u64) -> Progress {
        Progress::new(RunInfo { total_steps, ..RunInfo::default() })
    }

    #[test]
    fn speed_and_end_leave_evaluations_and_pauses_where_they_belong() {
        let mut progress = fresh(1000);
        let mut now = Instant::now();
        let mut pass = |millis| {
            now += Duration::from_millis(millis);
            now
        };
        progress.on_step_at(pass(60_000), report(1, 4.0));
        for step in 2..=101 {
            progress.on_step_at(pass(100), report(step, 3.0));
        }
        progress.set_status_at(pass(0), Status::Evaluating { done: 0, total: 2 });
        progress.set_status_at(pass(1_000), Status::Evaluating { done: 1, total: 2 });
        progress.on_evaluation_at(pass(1_000), 101, 3.5);
        progress.set_status_at(pass(0), Status::Training);
        progress.set_status_at(pass(0), Status::Paused);
        progress.set_status_at(pass(3_600_000), Status::Training);
        progress.on_step_at(pass(100), report(102, 3.0));
        assert!((progress.tokens_per_second().unwrap() - 1000.0).abs() < 1e-6);
        let eta = progress.eta().unwrap().as_secs_f64();
        assert!((eta - 89.8 * (1.0 + 2.0 / 10.1)).abs() < 1e-3, "{eta}");
        assert_eq!(progress.tokens(), 10_200);
    }

    #[test]
    fn the_best_evaluation_is_the_lowest_finite_one() {
        let mut progress = fresh(10);
        for (step, loss) in [(1, f64::NAN), (2, 3.0), (3, 2.0), (4, 2.5), (5, f64::INFINITY)] {
            progress.on_evaluation(step, loss);
        }
        assert_eq!(progress.best(), Some(Evaluation { step: 3, loss: 2.0 }));
        assert_eq!(progress.evaluation().map(|e| e.step), Some(5));
        assert_eq!(progress.valid().points().count(), 3);
        assert!((progress.best().unwrap().perplexity() - 2f64.exp()).abs() < 1e-12);
    }

    #[test]
    fn every_change_has_its_own_revision() {
        let mut progress = fresh(10);
        let mut last = progress.revision();
        let changes: [&dyn Fn(&mut Progress); 8] = [
            &|p| p.on_step(report(1, f64::NAN)),
            &|p| p.on_evaluation(1, 2.0),
            &|p| p.on_sample(1, "text"),
            &|p| p.on_skipped_step(),
            &|p| p.on_checkpoint(),
            &|p| p.set_status(Status::Saving),
            &|p| p.set_memory(Some(1)),
            &|p| p.set_mfu(Some(0.5)),
        ];
        for change in changes {
            change(&mut progress);
            assert!(progress.revision() > last);
            last = progress.revision();
        }
    }

    #[test]
    fn a_resumed_run_goes_on_where_it_was() {
        let mut progress = fresh(10);
        progress.resume(500, 2, (1..=5).map(|step| (step, 3.0)), [(5, 2.5)]);
        assert_eq!((progress.step(), progress.tokens(), progress.fraction()), (5, 500, 0.5));
        assert_eq!(progress.skipped_steps(), 2);
        assert_eq!(progress.best(), Some(Evaluation { step: 5, loss: 2.5 }));
        progress.on_step(report(6, 2.9));
        assert_eq!((progress.step(), progress.tokens(), progress.train().points().count()), (6, 600, 6));
    }
}
