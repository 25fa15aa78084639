//! A run that learns an autoencoder: of the model that was asked for, or of one that never learned anything.

use std::sync::Arc;

use anyhow::{Result, bail};
use burn::tensor::backend::AutodiffBackend as BurnAutodiffBackend;
use indicatif::{ProgressBar, ProgressStyle};
use kiln_model::{AutodiffBackend, Backend, GptModel, SaeConfig, Site, base_checksum};
use kiln_training::{
    Calibrated, Checkpoint, DictionaryConfig, DictionaryModel, Frontend, Harvest, HarvestedSlices,
    LearnDictionary, Recipe, Run, RunDir, Stop, Summary, train,
};

use super::texts::{self, TextWindows};
use crate::settings::{SaeSection, Settings};

/// Vectors that the threshold is found on, at most.
const HELD_OUT: usize = 100_000;

/// Batches of them at least.
const LEAST_BATCHES: usize = 8;

/// Of the vectors that are learned from, one in so many is held out.
const HELD_OUT_SHARE: usize = 20;

/// What an autoencoder looks into.
pub struct Subject<B: Backend> {
    pub gpt: GptModel<B>,
    pub name: String,
    pub site: Site,
    pub texts: TextWindows,
    /// The token between two texts.
    pub separator: Option<u32>,
}

/// How and where it learns.
pub struct Learning {
    pub settings: Settings,
    pub run: RunDir,
    pub checkpoint: Option<Checkpoint>,
    pub frontend: Frontend,
    pub backend: &'static str,
    pub stop: Stop,
}

/// Learns.
pub fn learn<B: AutodiffBackend>(
    subject: Subject<<B as BurnAutodiffBackend>::InnerBackend>,
    learning: Learning,
    device: &B::Device,
) -> Result<Summary> {
    let Subject { gpt, name: model_name, site, texts, separator } = subject;
    let Learning { mut settings, run, checkpoint, frontend, backend, stop } = learning;
    let mut section = settings.sae.clone().unwrap_or_default();
    let (model_checksum, d_in) = (base_checksum(&gpt), gpt.config().d_model);
    let (batch, seed) = (settings.training.batch_size, settings.training.seed);
    let texts = Box::new(move |portion, number| texts.batch(portion, number));
    let slices = HarvestedSlices::new(Harvest { gpt, site, texts, separator }, batch, seed);
    // All that is learned comes from the checkpoint.
    let mut mean = vec![0.0; d_in];
    if checkpoint.is_none() {
        mean = measure(&slices, &mut section, d_in)?;
    }
    settings.sae = Some(section.clone());
    let text = toml::to_string_pretty(&settings)?;
    run.write_config(&text)?;
    let tokens = settings.training.steps * batch;
    let bar = bar("vectors to evaluate on")?;
    let held_out = (tokens / HELD_OUT_SHARE).max(LEAST_BATCHES * batch).min(HELD_OUT);
    let held_out = slices.held_out(held_out, |done, total| show(&bar, done, total));
    bar.finish_and_clear();
    let SaeSection { d_sae, k, context_length, dead_after, scale, .. } = section;
    let config = SaeConfig {
        model_name,
        context_length: Some(context_length),
        dataset: Some(texts::name(&settings)),
        model_checksum: Some(model_checksum),
        mean_norm: Some((d_in as f64).sqrt() / scale),
        k: Some(k),
        training_tokens: Some(tokens as u64),
        ..SaeConfig::new(d_in, d_sae, site)
    };
    let learned = DictionaryConfig { d_in, d_sae, k, scale, dead_after: dead_after as f64, seed };
    let model = DictionaryModel::<B>::new(learned, &mean, device);
    let objective = LearnDictionary::new(slices, Calibrated { config, held_out: Arc::new(held_out) });
    let Settings { optimizer, schedule, training, .. } = settings;
    let run = Run {
        recipe: Recipe { optimizer, schedule, training },
        directory: run,
        config: text,
        checkpoint,
        frontend,
        backend: backend.to_owned(),
        floor: None,
        part: None,
        stop,
    };
    Ok(train(objective, model, run)?)
}

/// The mean of the first vectors; their lengths decide the scale, where it is not set.
fn measure<B: Backend>(
    slices: &HarvestedSlices<B>,
    section: &mut SaeSection,
    d_in: usize,
) -> Result<Vec<f64>> {
    let bar = bar("vectors to measure")?;
    let first = slices.first(|done, total| show(&bar, done, total));
    bar.finish_and_clear();
    let norm = first.mean_norm();
    if first.is_empty() || !norm.is_finite() || norm == 0.0 {
        bail!("{}: the mean length of {} vectors is {norm}", section.hook, first.len());
    }
    if section.scale == 0.0 {
        section.scale = (d_in as f64).sqrt() / norm;
    }
    Ok(first.mean())
}

/// A bar of batches; hidden where standard error is no terminal.
pub fn bar(what: &'static str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} batches, {eta} left, {msg}")?;
    Ok(ProgressBar::new(0).with_style(style).with_message(what))
}

/// Moves a bar.
pub fn show(bar: &ProgressBar, done: usize, total: usize) {
    bar.set_length(total as u64);
    bar.set_position(done as u64);
}
