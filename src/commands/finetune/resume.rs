//! A run that resumes: with the configuration it was started with, and what may change of it.

use std::path::Path;

use anyhow::{Result, bail};
use kiln_training::{Checkpoint, RunDir};

use super::Prepared;
use super::examples::Examples;
use super::new_run::plan_memory;
use super::paths;
use crate::cli::finetune::Finetune;
use crate::commands::run_folder;
use crate::commands::shell::quoted;
use crate::output::print_message;
use crate::settings::{self, Origin, Settings, Task};

/// Opens the run that is to resume.
pub(super) fn prepare(args: &Finetune) -> Result<Prepared> {
    let (tuning, changes) = (args.tuning(), args.changes());
    let folder = run_folder::existing_run(tuning.run_dir.as_deref(), tuning.config.as_deref(), &changes)?;
    let run = RunDir::open(&folder)?;
    let mut checkpoint = run.newest_checkpoint(|path, reason| {
        print_message(format_args!("skipped a damaged checkpoint: {}: {reason}", path.display()));
    })?;
    let (started, mut settings, origin) = load_settings(args.task(), &folder, &checkpoint, &changes)?;
    let model = paths::make_absolute(&mut settings, |key| origin.is_set("finetune", key))?;
    settings.training.run_dir = folder.display().to_string();
    settings::check_resume(&settings, &started, checkpoint.step())?;
    if settings.training.max_minutes != started.training.max_minutes {
        checkpoint.forget_time_limit();
    }
    let files = crate::files::open_model(&model)?;
    let tokenizer = files.tokenizer()?;
    let examples = Examples::read(&settings, &files, &tokenizer)?;
    examples.check_remembered(&run)?;
    let config = settings.model.config(files.config().vocab_size).map_err(|error| origin.locate(error))?;
    let plan = plan_memory(tuning, &config, &mut settings, &origin, &examples)?;
    print_message(plan);
    let text = toml::to_string_pretty(&settings)?;
    run.write_config(&text)?;
    print_message(format_args!(
        "continuing after step {} from {}",
        checkpoint.step(),
        checkpoint.path().display()
    ));
    Ok(Prepared { settings, text, config, files, tokenizer, examples, run, checkpoint: Some(checkpoint) })
}

/// The settings that the run was started with, those that it resumes with, and where the latter come from.
fn load_settings(
    task: Task,
    folder: &Path,
    checkpoint: &Checkpoint,
    changes: &[String],
) -> Result<(Settings, Settings, Origin)> {
    let name = checkpoint.path().join("config.toml").display().to_string();
    let (started, _) = settings::parse(name.clone(), checkpoint.config().to_owned(), &[])?;
    let command = match &started.finetune {
        Some(section) if section.task == task => {
            let (settings, origin) = settings::parse(name, checkpoint.config().to_owned(), changes)?;
            return Ok((started, settings, origin));
        }
        Some(section) => format!("kiln finetune {}", section.task),
        None => "kiln train".to_owned(),
    };
    let run = quoted(&folder.to_string_lossy());
    bail!("{}: a run of `{command}`\nhint: `{command} --run-dir {run} --resume`", folder.display())
}
