//! The part of `kiln sae train` that runs on a backend.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use burn::tensor::backend::AutodiffBackend as BurnAutodiffBackend;
use indicatif::{ProgressBar, ProgressStyle};
use kiln_model::{AutodiffBackend, SaeConfig, base_checksum};
use kiln_training::{
    Calibrated, DictionaryConfig, DictionaryModel, Frontend, Harvest, HarvestedSlices, LearnDictionary,
    Recipe, Run, Stopped, Summary, Vectors, train,
};

use super::train::Prepared;
use crate::backend::TrainingJob;
use crate::commands::finetune::start;
use crate::commands::shell::quoted;
use crate::output::{self, print_message};
use crate::settings::{SaeSection, Settings};
use crate::signals;

/// Vectors that the threshold is found on, at most.
const HELD_OUT: usize = 100_000;

/// Of the vectors that are learned from, one in so many is held out at least.
const HELD_OUT_SHARE: usize = 20;

/// A run, and how it is shown.
pub struct Training {
    pub(super) prepared: Prepared,
    pub(super) frontend: Frontend,
}

impl TrainingJob for Training {
    type Output = ExitCode;

    fn run<B: AutodiffBackend>(self, device: B::Device, name: &'static str) -> Result<ExitCode> {
        let Self { prepared, frontend } = self;
        let Prepared { mut settings, mut section, site, files, tokenizer, texts, run, checkpoint } = prepared;
        let gpt = files.load::<<B as BurnAutodiffBackend>::InnerBackend>(&device)?;
        let model_name = files.path().display().to_string();
        match &checkpoint {
            Some(_) => start::check(&gpt, &model_name, &run)?,
            None => start::remember(&gpt, &run)?,
        }
        print_message(format_args!(
            "looking into {model_name} at {site} on {name}, run directory {}",
            run.path().display()
        ));
        let stop = signals::handle()?;
        let (model_checksum, d_in) = (base_checksum(&gpt), gpt.config().d_model);
        let batch = settings.training.batch_size;
        let harvest = Harvest {
            gpt,
            site,
            texts: Box::new(move |portion, number| texts.batch(portion, number)),
            separator: tokenizer.end_of_text(),
        };
        let slices = HarvestedSlices::new(harvest, batch, settings.training.seed);
        let (mean, mean_norm) = measure(&slices, &mut section, d_in)?;
        settings.sae = Some(section.clone());
        let text = toml::to_string_pretty(&settings)?;
        run.write_config(&text)?;
        let tokens = settings.training.steps * batch;
        let held_out = held_out(&slices, (tokens / HELD_OUT_SHARE).min(HELD_OUT))?;
        let SaeSection { d_sae, k, context_length, dead_after, scale, .. } = section;
        let config = SaeConfig {
            model_name,
            context_length: Some(context_length),
            dataset: Some(super::texts::name(&settings)),
            model_checksum: Some(model_checksum),
            mean_norm: Some(mean_norm),
            k: Some(k),
            training_tokens: Some(tokens as u64),
            ..SaeConfig::new(d_in, d_sae, site)
        };
        let dead_after = dead_after as f64;
        let learned = DictionaryConfig { d_in, d_sae, k, scale, dead_after, seed: settings.training.seed };
        let model = DictionaryModel::<B>::new(learned, &mean, &device);
        let objective = LearnDictionary::new(slices, Calibrated { config, held_out: Arc::new(held_out) });
        let Settings { optimizer, schedule, training, .. } = settings.clone();
        let folder = run.path().to_owned();
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
        let summary = train(objective, model, run)?;
        let told = tell(&summary, &settings, &folder.to_string_lossy());
        if let Some(signal) = stop.reason() {
            return Ok(signals::exit_code(signal));
        }
        told?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The mean of the first vectors and of their lengths; decides the scale of a new run.
fn measure<B: kiln_model::Backend>(
    slices: &HarvestedSlices<B>,
    section: &mut SaeSection,
    d_in: usize,
) -> Result<(Vec<f64>, f64)> {
    if section.scale > 0.0 {
        // All that is learned comes from the checkpoint.
        return Ok((vec![0.0; d_in], (d_in as f64).sqrt() / section.scale));
    }
    let bar = bar("vectors to measure")?;
    let first = slices.first(|done, total| show(&bar, done, total));
    bar.finish_and_clear();
    let norm = first.mean_norm();
    if first.is_empty() || !norm.is_finite() || norm == 0.0 {
        bail!("{}: the mean length of {} vectors is {norm}", section.hook, first.len());
    }
    section.scale = (d_in as f64).sqrt() / norm;
    Ok((first.mean(), norm))
}

/// Vectors of texts that no step reads.
fn held_out<B: kiln_model::Backend>(slices: &HarvestedSlices<B>, len: usize) -> Result<Vec<Vectors>> {
    let bar = bar("vectors to evaluate on")?;
    let held_out = slices.held_out(len, |done, total| show(&bar, done, total));
    bar.finish_and_clear();
    Ok(held_out)
}

fn bar(what: &'static str) -> Result<ProgressBar> {
    // Hidden where standard error is no terminal.
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} batches, {eta} left, {msg}")?;
    Ok(ProgressBar::new(0).with_style(style).with_message(what))
}

fn show(bar: &ProgressBar, done: usize, total: usize) {
    bar.set_length(total as u64);
    bar.set_position(done as u64);
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
    if let Some(last) = &summary.last {
        for (name, value) in last.task.rows() {
            writeln!(out, "{name:<20}  {value}")?;
        }
    }
    let model = settings.sae.as_ref().map(|section| section.model.display().to_string()).unwrap_or_default();
    writeln!(out, "run directory {folder}: model/, metrics.jsonl, loss.svg")?;
    writeln!(out, "\nnext:  kiln sae eval {named} --model {}", quoted(&model))?;
    Ok(())
}
