//! A new run: everything is checked before its first files are written, and what never trained leaves nothing behind.

use std::path::Path;

use anyhow::{Result, bail};
use kiln_datasets::{Dataset, MANIFEST, REMEMBERED, Tokenizer};
use kiln_inference::ModelFiles;
use kiln_model::GptConfig;
use kiln_training::{MemoryPlan, RunDir};

use super::corpus::Text;
use super::{Prepared, Start, name_in_full, place, say};
use crate::cli::training::Train;
use crate::settings::{self, Settings};

/// Checks everything that can be checked before anything is written; then writes the run's first files.
pub(super) fn begun(args: &Train) -> Result<Prepared> {
    let (mut settings, source) = settings::load(args.config.as_deref(), &args.set)?;
    name_in_full(&mut settings)?;
    let folder = place::new_run(args.run_dir.as_deref(), &settings)?;
    let data_was_there = Dataset::is_in(&folder.join("data"));
    let text = Text::of(&settings)?;
    let init_from = args.init_from.as_deref().map(ModelFiles::open).transpose()?;
    let tokenizer = match (&init_from, settings.tokenizer.kind.as_str()) {
        (Some(model), _) if model.has_tokenizer() => model.tokenizer()?,
        (_, kind) => {
            text.tokenizer(kind, settings.tokenizer.vocab_size).map_err(|error| source.place(error))?
        }
    };
    let config = match &init_from {
        None => settings.model.config(tokenizer.vocab_size()).map_err(|error| source.place(error))?,
        Some(model) => continued_from(model, &settings, &tokenizer)?,
    };
    settings.model = settings::ModelSection::resolved(&config);
    settings.training.run_dir = folder.display().to_string();
    let plan = MemoryPlan::new(&config, &settings.training, crate::backend::place(&args.backend)?)?;
    settings.training.micro_batch_size = plan.micro_batch;

    let run = RunDir::create(&folder, &toml::to_string_pretty(&settings)?)?;
    let prepare = || -> Result<Dataset> {
        let dataset = text.dataset(&tokenizer, &run.data())?;
        tokenizer.save(&run.data())?;
        dataset.remember(&run.data())?;
        dataset.check(config.context_length)?;
        Ok(dataset)
    };
    let dataset = match prepare() {
        Ok(dataset) => dataset,
        Err(error) => {
            discard(&folder, data_was_there);
            return Err(error);
        }
    };
    say(&plan.to_string());
    let floor = text.floor_nats().map(|nats| nats / dataset.valid.len() as f64);
    let start = init_from.map_or(Start::Fresh, Start::Model);
    Ok(Prepared { settings, config, tokenizer, dataset, run, floor, start, data_was_there })
}

/// The architecture of `model`, with the dropout of the settings and, if they ask for less, their context.
fn continued_from(model: &ModelFiles, settings: &Settings, tokenizer: &Tokenizer) -> Result<GptConfig> {
    let theirs = model.config().clone();
    if tokenizer.vocab_size() > theirs.vocab_size {
        bail!(
            "{}: the model knows {} tokens, the tokenizer \"{}\" has {}\nhint: put the model's own tokenizer.json \
             beside it, or set tokenizer.kind",
            model.directory().display(),
            theirs.vocab_size,
            tokenizer.name(),
            tokenizer.vocab_size()
        );
    }
    let context_length = settings.model.given("context_length").unwrap_or(theirs.context_length);
    if context_length < theirs.context_length {
        eprintln!(
            "context shortened from {} to model.context_length = {context_length}",
            theirs.context_length
        );
    }
    let dropout = settings.model.given("dropout").unwrap_or_default();
    Ok(GptConfig { context_length: context_length.min(theirs.context_length), dropout, ..theirs })
}

/// Removes what a run that never began has written, and each directory that is then empty: `--run-dir` may name one
/// that was there before, with files of its own, prepared shards among them.
pub(super) fn discard(folder: &Path, data_was_there: bool) {
    // Best effort throughout: the error that matters is the one already in hand.
    for file in ["config.toml", "metrics.jsonl", "samples.jsonl", "experiment.log"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
    let data = ["train.tokens", "valid.tokens", "tokenizer.json", "tokenizer_config.json", MANIFEST];
    for file in data.iter().filter(|_| !data_was_there) {
        let _ = std::fs::remove_file(folder.join("data").join(file));
    }
    let _ = std::fs::remove_file(folder.join("data").join(REMEMBERED));
    // A new run is refused where one of these exists.
    for directory in ["model", "checkpoint"] {
        let _ = std::fs::remove_dir_all(folder.join(directory));
    }
    let _ = std::fs::remove_file(folder.join(".lock"));
    let runs = folder.parent().filter(|parent| parent.ends_with("runs"));
    for directory in [Some(folder.join("data")), Some(folder.to_owned()), runs.map(Path::to_owned)] {
        let _ = directory.map(std::fs::remove_dir);
    }
}
