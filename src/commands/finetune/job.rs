//! The part of `kiln finetune` that runs on a backend.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use kiln_model::AutodiffBackend;
use kiln_training::{Frontend, Recipe, Run, Stopped};

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
            Some(_) => start::check(&gpt, &files.path().display().to_string(), &folder)?,
            None => start::remember(&gpt, &folder)?,
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
    let how = match summary.stopped {
        Stopped::Finished => "finished",
        Stopped::NoImprovement => "stopped early: the validation loss no longer improves;",
        Stopped::TimeBudget => "stopped: training.max_minutes are over;",
        Stopped::Quit | Stopped::Next | Stopped::Interrupted => "stopped",
    };
    let (step, steps) = (summary.step, settings.training.steps);
    writeln!(out, "{how} at step {step} of {steps} after {:.0} s", summary.seconds)?;
    let quoted_folder = quoted(&folder.to_string_lossy());
    if step < steps && summary.stopped != Stopped::NoImprovement {
        let minutes = match summary.stopped {
            Stopped::TimeBudget => format!(" --minutes {}", 2.0 * settings.training.max_minutes),
            _ => String::new(),
        };
        let resume = format!("kiln finetune {} --run-dir {quoted_folder} --resume{minutes}", finetune.task);
        print_message(format_args!("continue with: {resume}"));
    }
    let Some(figures) = figures else {
        if matches!(summary.stopped, Stopped::Finished | Stopped::NoImprovement | Stopped::TimeBudget)
            && summary.best.is_none()
        {
            bail!(
                "no evaluation came to a finite loss, so there is no model\nhint: try a lower learning rate: `--lr {:e}`",
                settings.optimizer.learning_rate / 10.0
            );
        }
        if step >= steps {
            print_message(format_args!(
                "the results are still to be measured: kiln finetune {} --run-dir {quoted_folder} --resume",
                finetune.task
            ));
        }
        return Ok(());
    };
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
    writeln!(out, "\nnext:  {}", next(finetune.task, &quoted_folder))?;
    Ok(())
}

/// What to do with the model.
fn next(task: Task, folder: &str) -> String {
    match task {
        Task::Classify => format!("kiln classify --model {folder} --text \"…\""),
        Task::Instruct | Task::Dpo => format!("kiln generate --model {folder} --chat --prompt \"…\""),
    }
}
