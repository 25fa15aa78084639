//! Puts a run together: model, data, optimizer and schedule into burn-train's learner, and out comes a summary.

use std::io::{IsTerminal, Write as _};
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError, mpsc};

use burn::module::{AutodiffModule, Module};
use burn::optim::adaptor::OptimizerAdaptor;
use burn_train::logger::MetricLogger;
use burn_train::metric::store::{EpochSummary, MetricsUpdate, Split as MetricSplit};
use burn_train::metric::{MetricDefinition, NumericEntry};
use burn_train::{
    FileApplicationLoggerInstaller, Interrupter, Learner, SupervisedTraining, TrainingStrategy,
};
use kiln_datasets::{Dataset, Order, Sampler, Tokenizer};
use kiln_model::{AutodiffBackend, Dtype, GptModel};
use serde::de::DeserializeOwned;

use crate::checkpoint::{self, Checkpoint};
use crate::controls::Controls;
use crate::dashboard::{Dashboard, Progress, RunInfo};
use crate::error::{Error, Result};
use crate::json_lines::{Found, JsonLines};
use crate::loader::{TrainLoader, ValidLoader};
use crate::metrics::{MetricsLine, SampleLine, Split};
use crate::renderer::{Quantity, Renderer, View};
use crate::strategy::{Components, GptStrategy, Sample, Work};
use crate::utilization::Peak;
use crate::{
    ClipGlobalNorm, LanguageModel, OptimizerConfig, RunDir, ScheduleConfig, TrainingConfig, loss_svg,
};

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Display {
    /// The dashboard on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// Nothing.
    Quiet,
}

/// Everything a pretraining run is made of.
pub struct Pretraining<B: AutodiffBackend> {
    /// The model to train.
    pub model: GptModel<B>,
    /// Writes the text that the model reads; saved beside it.
    pub tokenizer: Tokenizer,
    /// Training and validation split.
    pub dataset: Dataset,
    /// How windows follow each other.
    pub order: Order,
    /// AdamW's numbers.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the run.
    pub schedule: ScheduleConfig,
    /// Steps, batch, evaluation.
    pub training: TrainingConfig,
    /// Where the run is written.
    pub run: RunDir,
    /// The resolved configuration as text: each checkpoint keeps it.
    pub resolved: String,
    /// Where to continue, of [`RunDir::newest_checkpoint`]; `None` begins a new run.
    pub resume: Option<Checkpoint>,
    /// How it is shown.
    pub display: Display,
    /// What the backend is called, for people.
    pub backend: String,
    /// A loss that no model can beat, if the corpus knows one.
    pub floor: Option<f64>,
    /// Writes a text with the current model, at each evaluation; gives up when its second argument says so.
    pub sample: Option<Sample<B>>,
    /// Stops the run from outside, with a checkpoint.
    pub interrupter: Interrupter,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All steps are done.
    Finished,
    /// The validation loss has not improved for `training.patience` evaluations.
    NoImprovement,
    /// `training.max_minutes` are over.
    TimeBudget,
    /// Someone pressed `q`.
    Quit,
    /// A signal, or Control-C.
    Interrupted,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Why it ended.
    pub stopped: Stopped,
    /// Updates done.
    pub step: usize,
    /// Training tokens seen.
    pub tokens: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Loss of the last step.
    pub train_loss: f64,
    /// Last evaluation of this process: step and loss.
    pub last: Option<(usize, f64)>,
    /// Best evaluation: step and loss.
    pub best: Option<(usize, f64)>,
    /// Steps left out because something was not finite.
    pub skipped: usize,
}

/// Trains until the steps are done, a limit is reached, or someone asks to stop.
///
/// # Errors
///
/// What cannot be used is refused before anything is written. Later, [`Error::Io`] when the disk is full or gone, and
/// [`Error::Diverged`] when losses stop being finite; the last checkpoint stays.
pub fn pretrain<B: AutodiffBackend>(parts: Pretraining<B>) -> Result<Summary> {
    let Pretraining { model, tokenizer, dataset, order, optimizer, schedule, training, run, resume, .. } =
        parts;
    optimizer.validate()?;
    schedule.validate(&optimizer)?;
    training.validate()?;
    let context_length = model.config().context_length;
    dataset.check(context_length)?;
    std::fs::create_dir_all(run.checkpoints()).map_err(Error::io(run.checkpoints()))?;
    tokenizer.save(&run.model())?;
    if let Some(checkpoint) = &resume {
        restore_best(&run, checkpoint, &model, tokenizer.end_of_text())?;
    }

    let state = resume.as_ref().map(|checkpoint| checkpoint.state().clone()).unwrap_or_default();
    let evaluated = state.evaluated.unwrap_or_default();
    let metrics = open_lines(&run.metrics(), |line: &MetricsLine| match line.split {
        Split::Train => line.step <= state.step,
        Split::Valid => line.step <= evaluated,
    })?;
    let samples = open_lines(&run.samples(), |line: &SampleLine| line.step <= evaluated)?;
    let mut progress = Progress::new(RunInfo {
        total_steps: training.steps as u64,
        model: describe(&model),
        backend: parts.backend,
        run_dir: run.path().to_owned(),
        floor: parts.floor,
    });
    let history = &metrics.kept;
    let skipped = state.skipped as u64;
    progress.resume(state.tokens, skipped, curve(history, Split::Train), curve(history, Split::Valid));
    if let Some(sample) = samples.kept.last() {
        progress.on_sample(sample.step as u64, &sample.text);
    }
    let dashboard_wanted = parts.display == Display::Auto && std::io::stderr().is_terminal();
    let view = View::new(progress, parts.display != Display::Quiet && !dashboard_wanted);
    let (sender, keys) = mpsc::channel();
    let dashboard = match dashboard_wanted {
        true => Some(Dashboard::start(Arc::clone(&view.progress), sender).map_err(Error::io(run.path()))?),
        false => None,
    };
    let device = model.wte.weight.device();
    let peak = dashboard_wanted.then(|| Peak::measure::<B::InnerBackend>(model.config(), &device));

    let train = TrainLoader {
        shard: Arc::new(dataset.train),
        sampler: Sampler { order, seed: training.seed, batch_size: training.batch_size, context_length },
        grad_accumulation: training.grad_accumulation,
        micro_batch: training.micro_batch(),
        steps: training.steps,
        next: Arc::new(AtomicUsize::new(state.step)),
    };
    let valid =
        ValidLoader { shard: Arc::new(dataset.valid), batch_size: training.batch_size, context_length };
    let clipped = ClipGlobalNorm::new(OptimizerAdaptor::from(optimizer.adamw()), optimizer.grad_clip);
    let scheduler = schedule.scheduler(&optimizer, training.steps);
    let outcome = Arc::default();
    let tokens = state.tokens;
    let files = RunFiles {
        metrics: run.metrics(),
        loss_svg: run.loss_svg(),
        log: run.log(),
        path: run.path().to_owned(),
    };
    let work = Work {
        config: training,
        run,
        tokenizer,
        metrics: metrics.file,
        samples: samples.file,
        view: view.clone(),
        controls: Controls::new(keys, parts.interrupter.clone()),
        sample: parts.sample,
        seen: clipped.seen(),
        peak,
        resolved: parts.resolved,
        resume,
    };
    let strategy = GptStrategy::new(work, Arc::clone(&outcome));

    let learning = SupervisedTraining::<Components<B>>::new(&files.path, Arc::new(train), Arc::new(valid))
        .metric_train_numeric(Quantity::loss())
        .metric_train_numeric(Quantity::learning_rate())
        .metric_train_numeric(Quantity::grad_norm())
        .metric_train_numeric(Quantity::tokens())
        .metric_valid_numeric(Quantity::loss())
        .with_metric_logger(Unlogged)
        .with_application_logger(Some(Box::new(FileApplicationLoggerInstaller::new(&files.log))))
        .with_interrupter(parts.interrupter)
        .renderer(Renderer::new(view, tokens))
        .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)));
    let result = learning.launch(Learner::new(LanguageModel { gpt: model }, clipped, scheduler));
    drop(result);
    drop(dashboard);

    let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    let outcome = outcome.expect("launch runs the strategy to its end")?;
    files.draw(parts.floor)?;
    Ok(Summary {
        stopped: outcome.stopped,
        step: outcome.state.step,
        tokens: outcome.state.tokens,
        seconds: outcome.state.seconds,
        train_loss: outcome.last_train,
        last: outcome.last_valid,
        best: outcome.state.best,
        skipped: outcome.state.skipped,
    })
}

/// Files of the run that are needed once the strategy owns its directory.
struct RunFiles {
    path: std::path::PathBuf,
    metrics: std::path::PathBuf,
    loss_svg: std::path::PathBuf,
    log: std::path::PathBuf,
}

impl RunFiles {
    /// Draws `loss.svg` from `metrics.jsonl`.
    fn draw(&self, floor: Option<f64>) -> Result<()> {
        let lines = MetricsLine::read(&self.metrics)?;
        let train: Vec<_> = curve(&lines, Split::Train).collect();
        let valid: Vec<_> = curve(&lines, Split::Valid).collect();
        let rates: Vec<_> = lines
            .iter()
            .filter(|line| line.split == Split::Train)
            .map(|line| (line.step as u64, line.learning_rate))
            .collect();
        let title = self.path.display().to_string();
        loss_svg(&self.loss_svg, &title, &train, &valid, floor, &rates).map_err(Error::io(&self.loss_svg))
    }
}

/// Writes `model/` anew from the checkpoint of the best evaluation: what lies there may be gone, or of an evaluation
/// that the checkpoint does not know of.
fn restore_best<B: AutodiffBackend>(
    run: &RunDir,
    checkpoint: &Checkpoint,
    model: &GptModel<B>,
    end_of_text: Option<u32>,
) -> Result<()> {
    let Some((step, _)) = checkpoint.state().best else { return Ok(()) };
    let damaged = |path: &Path, reason: &str| warn(&format!("{}: {reason}", path.display()));
    let Some(best) = checkpoint::newest(&run.checkpoints(), Some(step), damaged)? else {
        warn(&format!(
            "the checkpoint of the best evaluation, step {step}, is not there; model/ stays as it is"
        ));
        return Ok(());
    };
    let device = model.wte.weight.device();
    let best = LanguageModel { gpt: model.clone() }.load_record(best.model::<_, B>(&device)?).valid();
    Ok(kiln_model::save(&best.gpt, &run.model(), Dtype::F32, end_of_text)?)
}

fn open_lines<T: DeserializeOwned>(path: &Path, keep: impl Fn(&T) -> bool) -> Result<Found<T>> {
    let found = JsonLines::open(path, keep)?;
    for number in &found.damaged {
        warn(&format!("{}:{number}: not a line that this program wrote; it is left out", path.display()));
    }
    Ok(found)
}

/// Says something before the run begins: to the person, and to the log.
fn warn(message: &str) {
    tracing::warn!("{message}");
    // Someone may have closed standard error; that is no reason not to train.
    let _ = writeln!(std::io::stderr(), "warning: {message}");
}

fn curve(lines: &[MetricsLine], split: Split) -> impl Iterator<Item = (u64, f64)> + '_ {
    lines
        .iter()
        .filter(move |line| line.split == split)
        .filter_map(|line| Some((line.step as u64, line.loss?)))
}

fn describe<B: AutodiffBackend>(model: &GptModel<B>) -> String {
    let config = model.config();
    let millions = config.num_parameters() as f64 / 1e6;
    format!("{millions:.2} M parameters, {} layers × {}", config.n_layers, config.d_model)
}

/// `metrics.jsonl` is written by the loop, in order and in step with the checkpoints; burn-train's logger, which works
/// behind two queues, has nothing to add to it.
struct Unlogged;

impl MetricLogger for Unlogged {
    fn log(&mut self, _update: MetricsUpdate, _epoch: usize, _split: &MetricSplit) {}

    fn read_numeric(
        &mut self,
        _name: &str,
        _epoch: usize,
        _split: &MetricSplit,
    ) -> std::result::Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, _definition: MetricDefinition) {}

    fn log_epoch_summary(&mut self, _summary: EpochSummary) {}
}
