//! The part of `kiln finetune` that runs on a backend.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use kiln_model::AutodiffBackend;
use kiln_training::{Frontend, Recipe, Run, Stopped, Summary};

use super::base::Base;
use super::ending::Ending;
use super::examples::{Examples, Kind};
use super::results::{Counts, Results};
use super::{Prepared, classify, dpo, instruct, start};
use crate::backend::TrainingJob;
use crate::commands::shell::quoted;
use crate::output::{self, print_message};
use crate::settings::{Settings, Task};
use crate::signals;

/// A run, and how it is shown.
pub struct Finetuning {
    pub(super) prepared: Prepared,
    pub(super) frontend: Frontend,
}

impl TrainingJob for Finetuning {
    type Output = ExitCode;

    fn run<B: AutodiffBackend>(self, device: B::Device, name: &'static str) -> Result<ExitCode> {
        let Self { prepared, frontend } = self;
        let Prepared { settings, text, config, files, tokenizer, examples, run, checkpoint, .. } = prepared;
        let folder = run.path().to_owned();
        let gpt = files
            .load::<B>(&device)?
            .with_dropout(config.dropout)
            .with_compute_precision(settings.training.precision)?;
        match &checkpoint {
            Some(_) => start::check(&gpt, &files.path().display().to_string(), &run)?,
            None => start::remember(&gpt, &run)?,
        }
        let gpt = match &settings.lora {
            Some(lora) => gpt.with_lora(lora.clone(), settings.training.seed)?,
            None => gpt,
        };
        let Examples { kind, counts, template, .. } = examples;
        // Whoever talks to the model later says it as it has learned it.
        let tokenizer = match template {
            Some(template) => tokenizer.with_chat_template(&template)?,
            None => tokenizer,
        };
        print_message(format_args!(
            "tuning {} on {name}: {counts}, run directory {}",
            files.path().display(),
            folder.display()
        ));
        let stop = signals::handle()?;
        let Settings { optimizer, schedule, training, .. } = settings.clone();
        let base = Base { gpt, device, tokenizer, files, settings: settings.clone(), saved: run.model() };
        let run = Run {
            recipe: Recipe { optimizer, schedule, training },
            directory: run,
            config: text,
            checkpoint,
            frontend,
            backend: name.to_owned(),
            floor: None,
            part: None,
            stop: stop.clone(),
        };
        let ending = match kind {
            Kind::Labelled(texts) => classify::run(base, texts, run),
            Kind::Instructions(instructions) => instruct::run(base, instructions, run),
            Kind::Preferences(preferences) => dpo::run(base, preferences, run),
        }?;
        let told = tell(ending, &settings, counts, &folder);
        if let Some(signal) = stop.reason() {
            // Whoever asked may be gone, and the terminal with them: what they cannot read is no failure of the run.
            return Ok(signals::exit_code(signal));
        }
        told?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Says how the run went, writes its results down, and says what to do next.
fn tell(ending: Ending, settings: &Settings, examples: Counts, folder: &Path) -> Result<()> {
    let Ending { summary, figures, more, notes } = ending;
    let finetune = settings.finetune.clone().unwrap_or_default();
    let mut out = output::stdout();
    let (step, steps) = (summary.step, settings.training.steps);
    writeln!(out, "{} at step {step} of {steps} after {:.0} s", summary.stopped, summary.seconds)?;
    let named = quoted(&folder.to_string_lossy());
    let resume = format!("kiln finetune {} --run-dir {named} --resume", finetune.task);
    if step < steps && summary.stopped == Stopped::TimeBudget {
        let minutes = 2.0 * settings.training.max_minutes;
        print_message(format_args!("continue with: {resume} --minutes {minutes}"));
    } else if step < steps && summary.stopped != Stopped::NoImprovement {
        print_message(format_args!("continue with: {resume}"));
    }
    let Some(figures) = figures else { return without_figures(&summary, settings, &resume) };
    let results = Results {
        task: finetune.task,
        model: finetune.model,
        steps: step,
        best_step: summary.best.map(|(step, _)| step),
        seconds: summary.seconds,
        trainable_parameters: summary.trained_parameters,
        examples,
        figures,
        more,
    };
    results.write(folder)?;
    results.print(&mut out)?;
    for note in notes {
        writeln!(out, "{note}")?;
    }
    writeln!(out, "run directory {}: model/, results.json, metrics.jsonl, loss.svg", folder.display())?;
    writeln!(out, "\nnext:  {}", next(finetune.task, &named))?;
    Ok(())
}

/// Why nothing was measured: a run that came to its end without a finite loss has failed, and of one that was stopped after
/// its last step the rest is to be done.
fn without_figures(summary: &Summary, settings: &Settings, resume: &str) -> Result<()> {
    let by_hand = matches!(summary.stopped, Stopped::Quit | Stopped::Next | Stopped::Interrupted);
    if summary.best.is_none() && !by_hand {
        bail!(
            "no evaluation came to a finite loss, so there is no model\nhint: try a lower learning rate: `--lr {:e}`",
            settings.optimizer.learning_rate / 10.0
        );
    }
    if summary.step >= settings.training.steps {
        print_message(format_args!("the results are still to be measured: {resume}"));
    }
    Ok(())
}

/// What to do with the model.
fn next(task: Task, folder: &str) -> String {
    match task {
        Task::Classify => format!("kiln classify --model {folder} --text \"…\""),
        Task::Instruct | Task::Dpo => format!("kiln generate --model {folder} --chat --prompt \"…\""),
    }
}
