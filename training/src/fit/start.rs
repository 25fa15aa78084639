//! Puts a run together: model, data, optimizer and schedule into burn-train's learner, and out comes a summary.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError, mpsc};

use burn::optim::adaptor::OptimizerAdaptor;
use burn_train::{FileApplicationLoggerInstaller, Learner, SupervisedTraining, TrainingStrategy};
use kiln_datasets::WindowSampler;
use kiln_model::{AutodiffBackend, GptModel};

use super::parts::{Display, Pretraining, Summary};
use super::past::{open_lines, restore_best};
use super::unlogged::Unlogged;
use crate::error::{Error, Result};
use crate::fit::controls::Controls;
use crate::fit::loader::{TrainLoader, ValidLoader};
use crate::fit::strategy::{Components, GptStrategy, Work};
use crate::machine::utilization::Peak;
use crate::run::metrics::{MetricsLine, MetricsWriter, SampleLine, Split};
use crate::run::tensorboard::EventFile;
use crate::view::renderer::{Quantity, Renderer, View};
use crate::view::{Dashboard, Progress, RunInfo};
use crate::{ClipGlobalNorm, LanguageModel, loss_svg};

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
    let events = match training.tensorboard {
        true => Some(EventFile::create(&run.tensorboard(), state.step + 1)?),
        false => None,
    };
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
        sampler: WindowSampler {
            order,
            seed: training.seed,
            batch_size: training.batch_size,
            context_length,
        },
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
        metrics: MetricsWriter { lines: metrics.file, events },
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
    path: PathBuf,
    metrics: PathBuf,
    loss_svg: PathBuf,
    log: PathBuf,
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
