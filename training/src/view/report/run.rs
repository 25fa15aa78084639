//! What the page knows of a run.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::run::metrics::{MetricsLine, SampleLine, Split};

/// Points of a curve at most; longer ones are averaged piece by piece.
const POINTS: usize = 1000;

/// Step, tokens, seconds and a value.
type Point = (usize, u64, f64, f64);

#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) name: String,
    path: String,
    /// `section.key` and its value, in the order of the file.
    config: serde_json::Map<String, serde_json::Value>,
    train: Vec<Point>,
    valid: Vec<Point>,
    rates: Vec<Point>,
    samples: Vec<SampleLine>,
    step: usize,
    tokens: u64,
    seconds: f64,
    best: Option<(usize, f64)>,
}

impl Run {
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let metrics = directory.join("metrics.jsonl");
        if !metrics.is_file() {
            return Err(Error::Format { path: metrics, reason: "no run here".to_owned() });
        }
        let lines = MetricsLine::read(&metrics)?;
        let of = |split: Split| lines.iter().filter(move |line| line.split == split);
        let point = |line: &MetricsLine, value: f64| (line.step, line.tokens, line.seconds, value);
        let losses = |split| of(split).filter_map(|line| Some(point(line, line.loss?))).collect::<Vec<_>>();
        let rates: Vec<Point> = of(Split::Train).map(|line| point(line, line.learning_rate)).collect();
        let valid = losses(Split::Valid);
        let best = valid.iter().min_by(|a, b| a.3.total_cmp(&b.3)).map(|point| (point.0, point.3));
        let (step, tokens, seconds) =
            rates.last().map_or((0, 0, 0.0), |(step, tokens, seconds, _)| (*step, *tokens, *seconds));
        let name = directory.file_name().unwrap_or(directory.as_os_str());
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            path: directory.display().to_string(),
            config: config(&directory.join("config.toml"))?,
            train: thinned(&losses(Split::Train)),
            valid: thinned(&valid),
            rates: thinned(&rates),
            samples: SampleLine::read(&directory.join("samples.jsonl"))?,
            step,
            tokens,
            seconds,
            best,
        })
    }
}

fn config(path: &Path) -> Result<serde_json::Map<String, serde_json::Value>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|error| Error::Format { path: path.to_owned(), reason: error.message().to_owned() })?;
    let mut keys = serde_json::Map::new();
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

/// The mean of each piece, at its last point.
fn thinned(points: &[Point]) -> Vec<Point> {
    let piece = points.len().div_ceil(POINTS).max(1);
    let mean = |piece: &[Point]| {
        let (step, tokens, seconds, _) = *piece.last()?;
        Some((step, tokens, seconds, piece.iter().map(|point| point.3).sum::<f64>() / piece.len() as f64))
    };
    points.chunks(piece).filter_map(mean).collect()
}
