//! The part of `kiln sae train` that runs on a backend.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use burn::tensor::backend::AutodiffBackend as BurnAutodiffBackend;
use kiln_model::AutodiffBackend;
use kiln_training::{Frontend, Stopped, Summary};

use super::learn::{Learning, Subject, learn};
use super::train::Prepared;
use crate::backend::TrainingJob;
use crate::commands::finetune::start;
use crate::commands::shell::quoted;
use crate::output::{self, print_message};
use crate::settings::Settings;
use crate::signals;

/// A run, and how it is shown.
pub struct Training {
    pub(super) prepared: Prepared,
    pub(super) frontend: Frontend,
}

impl TrainingJob for Training {
    type Output = ExitCode;

    fn run<B: AutodiffBackend>(self, device: B::Device, backend: &'static str) -> Result<ExitCode> {
        let Self { prepared, frontend } = self;
        let Prepared { settings, site, files, tokenizer, texts, run, checkpoint } = prepared;
        let gpt = files.load::<<B as BurnAutodiffBackend>::InnerBackend>(&device)?;
        let name = files.path().display().to_string();
        match &checkpoint {
            Some(_) => start::check(&gpt, &name, &run)?,
            None => start::remember(&gpt, &run)?,
        }
        let folder = run.path().to_owned();
        print_message(format_args!(
            "looking into {name} at {site} on {backend}, run directory {}",
            folder.display()
        ));
        let stop = signals::handle()?;
        let subject = Subject { gpt, name, site, texts, separator: tokenizer.end_of_text() };
        let learning =
            Learning { settings: settings.clone(), run, checkpoint, frontend, backend, stop: stop.clone() };
        let summary = learn::<B>(subject, learning, &device)?;
        let told = tell(&summary, &settings, &folder.to_string_lossy());
        if let Some(signal) = stop.reason() {
            // Whoever asked may be gone, and the terminal with them: what they cannot read is no failure of the run.
            return Ok(signals::exit_code(signal));
        }
        told?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Says how the run went, and what to do next.
fn tell(summary: &Summary, settings: &Settings, folder: &str) -> Result<()> {
    let mut out = output::stdout();
    let (step, steps) = (summary.step, settings.training.steps);
    writeln!(out, "{} at step {step} of {steps} after {:.0} s", summary.stopped, summary.seconds)?;
    let named = quoted(folder);
    if step < steps && summary.stopped != Stopped::NoImprovement {
        print_message(format_args!("continue with: kiln sae train --out {named} --resume"));
    }
    for (name, value) in summary.last.iter().flat_map(|last| last.task.rows()) {
        writeln!(out, "{name:<20}  {value}")?;
    }
    let model = settings.sae.as_ref().map(|section| section.model.display().to_string()).unwrap_or_default();
    writeln!(out, "run directory {folder}: model/, metrics.jsonl, loss.svg")?;
    writeln!(out, "\nnext:  kiln sae eval {named} --model {}", quoted(&model))?;
    Ok(())
}
