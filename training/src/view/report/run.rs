//! What the page knows of a run.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::run::{EvaluationRecord, RunDir, RunView, SampleRecord, StepRecord, ValidationText};

/// Points of a curve at most; longer ones are averaged piece by piece.
const POINTS: usize = 1000;

/// Step, tokens, seconds and a value.
type Point = (usize, u64, f64, f64);

#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) name: String,
    path: String,
    /// `section.key` and its value, in the order of the file.
    config: Map<String, Value>,
    train: Vec<Point>,
    valid: Vec<Point>,
    rates: Vec<Point>,
    norms: Vec<Point>,
    speeds: Vec<Point>,
    samples: Vec<SampleRecord>,
    step: usize,
    tokens: u64,
    seconds: f64,
    best: Option<(usize, f64)>,
    /// The best validation loss in bits per byte of text.
    bits_per_byte: Option<f64>,
    /// The loss that no model can expect to beat.
    floor: Option<f64>,
    training_loss: Option<f64>,
    /// The same where losses in nats per token can be compared.
    origin: String,
}

impl Run {
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let run = RunDir::look(directory)?;
        let history = run.history()?;
        let losses = |record: &StepRecord| (record.step, record.tokens, record.seconds, record.loss);
        let rates = |record: &StepRecord| (record.step, record.tokens, record.seconds, record.learning_rate);
        let norms = |record: &StepRecord| (record.step, record.tokens, record.seconds, record.grad_norm);
        let speeds =
            |record: &StepRecord| (record.step, record.tokens, record.seconds, record.tokens_per_second);
        let valid = |record: &EvaluationRecord| (record.step, record.tokens, record.seconds, record.loss);
        let last = history.steps.last().copied().unwrap_or_default();
        let best = history.best().map(|record| (record.step, record.loss));
        let (config, text) = (config(&run)?, run.validation_text()?);
        let name = directory.file_name().unwrap_or(directory.as_os_str());
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            path: directory.display().to_string(),
            origin: origin(&config, text.as_ref()),
            config,
            train: thinned(history.steps.iter().map(losses)),
            valid: thinned(history.evaluations.iter().map(valid)),
            rates: thinned(history.steps.iter().map(rates)),
            norms: thinned(history.steps.iter().map(norms)),
            speeds: thinned(history.steps.iter().map(speeds)),
            samples: run.samples()?,
            step: last.step,
            tokens: last.tokens,
            seconds: last.seconds,
            best,
            bits_per_byte: text.as_ref().zip(best).and_then(|(text, (_, loss))| text.bits_per_byte(loss)),
            floor: text.and_then(|text| text.floor),
            training_loss: history.training_loss(),
        })
    }
}

/// `section.key` and its value, in the order of the file.
fn config(run: &RunView) -> Result<Map<String, Value>> {
    let table: toml::Table = toml::from_str(&run.config()?)
        .map_err(|error| Error::Format { path: run.config_file(), reason: error.message().to_owned() })?;
    let mut keys = Map::new();
    for (section, value) in &table {
        for (key, value) in value.as_table().into_iter().flatten() {
            // On one line, where TOML would write a line break as one.
            let value = match value {
                toml::Value::String(text) => format!("{text:?}"),
                toml::Value::Float(number) => format!("{number:?}"),
                value => value.to_string(),
            };
            keys.insert(format!("{section}.{key}"), value.into());
        }
    }
    Ok(keys)
}

/// What the validation text and its tokens are known by; of a run that does not say, how they were configured.
fn origin(config: &Map<String, Value>, text: Option<&ValidationText>) -> String {
    if let Some(ValidationText { tokens, text_bytes, checksum, .. }) = text {
        return format!("{tokens} {text_bytes} {checksum}");
    }
    let of_text = |key: &str| key.starts_with("data.") || key.starts_with("tokenizer.");
    let keys = config.iter().filter(|(key, _)| of_text(key));
    keys.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// The finite points in pieces: the mean of each, at its last point.
fn thinned(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let points: Vec<Point> = points.filter(|(.., value)| value.is_finite()).collect();
    let piece = points.len().div_ceil(POINTS).max(1);
    let mean = |piece: &[Point]| {
        let (step, tokens, seconds, _) = *piece.last()?;
        Some((step, tokens, seconds, piece.iter().map(|point| point.3).sum::<f64>() / piece.len() as f64))
    };
    points.chunks(piece).filter_map(mean).collect()
}
