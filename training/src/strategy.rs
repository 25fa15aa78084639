//! The loop: step, evaluate, sample, checkpoint, stop. burn-train's own loop knows epochs only; this one knows steps.

use std::io::Write as _;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn_train::metric::store::EventStoreClient;
use burn_train::{
    EventProcessorTraining, InferenceStep, Interrupter, Learner, LearnerEvent, LearningComponentsMarker,
    SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents,
    TrainingItem, ValidLoader,
};
use kiln_datasets::{Tokenizer, mix};
use kiln_model::{AutodiffBackend, Dtype, GptModel};

use crate::checkpoint::{Checkpoints, RunState};
use crate::clip::Seen;
use crate::dashboard::{Command, Status};
use crate::error::{Error, Result};
use crate::metrics::{MetricsFile, MetricsLine, Split};
use crate::renderer::View;
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

/// Keeps the random numbers of dropout apart from those of the data order.
const DROPOUT_SEED: u64 = 0x6B69_6C6E;

/// Writes a sample with the current model.
pub(crate) type Sample<B> =
    Box<dyn Fn(&GptModel<<B as burn::tensor::backend::AutodiffBackend>::InnerBackend>) -> String + Send>;

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
    pub(crate) metrics: MetricsFile,
    pub(crate) view: View,
    pub(crate) commands: Receiver<Command>,
    pub(crate) sample: Option<Sample<B>>,
    pub(crate) seen: Arc<Seen>,
    /// Where the run stands; all zero for a new one.
    pub(crate) state: RunState,
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
        let checkpoints = Checkpoints::new(work.run.checkpoints(), work.config.keep_checkpoints);
        let mut fit = Fit {
            device: learner.model().gpt.wte.weight.device(),
            learner,
            valid,
            checkpoints,
            store: components.event_store,
            interrupter: components.interrupter,
            processor: components.event_processor,
            saved: work.state.step,
            last_train: f64::NAN,
            last_valid: None,
            started: Instant::now(),
            earlier: work.state.seconds,
            work,
        };
        if fit.work.state.step > 0 {
            fit.learner = fit.checkpoints.restore(fit.learner, &fit.device, fit.work.state.step);
        }
        let outcome = fit.run(train).map(|stopped| Outcome {
            state: fit.work.state.clone(),
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
    interrupter: Interrupter,
    processor: SupervisedTrainingEventProcessor<Components<B>>,
    device: B::Device,
    work: Work<B>,
    /// Step of the newest checkpoint.
    saved: usize,
    last_train: f64,
    last_valid: Option<(usize, f64)>,
    started: Instant,
    /// Seconds spent before this process took over.
    earlier: f64,
}

impl<B: AutodiffBackend> Fit<B> {
    fn run(&mut self, train: TrainLoader<Components<B>>) -> Result<Stopped> {
        let mut windows = train.iter();
        let TrainingConfig { steps, eval_interval, checkpoint_interval, patience, .. } = self.work.config;
        let mut not_finite = 0;
        while self.work.state.step < steps {
            if let Some(stopped) = self.asked_to_stop()? {
                if stopped == Stopped::TimeBudget
                    && self.last_valid.is_none_or(|(step, _)| step < self.work.state.step)
                {
                    self.evaluate()?;
                }
                self.checkpoint()?;
                return Ok(stopped);
            }
            not_finite = if self.step(&mut *windows)? { 0 } else { not_finite + 1 };
            let step = self.work.state.step;
            if not_finite == PATIENCE_WITH_INFINITY {
                let grad_norm = self.work.seen.norm();
                return Err(Error::Diverged { count: not_finite, step, loss: self.last_train, grad_norm });
            }
            let evaluate = step.is_multiple_of(eval_interval) || step == steps;
            if evaluate {
                self.evaluate()?;
            }
            if evaluate || (checkpoint_interval > 0 && step.is_multiple_of(checkpoint_interval)) {
                self.checkpoint()?;
            }
            if patience > 0 && self.work.state.evaluations_since_best >= patience {
                return Ok(Stopped::NoImprovement);
            }
        }
        Ok(Stopped::Finished)
    }

    /// One optimizer update; `false` if it was left out because something was not finite.
    fn step(&mut self, windows: &mut dyn DataLoaderIterator<crate::MicroBatches>) -> Result<bool> {
        let began = Instant::now();
        let Work { config, state, seen, view, metrics, .. } = &mut self.work;
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
        if !updated {
            state.skipped += 1;
            view.update(|progress| progress.on_skipped_step());
        }
        self.last_train = loss;
        let learning_rate = self.learner.lr_current();
        metrics.write(&MetricsLine {
            step: state.step,
            split: Split::Train,
            loss: finite(loss),
            tokens: state.tokens,
            tokens_per_second: tokens as f64 / began.elapsed().as_secs_f64(),
            learning_rate,
            grad_norm: Some(finite(grad_norm)),
            seconds: state.seconds,
        })?;
        let item = StepOutput { step: state.step, loss, grad_norm, learning_rate, tokens: state.tokens };
        let item = self.item(item);
        self.processor.process_train(LearnerEvent::ProcessedItem(item));
        Ok(updated)
    }

    /// Loss over the validation split, best model, and a sample.
    fn evaluate(&mut self) -> Result<()> {
        let model = self.learner.model().valid();
        let step = self.work.state.step;
        let epoch = step.div_ceil(self.work.config.eval_interval);
        self.processor.process_train(LearnerEvent::EndEpoch(epoch));
        let began = Instant::now();
        let Some((loss, tokens)) = self.validation_loss(&model) else { return Ok(()) };
        self.last_valid = Some((step, loss));
        let learning_rate = self.learner.lr_current();
        let state = &mut self.work.state;
        self.work.metrics.write(&MetricsLine {
            step,
            split: Split::Valid,
            loss: finite(loss),
            tokens: state.tokens,
            tokens_per_second: tokens as f64 / began.elapsed().as_secs_f64(),
            learning_rate,
            grad_norm: None,
            seconds: self.earlier + self.started.elapsed().as_secs_f64(),
        })?;
        if loss.is_finite() && state.best.is_none_or(|(_, best)| loss < best) {
            state.best = Some((step, loss));
            state.evaluations_since_best = 0;
            let (folder, end_of_text) = (self.work.run.model(), self.work.tokenizer.end_of_text());
            self.work.view.update(|progress| progress.set_status(Status::Saving));
            kiln_model::save(&model.gpt, &folder, Dtype::F32, end_of_text)?;
        } else {
            state.evaluations_since_best += 1;
        }
        let tokens = state.tokens;
        let item = self.item(StepOutput { step, loss, learning_rate, tokens, grad_norm: f64::NAN });
        self.processor.process_valid(LearnerEvent::ProcessedItem(item));
        self.processor.process_valid(LearnerEvent::EndEpoch(epoch));
        self.sample(&model)?;
        self.work.view.update(|progress| progress.set_status(Status::Training));
        Ok(())
    }

    /// Mean loss and number of tokens; `None` if asked to stop meanwhile.
    fn validation_loss(&self, model: &LanguageModel<B::InnerBackend>) -> Option<(f64, usize)> {
        let batches = self.valid.num_items();
        let limit = self.work.config.eval_batches;
        let total = if limit == 0 { batches } else { limit.min(batches) };
        let (mut sum, mut tokens) = (0.0, 0);
        for (done, batch) in self.valid.iter().take(total).enumerate() {
            if self.interrupter.should_stop() {
                return None;
            }
            let status = Status::Evaluating { done: done as u64, total: total as u64 };
            self.work.view.update(|progress| progress.set_status(status));
            let count = batch.num_tokens();
            sum += model.step(batch).loss * count as f64;
            tokens += count;
        }
        Some((sum / tokens as f64, tokens))
    }

    fn sample(&mut self, model: &LanguageModel<B::InnerBackend>) -> Result<()> {
        let Some(sample) = &self.work.sample else { return Ok(()) };
        self.work.view.update(|progress| progress.set_status(Status::Sampling));
        let (step, text) = (self.work.state.step, sample(&model.gpt));
        let path = self.work.run.samples();
        let line = serde_json::json!({ "step": step, "text": text });
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        writeln!(file, "{line}").map_err(Error::io(&path))?;
        self.work.view.update(|progress| progress.on_sample(step as u64, &text));
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        if self.saved == self.work.state.step {
            return Ok(());
        }
        self.work.view.update(|progress| progress.set_status(Status::Saving));
        self.work.state.seconds = self.earlier + self.started.elapsed().as_secs_f64();
        // The lines up to this step must not be newer than the checkpoint, or a resumed run would have a gap.
        self.work.metrics.sync()?;
        self.checkpoints.save(&self.learner, &self.work.state, &self.store)?;
        self.saved = self.work.state.step;
        self.work.view.update(|progress| {
            progress.on_checkpoint();
            progress.set_status(Status::Training);
        });
        Ok(())
    }

    /// Keys, signals and the time budget.
    fn asked_to_stop(&mut self) -> Result<Option<Stopped>> {
        let mut paused = false;
        loop {
            while let Ok(command) = self.work.commands.try_recv() {
                match command {
                    Command::Save => self.checkpoint()?,
                    Command::Pause => paused = !paused,
                    Command::Quit => return Ok(Some(Stopped::Quit)),
                    Command::Interrupt => return Ok(Some(Stopped::Interrupted)),
                }
                let status = if paused { Status::Paused } else { Status::Training };
                self.work.view.update(|progress| progress.set_status(status));
            }
            if self.interrupter.should_stop() {
                return Ok(Some(Stopped::Interrupted));
            }
            let minutes = self.work.config.max_minutes;
            if minutes > 0.0 && self.started.elapsed().as_secs_f64() >= minutes * 60.0 {
                return Ok(Some(Stopped::TimeBudget));
            }
            if !paused {
                return Ok(None);
            }
            std::thread::sleep(PAUSE_POLL);
        }
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
