//! A run that resumes: with the configuration it was started with, and what may change of it.

use anyhow::{Result, bail};
use kiln_training::RunDir;

use super::Prepared;
use super::examples::Examples;
use super::new_run::plan_memory;
use crate::cli::finetune::Finetune;
use crate::commands::run_folder;
use crate::output::print_message;
use crate::settings::{self, Settings};

/// Opens the run that is to resume.
pub(super) fn prepare(args: &Finetune) -> Result<Prepared> {
    let tuning = args.tuning();
    let changes: Vec<String> =
        args.changes().into_iter().filter(|change| !change.starts_with("finetune.task=")).collect();
    let folder = run_folder::existing_run(tuning.run_dir.as_deref(), tuning.config.as_deref(), &changes)?;
    let run = RunDir::open(&folder)?;
    let mut checkpoint = run.newest_checkpoint(|path, reason| {
        print_message(format_args!("skipped a damaged checkpoint: {}: {reason}", path.display()));
    })?;
    let name = checkpoint.path().join("config.toml").display().to_string();
    let (started, _) = settings::parse(name.clone(), checkpoint.config().to_owned(), &[])?;
    let Some(section) = &started.finetune else {
        bail!(
            "{}: a run of `kiln train`\nhint: `kiln train --run-dir {} --resume`",
            folder.display(),
            folder.display()
        );
    };
    if section.task != args.task() {
        bail!(
            "{}: a run of `kiln finetune {}`\nhint: `kiln finetune {} --run-dir {} --resume`",
            folder.display(),
            section.task,
            section.task,
            folder.display()
        );
    }
    let (mut settings, origin) = settings::parse(name, checkpoint.config().to_owned(), &changes)?;
    settings.training.run_dir = folder.display().to_string();
    settings::check_resume(&settings, &started, checkpoint.step())?;
    if settings.training.max_minutes != started.training.max_minutes {
        checkpoint.forget_time_limit();
    }
    let section = settings.finetune.clone().unwrap_or_default();
    let files = crate::files::open_model(&section.model)?;
    let tokenizer = files.tokenizer()?;
    let examples = Examples::read(&settings, &files, &tokenizer)?;
    examples.check_remembered(&run)?;
    let config = settings.model.config(files.config().vocab_size).map_err(|error| origin.locate(error))?;
    let plan = plan_memory(tuning, &config, &mut settings, &origin, &examples)?;
    print_message(plan);
    let text = toml::to_string_pretty::<Settings>(&settings)?;
    run.write_config(&text)?;
    print_message(format_args!(
        "continuing after step {} from {}",
        checkpoint.step(),
        checkpoint.path().display()
    ));
    Ok(Prepared { settings, text, config, files, tokenizer, examples, run, checkpoint: Some(checkpoint) })
}
