//! The loop: step, evaluate, sample, checkpoint, stop. burn-train's own loop knows epochs only; this one knows steps.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use burn::data::dataloader::Progress;
use burn::optim::adaptor::OptimizerAdaptor;
use burn_train::metric::store::EventStoreClient;
use burn_train::{
    Learner, LearningComponentsMarker, SupervisedLearningStrategy, SupervisedTrainingEventProcessor,
    TrainLoader, TrainingComponents, TrainingItem, ValidLoader,
};
use kiln_datasets::Tokenizer;
use kiln_model::{AutodiffBackend, GptModel};

use crate::error::{Error, Result};
use crate::fit::controls::Controls;
use crate::machine::memory::Usage;
use crate::machine::utilization::Peak;
use crate::recipe::clip::Seen;
use crate::run::checkpoint::{Checkpoint, Checkpoints, RunState};
use crate::run::json_lines::JsonLines;
use crate::run::metrics::MetricsWriter;
use crate::view::Status;
use crate::view::renderer::View;
use crate::{
    AdamW, ClipGlobalNorm, LanguageModel, RunDir, StepOutput, Stopped, TrainingConfig, WarmupCosine,
};

/// The optimizer of a run.
pub(crate) type Optimizer<B> = ClipGlobalNorm<OptimizerAdaptor<AdamW, LanguageModel<B>, B>>;

/// The parts that burn-train's learner is made of.
pub(crate) type Components<B> = LearningComponentsMarker<B, WarmupCosine, LanguageModel<B>, Optimizer<B>>;

/// Steps in a row that may fail to be finite before the run gives up.
const PATIENCE_WITH_INFINITY: usize = 10;

/// Writes a sample with the current model; its second argument says whether to give up.
pub(crate) type Sample<B> = Box<dyn Fn(&Inner<B>, &mut dyn FnMut() -> bool) -> String + Send>;

type Inner<B> = GptModel<<B as burn::tensor::backend::AutodiffBackend>::InnerBackend>;

/// How a run went.
pub(crate) struct Outcome {
    pub(crate) state: RunState,
    pub(crate) stopped: Stopped,
    pub(crate) last_train: f64,
    pub(crate) last_valid: Option<(usize, f64)>,
}

/// What a run works with, beside what the learner brings.
pub(crate) struct Work<B: AutodiffBackend> {
    pub(crate) config: TrainingConfig,
    pub(crate) run: RunDir,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) metrics: MetricsWriter,
    pub(crate) samples: JsonLines,
    pub(crate) view: View,
    pub(crate) controls: Controls,
    pub(crate) sample: Option<Sample<B>>,
    pub(crate) seen: Arc<Seen>,
    /// What the device can do, where it was measured.
    pub(crate) peak: Option<Peak>,
    /// The resolved configuration, for the checkpoints.
    pub(crate) resolved: String,
    /// Where the run continues; `None` for a new one.
    pub(crate) resume: Option<Checkpoint>,
}

/// [`SupervisedLearningStrategy`] for language models: an epoch is `eval_interval` steps.
pub(crate) struct GptStrategy<B: AutodiffBackend> {
    work: Mutex<Option<Work<B>>>,
    outcome: Arc<Mutex<Option<Result<Outcome>>>>,
}

impl<B: AutodiffBackend> GptStrategy<B> {
    /// `outcome` receives how the run went: the trait has no room for errors.
    pub(crate) fn new(work: Work<B>, outcome: Arc<Mutex<Option<Result<Outcome>>>>) -> Self {
        Self { work: Mutex::new(Some(work)), outcome }
    }
}

impl<B: AutodiffBackend> SupervisedLearningStrategy<Components<B>> for GptStrategy<B> {
    fn fit(
        &self,
        components: TrainingComponents<Components<B>>,
        learner: Learner<Components<B>>,
        train: TrainLoader<Components<B>>,
        valid: ValidLoader<Components<B>>,
        _starting_epoch: usize,
    ) -> (LanguageModel<B>, SupervisedTrainingEventProcessor<Components<B>>) {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let work = work.expect("a strategy fits once");
        let (folder, keep) = (work.run.checkpoints(), work.config.keep_checkpoints);
        let state = work.resume.as_ref().map(|checkpoint| checkpoint.state().clone()).unwrap_or_default();
        let mut fit = Fit {
            device: learner.model().gpt.wte.weight.device(),
            learner,
            valid,
            checkpoints: Checkpoints::new(folder, keep, work.resolved.clone()),
            store: components.event_store,
            processor: components.event_processor,
            saved: work.resume.is_some().then_some((state.step, state.evaluated)),
            last_train: f64::NAN,
            last_valid: None,
            started: Instant::now(),
            earlier: state.seconds,
            usage: Usage::default(),
            looked: Instant::now(),
            state,
            work,
        };
        let outcome = fit.run(train).map(|stopped| Outcome {
            state: fit.state.clone(),
            stopped,
            last_train: fit.last_train,
            last_valid: fit.last_valid,
        });
        fit.work.view.update(|progress| progress.set_status(Status::Finished));
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        (fit.learner.model(), fit.processor)
    }
}

/// One run of the loop.
pub(super) struct Fit<B: AutodiffBackend> {
    pub(super) learner: Learner<Components<B>>,
    pub(super) valid: ValidLoader<Components<B>>,
    pub(super) checkpoints: Checkpoints<Components<B>>,
    pub(super) store: Arc<EventStoreClient>,
    pub(super) processor: SupervisedTrainingEventProcessor<Components<B>>,
    pub(super) device: B::Device,
    pub(super) work: Work<B>,
    pub(super) state: RunState,
    /// Step and last evaluation of the newest checkpoint.
    pub(super) saved: Option<(usize, Option<usize>)>,
    pub(super) last_train: f64,
    pub(super) last_valid: Option<(usize, f64)>,
    pub(super) started: Instant,
    /// Seconds spent before this process took over.
    pub(super) earlier: f64,
    pub(super) usage: Usage,
    /// When the run's surroundings were last looked at.
    pub(super) looked: Instant,
}

impl<B: AutodiffBackend> Fit<B> {
    fn run(&mut self, train: TrainLoader<Components<B>>) -> Result<Stopped> {
        if let Some(checkpoint) = &self.work.resume {
            self.learner = checkpoint.restore(self.learner.clone(), &self.device)?;
        } else {
            // Whatever happens from here on, there is something to continue from; and a full disk shows at once.
            self.checkpoint()?;
        }
        let mut windows = train.iter();
        let TrainingConfig { steps, checkpoint_interval, patience, .. } = self.work.config;
        loop {
            self.look_around()?;
            if let Some(stopped) = self.asked_to_stop()? {
                self.leave(stopped)?;
                return Ok(stopped);
            }
            let due = self.evaluation_is_due();
            if due && !self.evaluate()? {
                // Asked to stop meanwhile: the evaluation stays due.
                continue;
            }
            let step = self.state.step;
            if due || (checkpoint_interval > 0 && step.is_multiple_of(checkpoint_interval)) {
                self.checkpoint()?;
            }
            if step >= steps {
                return Ok(Stopped::Finished);
            }
            if patience > 0 && self.state.evaluations_since_best >= patience {
                return Ok(Stopped::NoImprovement);
            }
            self.step(&mut *windows)?;
            let count = self.state.skipped_in_a_row;
            if count >= PATIENCE_WITH_INFINITY {
                let (step, loss, grad_norm) = (self.state.step, self.last_train, self.work.seen.norm());
                return Err(Error::Diverged { count, step, loss, grad_norm });
            }
        }
    }

    fn evaluation_is_due(&self) -> bool {
        let TrainingConfig { steps, eval_interval, .. } = self.work.config;
        let step = self.state.step;
        let on_time = step > 0 && (step.is_multiple_of(eval_interval) || step >= steps);
        on_time && self.state.evaluated != Some(step)
    }

    pub(super) fn checkpoint(&mut self) -> Result<()> {
        let position = (self.state.step, self.state.evaluated);
        if self.saved == Some(position) {
            return Ok(());
        }
        self.work.run.check()?;
        let began = Instant::now();
        self.work.view.update(|progress| progress.set_status(Status::Saving));
        self.state.seconds = self.earlier + self.started.elapsed().as_secs_f64();
        // The lines up to this step must not be newer than the checkpoint, or a resumed run would have a gap.
        self.work.metrics.sync()?;
        self.work.samples.sync()?;
        self.checkpoints.save(&self.learner, &self.state, &self.store)?;
        self.saved = Some(position);
        let milliseconds = began.elapsed().as_secs_f64() * 1e3;
        tracing::info!("checkpoint of step {} written in {milliseconds:.1} ms", self.state.step);
        self.work.view.update(|progress| {
            progress.on_checkpoint();
            progress.set_status(Status::Training);
        });
        Ok(())
    }

    pub(super) fn item(&self, output: StepOutput) -> TrainingItem<StepOutput> {
        let TrainingConfig { steps, eval_interval, .. } = self.work.config;
        let progress = Progress { items_processed: output.step, items_total: steps };
        let epochs = Progress {
            items_processed: output.step.div_ceil(eval_interval),
            items_total: steps.div_ceil(eval_interval),
        };
        let (step, learning_rate) = (output.step, output.learning_rate);
        TrainingItem::new(output, progress, epochs, Some(step), Some(learning_rate))
    }
}

pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
