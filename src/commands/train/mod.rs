//! `kiln train`: from a configuration to a trained model.

mod corpus;
mod place;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use burn_autodiff::Autodiff;
use burn_train::Interrupter;
use kiln_datasets::tales::SEPARATOR;
use kiln_datasets::{Dataset, MANIFEST, REMEMBERED, Tokenizer};
use kiln_inference::{Generation, Sampler};
use kiln_model::{Backend, GptConfig, GptModel};
use kiln_training::{Checkpoint, Display, MemoryPlan, Pretraining, RunDir, Stopped, Summary, pretrain};

use self::corpus::Text;
use crate::backend::{Job, dispatch};
use crate::cli::Train;
use crate::settings::{self, DataSource, Settings};
use crate::signals;

/// Stories that a run ends with.
const STORIES: u64 = 3;

pub fn run(args: Train) -> Result<ExitCode> {
    let backend = args.backend.clone();
    crate::backend::check(&backend)?;
    let prepared = if args.resume { continued(&args)? } else { begun(&args)? };
    let folder = prepared.run.path().to_owned();
    let (fresh, data_was_there) = (!args.resume, prepared.data_was_there);
    let outcome = dispatch(&backend, prepared);
    if outcome.is_err() && fresh && !RunDir::holds_run(&folder) {
        // Nothing has been trained: leave no directory that would stand in the way of the next try.
        discard(&folder, data_was_there);
    }
    outcome
}

/// Removes what a run that never began has written, and each directory that is then empty: `--run-dir` may name one
/// that was there before, with files of its own, prepared shards among them.
fn discard(folder: &Path, data_was_there: bool) {
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

/// A run that is ready to train.
struct Prepared {
    settings: Settings,
    config: GptConfig,
    tokenizer: Tokenizer,
    dataset: Dataset,
    run: RunDir,
    floor: Option<f64>,
    init_from: Option<std::path::PathBuf>,
    resume: Option<Checkpoint>,
    plain: bool,
    /// Whether the run's folder held token shards before the run.
    data_was_there: bool,
}

/// Checks everything that can be checked before anything is written; then writes the run's first files.
fn begun(args: &Train) -> Result<Prepared> {
    let (mut settings, source) = settings::load(args.config.as_deref(), &args.set)?;
    name_in_full(&mut settings)?;
    let folder = place::new_run(args.run_dir.as_deref(), &settings)?;
    let data_was_there = Dataset::is_in(&folder.join("data"));
    let text = Text::of(&settings)?;
    let init_from = args.init_from.as_deref().map(crate::files::model_directory);
    let tokenizer = match (&init_from, settings.tokenizer.kind.as_str()) {
        (Some(directory), _) if Tokenizer::is_in(directory) => Tokenizer::from_directory(directory)?,
        (_, kind) => {
            text.tokenizer(kind, settings.tokenizer.vocab_size).map_err(|error| source.place(error))?
        }
    };
    let config = match &init_from {
        None => settings.model.config(tokenizer.vocab_size()).map_err(|error| source.place(error))?,
        Some(directory) => continued_from(directory, &settings, &tokenizer)?,
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
    let (resume, plain) = (None, args.plain);
    Ok(Prepared {
        settings,
        config,
        tokenizer,
        dataset,
        run,
        floor,
        init_from,
        resume,
        plain,
        data_was_there,
    })
}

/// The architecture in `directory`, with the dropout of the settings and, if they ask for less, their context.
fn continued_from(directory: &Path, settings: &Settings, tokenizer: &Tokenizer) -> Result<GptConfig> {
    let theirs = kiln_model::load_config(directory)?;
    if tokenizer.vocab_size() > theirs.vocab_size {
        bail!(
            "{}: the model knows {} tokens, the tokenizer \"{}\" has {}\nhint: put the model's own tokenizer.json \
             beside it, or set tokenizer.kind",
            directory.display(),
            theirs.vocab_size,
            tokenizer.name(),
            tokenizer.vocab_size()
        );
    }
    let context_length = settings.model.context_length.unwrap_or(theirs.context_length);
    if context_length < theirs.context_length {
        eprintln!(
            "context shortened from {} to model.context_length = {context_length}",
            theirs.context_length
        );
    }
    let dropout = settings.model.dropout.unwrap_or_default();
    Ok(GptConfig { context_length: context_length.min(theirs.context_length), dropout, ..theirs })
}

/// Opens the run that is to continue, with the configuration it was begun with.
fn continued(args: &Train) -> Result<Prepared> {
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
    let (init_from, resume, plain, data_was_there) = (None, Some(checkpoint), args.plain, true);
    Ok(Prepared {
        settings,
        config,
        tokenizer,
        dataset,
        run,
        floor,
        init_from,
        resume,
        plain,
        data_was_there,
    })
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

impl Job for Prepared {
    type Output = ExitCode;

    fn run<B: Backend>(self, device: B::Device, name: &'static str) -> Result<ExitCode> {
        let Self { settings, config, tokenizer, dataset, run, floor, init_from, resume, plain, .. } = self;
        let model: GptModel<Autodiff<B>> = match &init_from {
            None => config.init(settings.training.seed, &device)?,
            Some(directory) => kiln_model::load(directory, &device)?
                .with_dropout(config.dropout)
                .with_context_length(config.context_length),
        };
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
        let summary = pretrain(Pretraining::<Autodiff<B>> {
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
            display: if plain { Display::Plain } else { Display::Auto },
            backend: name.to_owned(),
            floor,
            sample: Some(Box::new(move |model, stop| writer.write(model, 0, stop))),
            interrupter: interrupter.clone(),
        })?;
        report(&summary, &settings, &folder, floor)?;
        if matches!(summary.stopped, Stopped::Interrupted | Stopped::Quit | Stopped::TimeBudget) {
            say(&format!("continue with: kiln train --run-dir {} --resume", folder.display()));
        }
        if summary.stopped == Stopped::Interrupted {
            return Ok(ExitCode::from(received.exit_code()));
        }
        if summary.best.is_some() {
            let best = kiln_model::load::<B>(&folder.join("model"), &device)?;
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

fn report(summary: &Summary, settings: &Settings, folder: &Path, floor: Option<f64>) -> Result<()> {
    let mut out = std::io::stdout();
    let how = match summary.stopped {
        Stopped::Finished => "finished",
        Stopped::NoImprovement => "stopped early: the validation loss no longer improves;",
        Stopped::TimeBudget => "stopped: training.max_minutes are over;",
        Stopped::Quit | Stopped::Interrupted => "stopped",
    };
    let tokens_per_second = summary.tokens as f64 / summary.seconds.max(1e-9);
    writeln!(
        out,
        "{how} at step {} of {} after {:.0} s ({tokens_per_second:.0} tokens/s)",
        summary.step, settings.training.steps, summary.seconds
    )?;
    if let Some((step, loss)) = summary.best {
        writeln!(
            out,
            "validation loss {loss:.4} nats per token (best, step {step}), perplexity {:.3}",
            loss.exp()
        )?;
        if let Some(floor) = floor {
            writeln!(
                out,
                "no model can expect less than {floor:.4} on this text: {:.4} to go",
                loss - floor
            )?;
        }
    }
    if summary.skipped > 0 {
        writeln!(out, "{} steps were skipped because something was not finite", summary.skipped)?;
    }
    writeln!(out, "run directory {}: model/, metrics.jsonl, loss.svg", folder.display())?;
    Ok(())
}

/// Writes the samples of a run.
struct Writer {
    settings: Settings,
    tokenizer: Tokenizer,
}

impl Writer {
    /// A text that continues the run's prompt; for the embedded corpus, one whole story. Breaks off when `stop` says so.
    fn write<B: Backend>(&self, model: &GptModel<B>, seed: u64, stop: &mut dyn FnMut() -> bool) -> String {
        let generation = &self.settings.generation;
        let tales = self.settings.data.source == DataSource::Tales;
        let prompt = if tales { SEPARATOR } else { &generation.prompt };
        let encoded = self.tokenizer.encode(prompt).ok().filter(|tokens| !tokens.is_empty());
        let request = Generation {
            // A corpus may lack even a line break; its first token will do.
            prompt: encoded.unwrap_or_else(|| vec![0]),
            max_tokens: generation.max_tokens,
            stop: self.tokenizer.end_of_text(),
            kv_cache: true,
        };
        let mut sampler = Sampler::new(generation.sampling(), seed);
        let mut text = Vec::new();
        let tokens = kiln_inference::generate(model, &request, &mut sampler, |token| {
            text.extend(self.tokenizer.decode_bytes(&[token]).unwrap_or_default());
            let story_is_over = tales && text.ends_with(SEPARATOR.as_bytes());
            !story_is_over && !stop()
        });
        let text = tokens.ok().and_then(|tokens| self.tokenizer.decode(&tokens).ok()).unwrap_or_default();
        if tales { text.trim().to_owned() } else { format!("{prompt}{text}").trim().to_owned() }
    }

    /// What to type for another sample.
    fn command(&self, folder: &Path) -> String {
        let generation = &self.settings.generation;
        let prompt = match self.settings.data.source {
            DataSource::Tales => "Once upon a time",
            DataSource::Path | DataSource::Cargo => generation.prompt.as_str(),
        };
        format!(
            "kiln generate --model {} --prompt {prompt:?} --max-tokens {} --temperature {}",
            folder.display(),
            generation.max_tokens,
            generation.temperature
        )
    }
}
