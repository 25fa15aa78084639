//! `kiln train`: from a configuration to a trained model.

mod begin;
mod corpus;
mod place;
mod resume;
mod summary;
mod writer;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use burn_train::Interrupter;
use kiln_datasets::{Dataset, Tokenizer};
use kiln_inference::ModelFiles;
use kiln_model::{AutodiffBackend, GptConfig, GptModel, Precision};
use kiln_training::{Checkpoint, Display, Pretraining, RunDir, Stopped, pretrain};

use self::begin::{begun, discard};
use self::resume::continued;
use self::writer::Writer;
use crate::backend::{TrainingJob, dispatch_training};
use crate::cli::training::Train;
use crate::settings::{DataSource, Settings};
use crate::signals;

/// Stories that a run ends with.
const STORIES: u64 = 3;

pub fn run(args: Train) -> Result<ExitCode> {
    let backend = args.backend.clone();
    crate::backend::check(&backend)?;
    let prepared = if args.resume { continued(&args)? } else { begun(&args)? };
    let folder = prepared.run.path().to_owned();
    let (fresh, data_was_there) = (!args.resume, prepared.data_was_there);
    let display = if args.plain { Display::Plain } else { Display::Auto };
    dispatch_training(&backend, Training { prepared, display }).map_err(|error| {
        if RunDir::holds_run(&folder) {
            return with_a_way_on(error, &folder);
        }
        if fresh {
            // Nothing has been trained: leave no directory that would stand in the way of the next try.
            discard(&folder, data_was_there);
        }
        error
    })
}

/// The error of a run that has a checkpoint, with what to do once the disk, say, is no longer full.
fn with_a_way_on(error: anyhow::Error, folder: &Path) -> anyhow::Error {
    if !error.chain().any(|cause| cause.is::<std::io::Error>()) {
        return error;
    }
    let message = crate::failure::message(&error);
    let resume = format!("kiln train --run-dir {} --resume", folder.display());
    error.context(format!("{message}\nhint: once that is put right, continue with `{resume}`"))
}

/// A run that is ready to train.
struct Prepared {
    settings: Settings,
    config: GptConfig,
    tokenizer: Tokenizer,
    dataset: Dataset,
    run: RunDir,
    floor: Option<f64>,
    start: Start,
    /// Whether the run's folder held token shards before the run.
    data_was_there: bool,
}

/// Where the weights of a run come from.
enum Start {
    /// From the seed.
    Fresh,
    /// From another model.
    Model(ModelFiles),
    /// From a checkpoint of the same run.
    Checkpoint(Checkpoint),
}

/// Names a folder of token shards in full: the run may continue elsewhere.
fn name_in_full(settings: &mut Settings) -> Result<()> {
    if let Some(path) = settings.data.path.as_mut().filter(|path| Dataset::is_in(path)) {
        *path = std::path::absolute(&*path)?;
    }
    Ok(())
}

/// A message to the person at the terminal, who may have left: that is no reason not to train.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// A run, and how it is shown.
struct Training {
    prepared: Prepared,
    display: Display,
}

impl TrainingJob for Training {
    type Output = ExitCode;

    fn run<B: AutodiffBackend>(self, device: B::Device, name: &'static str) -> Result<ExitCode> {
        let Self { prepared, display } = self;
        let Prepared { settings, config, tokenizer, dataset, run, floor, start, .. } = prepared;
        let model: GptModel<B> = match &start {
            Start::Model(files) => {
                files.load(&device)?.with_dropout(config.dropout).with_context_length(config.context_length)
            }
            Start::Fresh | Start::Checkpoint(_) => config.init(settings.training.seed, &device)?,
        };
        let resume = if let Start::Checkpoint(checkpoint) = start { Some(checkpoint) } else { None };
        let folder = run.path().to_owned();
        say(&format!(
            "training {:.2} M parameters on {name}: {} training and {} validation tokens, run directory {}",
            config.num_parameters() as f64 / 1e6,
            dataset.train.len(),
            dataset.valid.len(),
            folder.display()
        ));
        let interrupter = Interrupter::new();
        let received = signals::handle(interrupter.clone())?;
        let writer = Writer { settings: settings.clone(), tokenizer: tokenizer.clone() };
        let summary = pretrain(Pretraining::<B> {
            model,
            tokenizer: tokenizer.clone(),
            dataset,
            order: settings.data.order,
            optimizer: settings.optimizer.clone(),
            schedule: settings.schedule.clone(),
            training: settings.training.clone(),
            run,
            resolved: toml::to_string_pretty(&settings)?,
            resume,
            display,
            backend: name.to_owned(),
            floor,
            sample: Some(Box::new(move |model, stop| writer.write(model, 0, stop))),
            interrupter: interrupter.clone(),
        })?;
        summary::print(&summary, &settings, &folder, floor)?;
        if matches!(summary.stopped, Stopped::Interrupted | Stopped::Quit | Stopped::TimeBudget) {
            say(&format!("continue with: kiln train --run-dir {} --resume", folder.display()));
        }
        if summary.stopped == Stopped::Interrupted {
            return Ok(ExitCode::from(received.exit_code()));
        }
        if summary.best.is_some() {
            let best = kiln_model::load_with_precision::<B::InnerBackend>(
                &folder.join("model"),
                &device,
                Precision::F32,
            )?;
            let writer = Writer { settings: settings.clone(), tokenizer };
            let stories = if settings.data.source == DataSource::Tales { STORIES } else { 1 };
            let mut out = std::io::stdout();
            for seed in 1..=stories {
                let story = writer.write(&best, seed, &mut || interrupter.should_stop());
                if interrupter.should_stop() {
                    return Ok(ExitCode::from(received.exit_code()));
                }
                writeln!(out, "\n{story}")?;
            }
            writeln!(out, "\nmore:  {}", writer.command(&folder))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
