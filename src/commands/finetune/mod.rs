//! `kiln finetune`: a model and examples in, a model for a task out.

mod answers;
mod base;
mod classify;
mod dpo;
mod ending;
mod examples;
mod instruct;
mod job;
mod new_run;
mod paths;
mod recipe;
mod results;
mod resume;
pub(super) mod start;
mod task_run;

use std::process::ExitCode;

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_inference::ModelFiles;
use kiln_model::GptConfig;
use kiln_training::{Checkpoint, Frontend, RunDir};

use self::examples::Examples;
use self::job::Finetuning;
use crate::backend::dispatch_training;
use crate::cli::finetune::Finetune;
use crate::commands::run_folder;
use crate::settings::Settings;

pub fn run(args: Finetune) -> Result<ExitCode> {
    let tuning = args.tuning();
    crate::backend::check(&tuning.backend)?;
    let prepared = if tuning.resume { Some(resume::prepare(&args)?) } else { new_run::prepare(&args)? };
    let Some(prepared) = prepared else { return Ok(ExitCode::SUCCESS) };
    let folder = prepared.run.path().to_owned();
    let frontend = if tuning.plain { Frontend::Plain } else { Frontend::Auto };
    let command = format!("kiln finetune {}", args.task());
    dispatch_training(&tuning.backend, Finetuning { prepared, frontend })
        .map_err(|error| run_folder::after_failure(error, &folder, &command, tuning.resume, false))
}

/// A run that is ready to train.
struct Prepared {
    settings: Settings,
    /// The settings as text, as they stand in the run's `config.toml`.
    text: String,
    config: GptConfig,
    files: ModelFiles,
    tokenizer: Tokenizer,
    examples: Examples,
    run: RunDir,
    /// Where to resume.
    checkpoint: Option<Checkpoint>,
}
