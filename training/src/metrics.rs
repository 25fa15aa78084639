//! `metrics.jsonl`: one object per optimizer step and per evaluation, in the order in which they happened.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which part of the data a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// One optimizer step.
    Train,
    /// One evaluation.
    Valid,
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    /// Updates done, counted from 1.
    pub step: usize,
    /// What was measured.
    pub split: Split,
    /// Nats per token; `null` where it is not finite.
    pub loss: Option<f64>,
    /// Training tokens seen since the run began.
    pub tokens: u64,
    /// Training tokens per second of this step, or of evaluation.
    pub tokens_per_second: f64,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Global norm of the gradients before clipping; absent in evaluations, `null` where it is not finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grad_norm: Option<Option<f64>>,
    /// Seconds of training since the run began, pauses between resumed parts left out.
    pub seconds: f64,
}

/// Appends to `metrics.jsonl`.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl MetricsFile {
    /// Opens the file for a run that has done `step` updates, and drops what an interrupted run wrote after them.
    pub(crate) fn open(path: &Path, step: usize) -> Result<(Self, Vec<MetricsLine>)> {
        let kept = if path.exists() { read(path)? } else { Vec::new() };
        let kept: Vec<MetricsLine> = kept.into_iter().filter(|line| line.step <= step).collect();
        kiln_model::write_atomically(path, |temporary| {
            let text: String = kept.iter().map(|line| render(line) + "\n").collect();
            std::fs::write(temporary, text)
                .map_err(|source| kiln_model::Error::Io { path: temporary.to_owned(), source })
        })?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io(path))?;
        Ok((Self { path: path.to_owned(), file: BufWriter::new(file) }, kept))
    }

    pub(crate) fn write(&mut self, line: &MetricsLine) -> Result<()> {
        writeln!(self.file, "{}", render(line)).map_err(Error::io(&self.path))
    }

    /// Hands the lines to the system, so that other programs and a resumed run see them.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::io(&self.path))
    }

    /// Waits until they are on the disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.file.get_ref().sync_data().map_err(Error::io(&self.path))
    }
}

fn render(line: &MetricsLine) -> String {
    serde_json::to_string(line).expect("a struct of numbers serialises")
}

/// All whole lines; a last one that a crash cut short is left out.
fn read(path: &Path) -> Result<Vec<MetricsLine>> {
    let file = File::open(path).map_err(Error::io(path))?;
    let mut lines = Vec::new();
    for line in BufReader::new(file).lines() {
        match serde_json::from_str(&line.map_err(Error::io(path))?) {
            Ok(line) => lines.push(line),
            Err(_) => break,
        }
    }
    Ok(lines)
}
