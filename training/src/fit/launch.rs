//! Opens what a run needs and launches burn-train's learner on it.

use std::io::Write as _;
use std::ops::Deref as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use burn::module::{AutodiffModule, Module};
use burn_train::{FileApplicationLoggerInstaller, Learner, SupervisedTraining, TrainingStrategy};
use kiln_model::AutodiffBackend;
use serde::de::DeserializeOwned;

use super::controls::Controls;
use super::events;
use super::loader::{StepLoader, ValidationLoader};
use super::run::{Run, Summary};
use super::strategy::{Components, Strategy, Work};
use crate::error::{Error, Result};
use crate::machine::peak_tokens_per_second;
use crate::objective::Objective;
use crate::recipe::{ClipGlobalNorm, ObservedNorm, Recipe, WarmupDecay, freeze};
use crate::run::{
    EventFile, Found, History, JsonLines, Record, RunDir, RunState, SampleRecord, ValidationText,
};
use crate::view::{Progress, RunInfo, Screen};

/// Trains `model` on `objective` until the steps are done, a limit is reached, or someone asks to stop.
///
/// # Errors
///
/// What cannot be used is refused before anything is written. Later, [`Error::Io`] when the disk is full or gone, and
/// [`Error::Diverged`] when losses stop being finite; the last checkpoint stays.
pub fn train<B: AutodiffBackend, O: Objective<B>>(
    objective: O,
    model: O::Module,
    run: Run,
) -> Result<Summary> {
    run.recipe.validate()?;
    let parameters = objective.parameters(&model);
    let model = freeze(model, &parameters, &run.recipe.training.freeze)?;
    prepare_directory(&objective, &model, &run)?;

    let Recipe { optimizer, schedule, training } = run.recipe.clone();
    let clipped = ClipGlobalNorm::new(optimizer.by_role().init(), optimizer.grad_clip);
    let schedule = schedule.scheduler(&optimizer, training.steps);
    let (view, log) = (run.directory.deref().clone(), run.directory.log());
    view.set_failure(None);
    let path = view.path().to_owned();
    let work = open(Arc::new(objective), &model, run, clipped.observed(), schedule.clone())?;
    let steps = StepLoader {
        objective: Arc::clone(&work.objective),
        micro_batch: training.micro_batch(),
        steps: training.steps,
        next: Arc::new(AtomicUsize::new(work.state.step)),
    };
    let validation = ValidationLoader::new(Arc::clone(&work.objective));
    let strategy = Strategy::new(work);
    let summary = strategy.summary();
    let learning = SupervisedTraining::<Components<B, O>>::new(path, Arc::new(steps), Arc::new(validation))
        .with_application_logger(Some(Box::new(FileApplicationLoggerInstaller::new(log))))
        .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)));
    drop(events::register::<B, O>(learning).launch(Learner::new(model, clipped, schedule)));
    summary.take().inspect_err(|error| view.set_failure(Some(error)))
}

/// Writes what is in the run directory before the first step.
fn prepare_directory<B: AutodiffBackend, O: Objective<B>>(
    objective: &O,
    model: &O::Module,
    run: &Run,
) -> Result<()> {
    let checkpoints = run.directory.checkpoints();
    std::fs::create_dir_all(&checkpoints).map_err(Error::io(checkpoints))?;
    objective.save_tokenizer(&run.directory.model())?;
    if let Some(text) = objective.validation_text() {
        ValidationText { floor: run.floor, ..text }.write(&run.directory.validation_file())?;
    }
    restore_best(objective, model, run)
}

/// Writes `model/` anew from the checkpoint of the best evaluation: what lies there may be gone, or of an evaluation
/// that the checkpoint does not know of.
fn restore_best<B: AutodiffBackend, O: Objective<B>>(
    objective: &O,
    model: &O::Module,
    run: &Run,
) -> Result<()> {
    let best = run.checkpoint.as_ref().and_then(|checkpoint| checkpoint.state().best);
    let Some((step, _)) = best else { return Ok(()) };
    let damaged = |path: &Path, reason: &str| warn(&format!("{}: {reason}", path.display()));
    let Some(best) = run.directory.checkpoint_at(step, damaged)? else {
        warn(&format!(
            "the checkpoint of the best evaluation, step {step}, is not there; model/ stays as it is"
        ));
        return Ok(());
    };
    let best = best.model::<B, _>(model.clone(), &device::<B, _>(model))?;
    objective.save_model(&best.valid(), &run.directory.model())
}

/// Opens the run's files and its screen.
fn open<B: AutodiffBackend, O: Objective<B>>(
    objective: Arc<O>,
    model: &O::Module,
    run: Run,
    observed: Arc<ObservedNorm>,
    schedule: WarmupDecay,
) -> Result<Work<O>> {
    let directory = &run.directory;
    let state = run.checkpoint.as_ref().map(|checkpoint| checkpoint.state().clone()).unwrap_or_default();
    schedule.decay().set(state.decay);
    let evaluated = state.evaluated.unwrap_or_default();
    let metrics = open_lines(&directory.metrics(), |record: &Record| match record {
        Record::Step(record) => record.step <= state.step,
        Record::Evaluation(record) => record.step <= evaluated,
    })?;
    let samples = open_lines(&directory.samples_file(), |sample: &SampleRecord| {
        let early = sample.step < run.recipe.training.eval_interval;
        sample.step <= if early { state.step } else { evaluated }
    })?;
    let events = match run.recipe.training.tensorboard {
        true => Some(EventFile::create(&directory.tensorboard(), state.step + 1)?),
        false => None,
    };
    let history: History = metrics.kept.into_iter().collect();
    warn_of_gaps(directory, &state, &history, samples.kept.len());
    let progress = progress(&run, objective.describe(model), &state, &history, samples.kept.last());
    let (mut screen, keys) = Screen::open(progress, run.frontend).map_err(Error::io(directory.path()))?;
    if screen.is_dashboard() {
        let (flops, precision) = (objective.flops_per_token(model), run.recipe.training.precision);
        let peak = peak_tokens_per_second::<B::InnerBackend>(flops, precision, &device::<B, _>(model));
        screen.update(|progress| progress.set_peak(peak));
    }
    let controls = Controls::new(keys, run.stop.clone());
    let (metrics, samples) = (metrics.file, samples.file);
    Ok(Work { objective, run, state, metrics, events, samples, screen, controls, observed, schedule })
}

/// Says what a resumed run has measured and its files no longer have.
fn warn_of_gaps(directory: &RunDir, state: &RunState, history: &History, samples: usize) {
    let (metrics_file, samples_file) = (directory.metrics(), directory.samples_file());
    for (first, last) in history.missing_steps(state.step) {
        let steps =
            if first == last { format!("step {first} is") } else { format!("steps {first} to {last} are") };
        warn(&format!("{}: {steps} missing; the curves have a gap there", metrics_file.display()));
    }
    let counts = [
        ("evaluations", &metrics_file, state.evaluations, history.evaluations.len()),
        ("samples", &samples_file, state.samples, samples),
    ];
    for (what, path, written, found) in counts {
        if found < written {
            warn(&format!("{}: {} of {written} {what} are missing", path.display(), written - found));
        }
    }
}

/// What a person sees first: what a resumed run has behind it.
fn progress(
    run: &Run,
    model: String,
    state: &RunState,
    history: &History,
    sample: Option<&SampleRecord>,
) -> Progress {
    let mut progress = Progress::new(RunInfo {
        total_steps: run.recipe.training.steps,
        time_limit: run.recipe.training.time_limit(),
        model,
        backend: run.backend.clone(),
        run_dir: run.directory.path().to_owned(),
        floor: run.floor,
        part: run.part,
    });
    progress.resume(history, state.tokens, state.skipped);
    if let Some(sample) = sample {
        progress.on_sample(sample.step, &sample.text);
    }
    progress
}

/// Opens a file of lines and says which of them are damaged; those that `keep` refuses are taken back.
fn open_lines<T: DeserializeOwned>(path: &Path, keep: impl Fn(&T) -> bool) -> Result<Found<T>> {
    let found = JsonLines::open(path, keep)?;
    for number in &found.damaged {
        warn(&format!("{}:{number}: not a line that this program wrote; it is left out", path.display()));
    }
    Ok(found)
}

/// Tells the person and the log something before the run starts.
fn warn(message: &str) {
    tracing::warn!("{message}");
    // Someone may have closed standard error; that is no reason not to train.
    let _ = writeln!(std::io::stderr(), "warning: {message}");
}

/// Where the module lives.
pub(super) fn device<B: AutodiffBackend, M: Module<B>>(module: &M) -> B::Device {
    module.devices().swap_remove(0)
}
