//! A run that resumes: with the configuration that it was started with, and what may change of it.

use anyhow::{Result, bail};
use kiln_training::RunDir;

use super::train::{Prepared, check, model_files, open_texts};
use crate::cli::sae::SaeTrain;
use crate::commands::run_folder;
use crate::commands::shell::quoted;
use crate::output::print_message;
use crate::settings;

/// Opens the run that is to resume.
pub(super) fn prepare(args: &SaeTrain) -> Result<Prepared> {
    let Some(folder) = &args.out else {
        bail!("--resume: which run?\nhint: name it, for instance `--out runs/sae`")
    };
    let run = RunDir::open(folder)?;
    let mut checkpoint = run.newest_checkpoint(|path, reason| {
        print_message(format_args!("skipped a damaged checkpoint: {}: {reason}", path.display()));
    })?;
    let name = checkpoint.path().join("config.toml").display().to_string();
    let (started, _) = settings::parse(name.clone(), checkpoint.config().to_owned(), &[])?;
    if started.sae.is_none() {
        let command = run_folder::command_of(run.path());
        let named = quoted(&folder.to_string_lossy());
        bail!("{}: a run of `{command}`\nhint: `{command} --run-dir {named} --resume`", folder.display());
    }
    let mut changes = args.changes();
    if let Some(tokens) = args.tokens {
        changes.push(format!("training.steps={}", tokens / started.training.batch_size.max(1)));
    }
    let (mut settings, origin) = settings::parse(name, checkpoint.config().to_owned(), &changes)?;
    settings.training.run_dir = folder.display().to_string();
    let mut section = settings.sae.clone().unwrap_or_default();
    if args.model.is_some() {
        section.model = std::path::absolute(crate::commands::newest::model_directory(Some(&section.model))?)?;
        settings.sae = Some(section.clone());
    }
    settings::check_resume(&settings, &started, checkpoint.step())?;
    if settings.training.max_minutes != started.training.max_minutes {
        checkpoint.forget_time_limit();
    }
    let files = model_files(&section)?;
    let tokenizer = files.tokenizer()?;
    let site = check(&section, files.config(), &origin)?;
    let texts = open_texts(&settings, &section, &tokenizer, &run)?;
    run.write_config(&toml::to_string_pretty(&settings)?)?;
    print_message(format_args!(
        "continuing after step {} from {}",
        checkpoint.step(),
        checkpoint.path().display()
    ));
    Ok(Prepared { settings, site, files, tokenizer, texts, run, checkpoint: Some(checkpoint) })
}
