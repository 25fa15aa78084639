//! How the runs of a sweep went, the best first.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use kiln_training::{History, RunDir};
use serde_json::{Value, json};

use crate::output;

/// One run.
pub struct Row {
    name: String,
    directory: PathBuf,
    outcome: Outcome,
    /// Best validation loss and its step.
    best: Option<(f64, usize)>,
    train_loss: Option<f64>,
    steps: usize,
    seconds: f64,
}

/// How a run ended.
pub enum Outcome {
    /// By its steps, its time, or a loss that no longer improved.
    Finished,
    /// By hand.
    Stopped,
    Failed(String),
}

impl Row {
    /// The run in `directory`.
    pub fn read(name: String, directory: &Path, outcome: Outcome) -> Result<Self> {
        // A run that failed at once has measured nothing.
        let history = match RunDir::look(directory) {
            Ok(run) => run.history()?,
            Err(_) => History::default(),
        };
        let last = history.steps.last().copied().unwrap_or_default();
        Ok(Self {
            name,
            directory: directory.to_owned(),
            outcome,
            best: history.best().map(|record| (record.loss, record.step)),
            train_loss: history.steps.last().map(|record| record.loss).filter(|loss| loss.is_finite()),
            steps: last.step,
            seconds: last.seconds,
        })
    }

    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    fn json(&self) -> Value {
        let (status, error) = match &self.outcome {
            Outcome::Finished => ("finished", None),
            Outcome::Stopped => ("stopped", None),
            Outcome::Failed(error) => ("failed", Some(error)),
        };
        json!({ "name": self.name, "run_dir": self.directory, "loss": self.best.map(|best| best.0),
            "best_step": self.best.map(|best| best.1), "train_loss": self.train_loss, "steps": self.steps,
            "seconds": self.seconds, "status": status, "error": error })
    }

    /// Finished runs by validation loss; then those that someone stopped, which would be judged too soon; then failed ones.
    fn rank(&self) -> (u8, f64) {
        let class = match self.outcome {
            Outcome::Finished => 0,
            Outcome::Stopped => 1,
            Outcome::Failed(_) => 2,
        };
        (class, self.best.map_or(f64::INFINITY, |(loss, _)| loss))
    }
}

/// Prints the rows in the order of their ranks.
pub fn print(mut rows: Vec<Row>, directory: &Path, as_json: bool) -> Result<()> {
    rows.sort_by(|a, b| {
        let ((class_a, loss_a), (class_b, loss_b)) = (a.rank(), b.rank());
        class_a.cmp(&class_b).then(loss_a.total_cmp(&loss_b))
    });
    let mut out = output::stdout();
    if as_json {
        writeln!(out, "{}", json!({ "runs": rows.iter().map(Row::json).collect::<Vec<_>>() }))?;
        return Ok(());
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max("run".len());
    writeln!(out, "rank  {:<width$}  validation  at step  training   steps     time", "run")?;
    for (rank, row) in (1..).zip(&rows) {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
        let (rank, note) = match &row.outcome {
            Outcome::Finished => (rank.to_string(), String::new()),
            Outcome::Stopped => ("–".to_owned(), "  stopped by hand".to_owned()),
            Outcome::Failed(error) => ("–".to_owned(), format!("  failed: {error}")),
        };
        writeln!(
            out,
            "{rank:>4}  {:<width$}  {:>10}  {:>7}  {:>8}  {:>6}  {:>5.0} s{note}",
            row.name,
            number(row.best.map(|best| best.0)),
            row.best.map_or("–".to_owned(), |best| best.1.to_string()),
            number(row.train_loss),
            row.steps,
            row.seconds,
        )?;
    }
    writeln!(out, "\nside by side:  kiln report {}", directory.display())?;
    Ok(())
}
