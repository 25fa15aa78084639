//! A run that continues: with the configuration it was begun with, and what may change of it.

use anyhow::Result;
use kiln_datasets::{Dataset, Tokenizer};
use kiln_training::{MemoryPlan, RunDir};

use super::corpus::Text;
use super::{Prepared, Start, name_in_full, place, say};
use crate::cli::training::Train;
use crate::settings::{self, DataSource};

/// Opens the run that is to continue, with the configuration it was begun with.
pub(super) fn continued(args: &Train) -> Result<Prepared> {
    let folder = place::existing_run(args.run_dir.as_deref(), args.config.as_deref(), &args.set)?;
    let run = RunDir::open(&folder)?;
    let checkpoint = run.newest_checkpoint(|path, reason| {
        say(&format!("skipped a damaged checkpoint: {}: {reason}", path.display()));
    })?;
    let name = checkpoint.path().join("config.toml").display().to_string();
    let (begun, _) = settings::parse(name.clone(), checkpoint.config().to_owned(), &[])?;
    let (mut settings, source) = match &args.config {
        Some(_) => settings::load(args.config.as_deref(), &args.set)?,
        None if run.config().is_file() => settings::load(Some(&run.config()), &args.set)?,
        None => settings::parse(name, checkpoint.config().to_owned(), &args.set)?,
    };
    name_in_full(&mut settings)?;

    let kept = [run.data(), run.model()].into_iter().find(|directory| Tokenizer::is_in(directory));
    let tokenizer = Tokenizer::from_directory(&kept.unwrap_or_else(|| run.data()))?;
    let config = settings.model.config(tokenizer.vocab_size()).map_err(|error| source.place(error))?;
    settings.model = settings::ModelSection::resolved(&config);
    settings.training.run_dir = folder.display().to_string();
    settings::check_resume(&settings, &begun, checkpoint.step())?;
    if settings.training.micro_batch_size == 0 {
        settings.training.micro_batch_size = begun.training.micro_batch_size;
    }
    let plan = MemoryPlan::new(&config, &settings.training, crate::backend::place(&args.backend)?)?;
    say(&plan.to_string());
    settings.training.micro_batch_size = plan.micro_batch;
    let (steps, before) = (settings.training.steps, begun.training.steps);
    if steps != before && settings.schedule.decay_steps == 0 {
        say(&format!("training.steps {before} → {steps}: the learning rate's cosine now ends there"));
    }

    let (dataset, floor_nats) = match settings.data.source {
        DataSource::Path | DataSource::Cargo if Dataset::is_in(&run.data()) => {
            (Dataset::open(&run.data(), &tokenizer)?, None)
        }
        _ => {
            let text = Text::of(&settings)?;
            let folder = if let Text::Prepared(folder) = &text { folder.clone() } else { run.data() };
            (Dataset::open(&folder, &tokenizer)?, text.floor_nats())
        }
    };
    dataset.check_remembered(&run.data())?;
    run.write_config(&toml::to_string_pretty(&settings)?)?;
    let floor = floor_nats.map(|nats| nats / dataset.valid.len() as f64);
    say(&format!("continuing after step {} from {}", checkpoint.step(), checkpoint.path().display()));
    let (start, data_was_there) = (Start::Checkpoint(checkpoint), true);
    Ok(Prepared { settings, config, tokenizer, dataset, run, floor, start, data_was_there })
}
