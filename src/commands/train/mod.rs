//! `kiln train`: from a configuration to a trained model.

pub(super) mod corpus;
mod job;
mod judged;
mod new_run;
mod own_text;
mod resume;
mod summary;
mod writer;

use std::process::ExitCode;

use anyhow::Result;
use kiln_datasets::{Dataset, Tokenizer};
use kiln_inference::ModelFiles;
use kiln_model::GptConfig;
use kiln_training::{Checkpoint, Frontend, MemoryPlan, RunDir};

use self::job::Training;
use crate::backend::dispatch_training;
use crate::cli::training::Train;
use crate::commands::run_folder;
use crate::output::print_message;
use crate::settings::{Origin, Settings};

pub fn run(args: Train) -> Result<ExitCode> {
    crate::backend::check(&args.backend)?;
    let prepared = if args.resume { Some(resume::prepare(&args)?) } else { new_run::prepare(&args)? };
    let Some(prepared) = prepared else { return Ok(ExitCode::SUCCESS) };
    let folder = prepared.run.path().to_owned();
    let keep_data = prepared.had_data;
    let frontend = if args.plain { Frontend::Plain } else { Frontend::Auto };
    dispatch_training(&args.backend, Training { prepared, frontend, part: args.part })
        .map_err(|error| run_folder::after_failure(error, &folder, "kiln train", args.resume, keep_data))
}

/// A run that is ready to train.
struct Prepared {
    settings: Settings,
    /// The settings as text, as they stand in the run's `config.toml`.
    text: String,
    config: GptConfig,
    tokenizer: Tokenizer,
    dataset: Dataset,
    run: RunDir,
    floor: Option<f64>,
    start: Start,
    /// Whether the run's folder held token shards before the run.
    had_data: bool,
}

/// Where the weights of a run come from.
enum Start {
    /// From the seed.
    Seed,
    /// From another model.
    Model(ModelFiles),
    /// From a checkpoint of the same run.
    Checkpoint(Checkpoint),
}

/// Makes the path of a folder of token shards absolute: the run may be resumed from elsewhere.
fn make_data_path_absolute(settings: &mut Settings) -> Result<()> {
    if let Some(path) = settings.data.path.as_mut().filter(|path| Dataset::is_in(path)) {
        *path = std::path::absolute(&*path)?;
    }
    Ok(())
}

/// Checks that a step fits into memory, and writes down how many windows are computed at a time.
fn plan_memory(
    args: &Train,
    config: &GptConfig,
    settings: &mut Settings,
    origin: &Origin,
) -> Result<MemoryPlan> {
    let device = crate::backend::device_kind(&args.backend)?;
    let plan = MemoryPlan::new(config, &settings.training, device);
    let plan = plan.map_err(|error| origin.locate(error.into()))?;
    settings.training.micro_batch_size = plan.micro_batch;
    Ok(plan)
}
