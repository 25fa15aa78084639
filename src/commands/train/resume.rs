//! A run that resumes: with the configuration it was started with, and what may change of it.

use anyhow::{Result, bail};
use kiln_datasets::{Dataset, Tokenizer};
use kiln_training::{Checkpoint, RunDir};

use super::corpus::Text;
use super::{Prepared, Start, make_data_path_absolute, plan_memory, print_message};
use crate::cli::training::Train;
use crate::commands::run_folder;
use crate::commands::shell::quoted;
use crate::settings::{self, DataSource, Origin, Settings};

/// Opens the run that is to resume, with the configuration it was started with.
pub(super) fn prepare(args: &Train) -> Result<Prepared> {
    let folder = run_folder::existing_run(args.run_dir.as_deref(), args.config.as_deref(), &args.changes())?;
    let run = RunDir::open(&folder)?;
    let mut checkpoint = run.newest_checkpoint(|path, reason| {
        print_message(format_args!("skipped a damaged checkpoint: {}: {reason}", path.display()));
    })?;
    let (started, mut settings, origin) = load_settings(args, &run, &checkpoint)?;
    let command = match &started.finetune {
        Some(finetune) => Some(format!("kiln finetune {}", finetune.task)),
        None => started.sae.as_ref().map(|_| "kiln sae train".to_owned()),
    };
    if let Some(command) = command {
        let named = quoted(&folder.to_string_lossy());
        bail!("{}: a run of `{command}`\nhint: `{command} --run-dir {named} --resume`", folder.display());
    }
    let kept = [run.data(), run.model()].into_iter().find(|directory| Tokenizer::is_in(directory));
    let tokenizer = Tokenizer::from_directory(&kept.unwrap_or_else(|| run.data()))?;
    let config = settings.model.config(tokenizer.vocab_size()).map_err(|error| origin.locate(error))?;
    settings.model = settings::ModelSection::resolved(&config);
    settings.training.run_dir = folder.display().to_string();
    // As this version writes it: an earlier one knew fewer keys.
    let started_with = settings::ModelSection::resolved(&started.model.config(tokenizer.vocab_size())?);
    let started = Settings { model: started_with, ..started };
    settings::check_resume(&settings, &started, checkpoint.step())?;
    if settings.training.micro_batch_size == 0 {
        settings.training.micro_batch_size = started.training.micro_batch_size;
    }
    let plan = plan_memory(args, &config, &mut settings, &origin)?;
    print_message(plan);
    let (steps, before) = (settings.training.steps, started.training.steps);
    if steps != before && settings.schedule.decay_steps == 0 {
        print_message(format_args!(
            "training.steps {before} → {steps}: the learning rate's decay now ends there"
        ));
    }

    if settings.training.max_minutes != started.training.max_minutes {
        checkpoint.forget_time_limit();
    }

    let (dataset, floor) = open_dataset(&settings, &run, &tokenizer)?;
    dataset.check_remembered(&run.data())?;
    let text = toml::to_string_pretty(&settings)?;
    run.write_config(&text)?;
    print_message(format_args!(
        "continuing after step {} from {}",
        checkpoint.step(),
        checkpoint.path().display()
    ));
    let (start, had_data) = (Start::Checkpoint(checkpoint), true);
    Ok(Prepared { settings, text, config, tokenizer, dataset, run, floor, start, had_data })
}

/// The settings that the run was started with, those that it resumes with, and where the latter come from.
fn load_settings(
    args: &Train,
    run: &RunDir,
    checkpoint: &Checkpoint,
) -> Result<(Settings, Settings, Origin)> {
    let name = checkpoint.path().join("config.toml").display().to_string();
    let (started, _) = settings::parse(name.clone(), checkpoint.config().to_owned(), &[])?;
    let (mut settings, origin) = match &args.config {
        Some(_) => settings::load(args.config.as_deref(), &args.changes())?,
        None if run.config_file().is_file() => settings::load(Some(&run.config_file()), &args.changes())?,
        None => settings::parse(name, checkpoint.config().to_owned(), &args.changes())?,
    };
    make_data_path_absolute(&mut settings)?;
    Ok((started, settings, origin))
}

/// The tokens of the run, and a loss that no model can beat on them, if the corpus knows one.
fn open_dataset(settings: &Settings, run: &RunDir, tokenizer: &Tokenizer) -> Result<(Dataset, Option<f64>)> {
    let is_made = matches!(settings.data.source, DataSource::Tales | DataSource::Repeats);
    if !is_made && Dataset::is_in(&run.data()) {
        return Ok((Dataset::open(&run.data(), tokenizer)?, None));
    }
    let text = Text::of(settings)?;
    let folder = if let Text::Prepared(folder) = &text { folder.clone() } else { run.data() };
    let dataset = Dataset::open(&folder, tokenizer)?;
    let floor = text.floor(&dataset);
    Ok((dataset, floor))
}
