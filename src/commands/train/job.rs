//! The part of `kiln train` that runs on a backend.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use kiln_datasets::Order;
use kiln_model::{AutodiffBackend, GptConfig, GptModel, Precision};
use kiln_training::{Frontend, LanguageModel, Part, Pretrain, Recipe, Run, Stop, Stopped, Summary, train};

use super::judged::Judged;
use super::writer::Writer;
use super::{Prepared, Start, print_message, summary};
use crate::backend::TrainingJob;
use crate::commands::shell::quoted;
use crate::commands::sweep::STOPPED_BY_HAND;
use crate::output;
use crate::settings::{DataSource, Settings};
use crate::signals;
use crate::word_wrap::WordWrap;

/// Stories that a run ends with.
const STORIES: u64 = 3;

/// A run, and how it is shown.
pub struct Training {
    pub(super) prepared: Prepared,
    pub(super) frontend: Frontend,
    pub(super) part: Option<Part>,
}

impl TrainingJob for Training {
    type Output = ExitCode;

    fn run<B: AutodiffBackend>(self, device: B::Device, name: &'static str) -> Result<ExitCode> {
        let Self { prepared, frontend, part } = self;
        let Prepared { settings, text, config, tokenizer, dataset, run, floor, start, .. } = prepared;
        let folder = run.path().to_owned();
        let gpt = initial_model::<B>(&start, &config, &settings, &device)?
            .with_compute_precision(settings.training.precision)?;
        print_message(format_args!(
            "training {:.2} M parameters on {name}: {} training and {} validation tokens, run directory {}",
            config.num_parameters() as f64 / 1e6,
            dataset.train.len(),
            dataset.valid.len(),
            folder.display()
        ));
        let stop = signals::handle()?;
        if part.is_some() {
            signals::end_with_standard_input(stop.clone())?;
        }
        if settings.data.order == Order::Documents && tokenizer.end_of_text().is_none() {
            print_message(
                "data.order = \"documents\": this tokenizer has no token that ends a document, so windows start at random tokens",
            );
        }
        let writer = Writer { settings: settings.clone(), tokenizer: tokenizer.clone() };
        let Settings { optimizer, schedule, training, .. } = settings.clone();
        let objective =
            Pretrain::new(dataset, tokenizer, settings.data.order, config.context_length, &training)?
                .with_sample({
                    let writer = writer.clone();
                    Box::new(move |model, stop| writer.write(model, 0, stop))
                });
        let run = Run {
            recipe: Recipe { optimizer, schedule, training },
            directory: run,
            config: text,
            checkpoint: if let Start::Checkpoint(checkpoint) = start { Some(checkpoint) } else { None },
            frontend,
            backend: name.to_owned(),
            floor,
            part,
            stop: stop.clone(),
        };
        let summary = train(objective, LanguageModel { gpt }, run)?;
        let told = tell::<B>(&summary, &writer, &folder, floor, &device, &stop);
        if let Some(signal) = stop.reason() {
            // Whoever asked may be gone, and the terminal with them: what they cannot read is no failure of the run.
            return Ok(signals::exit_code(signal));
        }
        told?;
        Ok(ExitCode::from(match summary.stopped {
            // The sweep ends with it.
            Stopped::Quit if part.is_some() => signals::INTERRUPTED,
            Stopped::Next => STOPPED_BY_HAND,
            _ => 0,
        }))
    }
}

/// Says how the run went, what to do next, and what its best model writes.
fn tell<B: AutodiffBackend>(
    summary: &Summary,
    writer: &Writer,
    folder: &Path,
    floor: Option<f64>,
    device: &B::Device,
    stop: &Stop,
) -> Result<()> {
    summary::print(summary, &writer.settings, writer.tokenizer.vocab_size(), folder, floor)?;
    let early = [Stopped::Interrupted, Stopped::Quit, Stopped::Next, Stopped::TimeBudget];
    if early.contains(&summary.stopped) {
        let folder = quoted(&folder.to_string_lossy());
        let minutes = match summary.stopped {
            Stopped::TimeBudget => format!(" --minutes {}", 2.0 * writer.settings.training.max_minutes),
            _ => String::new(),
        };
        print_message(format_args!("continue with: kiln train --run-dir {folder} --resume{minutes}"));
    }
    if let Some((_, loss)) = summary.best
        && !stop.is_asked()
    {
        let ends = writer.tokenizer.end_of_text().is_some();
        let tales = ends && floor.is_some_and(|floor| loss - floor < TALES_WITHIN);
        tell_stories::<B>(writer, tales, folder, device, stop)?;
    }
    Ok(())
}

fn initial_model<B: AutodiffBackend>(
    start: &Start,
    config: &GptConfig,
    settings: &Settings,
    device: &B::Device,
) -> Result<GptModel<B>> {
    Ok(match start {
        Start::Model(files) => {
            files.load(device)?.with_dropout(config.dropout).with_context_length(config.context_length)
        }
        Start::Seed | Start::Checkpoint(_) => config.init(settings.training.seed, device)?,
    })
}

/// A model of the embedded corpus that is farther from the floor, in nats per token, hardly tells a tale.
const TALES_WITHIN: f64 = 0.3;

/// Stories that are judged.
const JUDGED: u64 = 100;

/// Stories written side by side: each has a cache of its own, which takes memory.
const AT_A_TIME: usize = 20;

/// Prints texts by the best model, how to get more and, if they are `tales`, how many hold together.
fn tell_stories<B: AutodiffBackend>(
    writer: &Writer,
    tales: bool,
    folder: &Path,
    device: &B::Device,
    stop: &Stop,
) -> Result<()> {
    let model = folder.join("model");
    let best = kiln_model::load_with_precision::<B::InnerBackend>(&model, device, Precision::F32)?;
    let stories = if writer.settings.data.source == DataSource::Tales { STORIES } else { 1 };
    let mut out = WordWrap::to_terminal(output::stdout());
    for seed in 1..=stories {
        let story = writer.write(&best, seed, &mut || stop.is_asked());
        if stop.is_asked() {
            return Ok(());
        }
        writeln!(out)?;
        out.push(&story)?;
        out.finish()?;
        writeln!(out)?;
    }
    writeln!(out, "\nmore:  {}", writer.command(folder))?;
    if tales {
        let seeds: Vec<u64> = (1..=JUDGED).collect();
        let groups = seeds.chunks(AT_A_TIME);
        let stories: Option<Vec<_>> =
            groups.map(|seeds| writer.stories(&best, seeds, &mut || stop.is_asked())).collect();
        if let Some(stories) = stories.filter(|_| !stop.is_asked()) {
            out.push(&format!("{}\n", Judged::of(&stories.concat())))?;
            out.finish()?;
        }
    }
    Ok(())
}
