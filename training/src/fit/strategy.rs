//! The loop as a strategy of burn-train's learner.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use burn::data::dataloader::Progress;
use burn_train::{
    EventProcessorTraining, Learner, LearnerEvent, LearningComponentsMarker, SupervisedLearningStrategy,
    SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents, TrainingItem, ValidLoader,
};
use kiln_model::AutodiffBackend;

use super::clock::Clock;
use super::controls::Controls;
use super::launch::device;
use super::pauses::Surroundings;
use super::run::{Run, Stopped, Summary};
use crate::error::{Error, Result};
use crate::objective::Objective;
use crate::recipe::{
    ByRoleOptimizer, ClipGlobalNorm, ObservedNorm, TrainingConfig, WarmupDecay, num_trained,
};
use crate::run::{Checkpoints, EvaluationRecord, EventFile, JsonLines, Record, RunState, SampleRecord};
use crate::view::{Screen, Status, loss_svg};

/// Steps before the first evaluation after which the model writes a sample.
const EARLY_SAMPLES: [usize; 8] = [1, 10, 25, 50, 100, 200, 400, 800];

/// Steps in a row that may fail to be finite before the run gives up.
const MAX_NONFINITE_STEPS: usize = 10;

/// The optimizer of a run.
type Optimizer<B, M> = ClipGlobalNorm<ByRoleOptimizer<B, M>>;

/// The parts that burn-train's learner is made of.
pub(super) type Components<B, O> = LearningComponentsMarker<
    B,
    WarmupDecay,
    <O as Objective<B>>::Module,
    Optimizer<B, <O as Objective<B>>::Module>,
>;

/// What a run works with, beside what the learner brings.
pub(super) struct Work<O> {
    pub(super) objective: Arc<O>,
    pub(super) run: Run,
    pub(super) state: RunState,
    pub(super) metrics: JsonLines,
    pub(super) events: Option<EventFile>,
    pub(super) samples: JsonLines,
    pub(super) screen: Screen,
    pub(super) controls: Controls,
    pub(super) observed: Arc<ObservedNorm>,
    /// That of the learner: what moves one moves both.
    pub(super) schedule: WarmupDecay,
}

/// [`SupervisedLearningStrategy`] that fits an objective: an epoch is `eval_interval` steps. The trait takes `&self` and
/// returns no error, hence the two cells.
pub(super) struct Strategy<O> {
    work: Mutex<Option<Work<O>>>,
    summary: SummaryCell,
}

/// How a run went, once it has ended.
#[derive(Clone, Default)]
pub(super) struct SummaryCell(Arc<Mutex<Option<Result<Summary>>>>);

impl SummaryCell {
    pub(super) fn take(&self) -> Result<Summary> {
        let summary = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        summary.expect("launch runs the strategy to its end")
    }
}

impl<O> Strategy<O> {
    pub(super) fn new(work: Work<O>) -> Self {
        Self { work: Mutex::new(Some(work)), summary: SummaryCell::default() }
    }

    /// Gets the summary when the run has ended.
    pub(super) fn summary(&self) -> SummaryCell {
        self.summary.clone()
    }
}

impl<B: AutodiffBackend, O: Objective<B>> SupervisedLearningStrategy<Components<B, O>> for Strategy<O> {
    fn fit(
        &self,
        components: TrainingComponents<Components<B, O>>,
        learner: Learner<Components<B, O>>,
        train: TrainLoader<Components<B, O>>,
        valid: ValidLoader<Components<B, O>>,
        _starting_epoch: usize,
    ) -> (O::Module, SupervisedTrainingEventProcessor<Components<B, O>>) {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let work = work.expect("a strategy fits once");
        let Run { directory, recipe, config, checkpoint, .. } = &work.run;
        let saved = checkpoint.is_some().then_some(&work.state);
        let (folder, keep) = (directory.checkpoints(), recipe.training.keep_checkpoints);
        let mut fit = Fit {
            device: device::<B, _>(&learner.model()),
            learner,
            valid,
            checkpoints: Checkpoints::new(folder, keep, config.clone(), components.event_store, saved),
            processor: components.event_processor,
            clock: Clock::new(work.state.seconds, recipe.training.max_minutes),
            last_loss: f64::NAN,
            last_evaluation: None,
            surroundings: Surroundings::default(),
            work,
        };
        let stopped = fit.run(train);
        fit.work.screen.set_status(Status::Finished);
        let summary = stopped.and_then(|stopped| fit.finish(stopped));
        *self.summary.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
        (fit.learner.model(), fit.processor)
    }
}

/// One run of the loop.
pub(super) struct Fit<B: AutodiffBackend, O: Objective<B>> {
    pub(super) work: Work<O>,
    pub(super) learner: Learner<Components<B, O>>,
    pub(super) valid: ValidLoader<Components<B, O>>,
    pub(super) device: B::Device,
    pub(super) clock: Clock,
    pub(super) surroundings: Surroundings,
    /// Loss of the last step of this process.
    pub(super) last_loss: f64,
    /// Last evaluation of this process.
    last_evaluation: Option<EvaluationRecord>,
    checkpoints: Checkpoints<Components<B, O>>,
    processor: SupervisedTrainingEventProcessor<Components<B, O>>,
}

impl<B: AutodiffBackend, O: Objective<B>> Fit<B, O> {
    fn run(&mut self, train: TrainLoader<Components<B, O>>) -> Result<Stopped> {
        if let Some(checkpoint) = self.work.run.checkpoint.take() {
            self.learner = checkpoint.restore(self.learner.clone(), &self.device)?;
        } else {
            // Whatever happens from here on, there is something to resume from; and a full disk shows at once.
            self.checkpoint()?;
        }
        let mut batches = train.iter();
        let TrainingConfig { steps, checkpoint_interval, patience, .. } = self.work.run.recipe.training;
        loop {
            self.watch_surroundings()?;
            if let Some(stopped) = self.asked_to_stop()? {
                self.shut_down(stopped)?;
                return Ok(stopped);
            }
            let due = self.evaluation_is_due();
            if due && !self.evaluate()? {
                // Asked to stop meanwhile: the evaluation stays due.
                continue;
            }
            let step = self.work.state.step;
            if due || (checkpoint_interval > 0 && step.is_multiple_of(checkpoint_interval)) {
                self.checkpoint()?;
            }
            if step >= steps {
                return Ok(Stopped::Finished);
            }
            if patience > 0 && self.work.state.evaluations_since_best >= patience {
                return Ok(Stopped::NoImprovement);
            }
            self.keep_pace();
            self.step(&mut *batches)?;
            if self.early_sample_is_due() {
                self.sample_early()?;
            }
            let count = self.work.state.skipped_in_a_row;
            if count >= MAX_NONFINITE_STEPS {
                let (step, loss) = (self.work.state.step, self.last_loss);
                let grad_norm = loss.is_finite().then(|| self.work.observed.norm());
                let grad_clip = self.work.run.recipe.optimizer.grad_clip;
                return Err(Error::Diverged { count, step, loss, grad_norm, grad_clip });
            }
        }
    }

    fn evaluation_is_due(&self) -> bool {
        let TrainingConfig { steps, eval_interval, .. } = self.work.run.recipe.training;
        let RunState { step, evaluated, .. } = self.work.state;
        let on_time = step > 0 && (step.is_multiple_of(eval_interval) || step >= steps);
        on_time && evaluated != Some(step)
    }

    /// Whether this is a step at which one likes to see how noise turns into words, long before the first evaluation.
    fn early_sample_is_due(&self) -> bool {
        let (step, interval) = (self.work.state.step, self.work.run.recipe.training.eval_interval);
        step < interval && EARLY_SAMPLES.contains(&step)
    }

    /// Hands a record to everyone who wants it.
    pub(super) fn report(&mut self, record: Record) -> Result<()> {
        if let Some(events) = &mut self.work.events {
            events.write(&record)?;
        }
        self.work.metrics.write(&record)?;
        self.work.screen.show(&record);
        let epoch = record.step().div_ceil(self.work.run.recipe.training.eval_interval);
        match record {
            Record::Step(record) => {
                let item = self.item(record, record.step, record.learning_rate);
                self.processor.process_train(LearnerEvent::ProcessedItem(item));
            }
            Record::Evaluation(record) => {
                self.work.state.evaluations += 1;
                self.last_evaluation = Some(record);
                self.processor.process_train(LearnerEvent::EndEpoch(epoch));
                let item = self.item(record, record.step, record.learning_rate);
                self.processor.process_valid(LearnerEvent::ProcessedItem(item));
                self.processor.process_valid(LearnerEvent::EndEpoch(epoch));
            }
        }
        Ok(())
    }

    /// A record as burn-train's events carry it.
    fn item<R>(&self, record: R, step: usize, learning_rate: f64) -> TrainingItem<R> {
        let TrainingConfig { steps, eval_interval, .. } = self.work.run.recipe.training;
        let progress = Progress { items_processed: step, items_total: steps };
        let epochs = Progress {
            items_processed: step.div_ceil(eval_interval),
            items_total: steps.div_ceil(eval_interval),
        };
        TrainingItem::new(record, progress, epochs, Some(step), Some(learning_rate))
    }

    /// Writes and shows what the model wrote.
    pub(super) fn report_sample(&mut self, sample: SampleRecord) -> Result<()> {
        self.work.state.samples += 1;
        self.work.screen.update(|progress| progress.on_sample(sample.step, &sample.text));
        self.work.samples.write(&sample)
    }

    /// Writes a checkpoint, unless there is one of just this moment.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        if self.checkpoints.holds(&self.work.state) {
            return Ok(());
        }
        let Work { run, state, metrics, samples, screen, .. } = &mut self.work;
        run.directory.check()?;
        let started = Instant::now();
        screen.set_status(Status::Saving);
        state.seconds = self.clock.seconds();
        // The lines up to this step must not be newer than the checkpoint, or a resumed run would have a gap.
        metrics.sync()?;
        samples.sync()?;
        self.checkpoints.save(&self.learner, state)?;
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        tracing::info!("checkpoint of step {} written in {milliseconds:.1} ms", state.step);
        screen.update(|progress| {
            progress.on_checkpoint();
            progress.set_status(Status::Training);
        });
        Ok(())
    }

    /// Draws the run's curves and sums it up.
    fn finish(&self, stopped: Stopped) -> Result<Summary> {
        let Work { run, state, .. } = &self.work;
        let title = run.directory.path().display().to_string();
        loss_svg(&run.directory.loss_svg(), &title, &run.directory.history()?, run.floor)?;
        Ok(Summary {
            stopped,
            step: state.step,
            tokens: state.tokens,
            seconds: state.seconds,
            train_loss: self.last_loss,
            last: self.last_evaluation,
            best: state.best,
            skipped: state.skipped,
            trained_parameters: num_trained::<B, _>(&self.learner.model()),
        })
    }
}
