//! The loop: step, evaluate, sample, checkpoint, stop. burn-train's own loop knows epochs only; this one knows steps.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn_train::metric::store::EventStoreClient;
use burn_train::{
    EventProcessorTraining, InferenceStep, Learner, LearnerEvent, LearningComponentsMarker,
    SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents,
    TrainingItem, ValidLoader,
};
use kiln_datasets::{Tokenizer, mix};
use kiln_model::{AutodiffBackend, Dtype, GptModel};

use crate::checkpoint::{Checkpoint, Checkpoints, RunState};
use crate::clip::Seen;
use crate::controls::Controls;
use crate::dashboard::Status;
use crate::error::{Error, Result};
use crate::json_lines::JsonLines;
use crate::memory::Usage;
use crate::metrics::{MetricsLine, SampleLine, Split};
use crate::renderer::View;
use crate::utilization::Peak;
use crate::{
    AdamW, ClipGlobalNorm, LanguageModel, RunDir, StepOutput, Stopped, TrainingConfig, WarmupCosine,
};

/// The optimizer of a run.
pub(crate) type Optimizer<B> = ClipGlobalNorm<OptimizerAdaptor<AdamW, LanguageModel<B>, B>>;

/// The parts that burn-train's learner is made of.
pub(crate) type Components<B> = LearningComponentsMarker<B, WarmupCosine, LanguageModel<B>, Optimizer<B>>;

/// Steps in a row that may fail to be finite before the run gives up.
const PATIENCE_WITH_INFINITY: usize = 10;

/// How often a paused run looks for the key that continues it.
const PAUSE_POLL: Duration = Duration::from_millis(100);

/// How often the run looks at what surrounds it.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// Keeps the random numbers of dropout apart from those of the data order.
const DROPOUT_SEED: u64 = 0x6B69_6C6E;

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
    pub(crate) metrics: JsonLines,
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
struct Fit<B: AutodiffBackend> {
    learner: Learner<Components<B>>,
    valid: ValidLoader<Components<B>>,
    checkpoints: Checkpoints<Components<B>>,
    store: Arc<EventStoreClient>,
    processor: SupervisedTrainingEventProcessor<Components<B>>,
    device: B::Device,
    work: Work<B>,
    state: RunState,
    /// Step and last evaluation of the newest checkpoint.
    saved: Option<(usize, Option<usize>)>,
    last_train: f64,
    last_valid: Option<(usize, f64)>,
    started: Instant,
    /// Seconds spent before this process took over.
    earlier: f64,
    usage: Usage,
    /// When the run's surroundings were last looked at.
    looked: Instant,
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

    /// The last things before a run ends early.
    fn leave(&mut self, stopped: Stopped) -> Result<()> {
        self.work.view.update(|progress| progress.set_status(Status::Stopping));
        if stopped == Stopped::TimeBudget && self.state.evaluated != Some(self.state.step) {
            self.evaluate()?;
        }
        self.checkpoint()?;
        if self.state.best.is_none() && self.state.step > 0 {
            // Without an evaluation there is no best model, but something to try out.
            self.save_model()?;
        }
        Ok(())
    }

    /// One optimizer update, left out if something is not finite.
    fn step(&mut self, windows: &mut dyn DataLoaderIterator<crate::MicroBatches>) -> Result<()> {
        let began = Instant::now();
        let Work { config, seen, view, metrics, peak, .. } = &mut self.work;
        let state = &mut self.state;
        let batches = windows.next().expect("the loader has as many items as the run has steps");
        let tokens: usize = batches.0.iter().map(kiln_datasets::Batch::num_tokens).sum();
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

    /// Loss over the validation split, best model, and a sample; `false` if asked to stop meanwhile, and then nothing
    /// of it has happened.
    fn evaluate(&mut self) -> Result<bool> {
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

    fn save_model(&self) -> Result<()> {
        self.work.view.update(|progress| progress.set_status(Status::Saving));
        let model = self.learner.model().valid();
        let end_of_text = self.work.tokenizer.end_of_text();
        Ok(kiln_model::save(&model.gpt, &self.work.run.model(), Dtype::F32, end_of_text)?)
    }

    fn checkpoint(&mut self) -> Result<()> {
        let position = (self.state.step, self.state.evaluated);
        if self.saved == Some(position) {
            return Ok(());
        }
        self.work.run.check()?;
        self.work.view.update(|progress| progress.set_status(Status::Saving));
        self.state.seconds = self.earlier + self.started.elapsed().as_secs_f64();
        // The lines up to this step must not be newer than the checkpoint, or a resumed run would have a gap.
        self.work.metrics.sync()?;
        self.work.samples.sync()?;
        self.checkpoints.save(&self.learner, &self.state, &self.store)?;
        self.saved = Some(position);
        self.work.view.update(|progress| {
            progress.on_checkpoint();
            progress.set_status(Status::Training);
        });
        Ok(())
    }

    /// Keys, signals and the time budget.
    fn asked_to_stop(&mut self) -> Result<Option<Stopped>> {
        let mut waiting = false;
        loop {
            if let Some(stopped) = self.work.controls.stop() {
                return Ok(Some(stopped));
            }
            if self.work.controls.take_save() {
                self.checkpoint()?;
            }
            let minutes = self.work.config.max_minutes;
            if minutes > 0.0 && self.started.elapsed().as_secs_f64() >= minutes * 60.0 {
                return Ok(Some(Stopped::TimeBudget));
            }
            if self.work.controls.paused() {
                self.work.view.update(|progress| progress.set_status(Status::Paused));
                waiting = true;
                std::thread::sleep(PAUSE_POLL);
            } else {
                if waiting {
                    self.work.view.update(|progress| progress.set_status(Status::Training));
                }
                return Ok(None);
            }
        }
    }

    /// Now and then: whether the run directory is still there, and how much memory is in use.
    fn look_around(&mut self) -> Result<()> {
        if self.looked.elapsed() < LOOK_AROUND {
            return Ok(());
        }
        self.looked = Instant::now();
        self.work.run.check()?;
        let bytes = self.usage.bytes();
        self.work.view.update(|progress| progress.set_memory(bytes));
        Ok(())
    }

    fn item(&self, output: StepOutput) -> TrainingItem<StepOutput> {
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

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
