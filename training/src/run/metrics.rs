//! `metrics.jsonl` and `samples.jsonl`: one object per optimizer step, per evaluation and per sample, in the order in
//! which they happened.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::run::json_lines::{JsonLines, read_all};
use crate::run::tensorboard::EventFile;

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
    /// Standard deviations of the loss from the mean of the 128 before it; `null` while there are few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_z: Option<Option<f64>>,
    /// The same of the gradient norm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grad_norm_z: Option<Option<f64>>,
    /// Seconds of training since the run began, pauses between resumed parts left out.
    pub seconds: f64,
}

impl MetricsLine {
    /// The lines of a run's `metrics.jsonl`, in order; one that is being written is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if the file cannot be read.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        read_all(path)
    }
}

/// Writes the numbers of a run to `metrics.jsonl`, and to TensorBoard's event files where they are wanted.
pub(crate) struct MetricsWriter {
    pub(crate) lines: JsonLines,
    pub(crate) events: Option<EventFile>,
}

impl MetricsWriter {
    /// Appends a line, which other programs see at once.
    pub(crate) fn write(&mut self, line: &MetricsLine) -> Result<()> {
        if let Some(events) = &mut self.events {
            events.write(line)?;
        }
        self.lines.write(line)
    }

    /// Waits until the lines are on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.lines.sync()
    }
}

/// One line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleLine {
    /// Updates done when it was written.
    pub step: usize,
    /// What the model wrote.
    pub text: String,
}

impl SampleLine {
    /// The lines of a run's `samples.jsonl`, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if the file cannot be read.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        read_all(path)
    }
}
