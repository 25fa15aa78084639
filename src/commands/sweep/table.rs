//! How the runs of a sweep went, the best first.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use kiln_training::{History, RunDir};
use serde_json::json;

/// One run.
pub struct Row {
    name: String,
    directory: PathBuf,
    /// Best validation loss and its step.
    best: Option<(f64, usize)>,
    train_loss: Option<f64>,
    steps: usize,
    seconds: f64,
}

impl Row {
    pub fn read(name: String, directory: &Path) -> Result<Self> {
        // A run that failed at once has measured nothing.
        let history = match RunDir::look(directory) {
            Ok(run) => run.history()?,
            Err(_) => History::default(),
        };
        let last = history.steps.last().copied().unwrap_or_default();
        Ok(Self {
            name,
            directory: directory.to_owned(),
            best: history.best().map(|record| (record.loss, record.step)),
            train_loss: history.steps.last().map(|record| record.loss).filter(|loss| loss.is_finite()),
            steps: last.step,
            seconds: last.seconds,
        })
    }
}

/// Prints the rows by validation loss; runs without one come last.
pub fn print(mut rows: Vec<Row>, directory: &Path, as_json: bool) -> Result<()> {
    let loss = |row: &Row| row.best.map_or(f64::INFINITY, |(loss, _)| loss);
    rows.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let mut out = std::io::stdout();
    if as_json {
        let row = |row: &Row| {
            json!({ "name": row.name, "run_dir": row.directory, "loss": row.best.map(|best| best.0),
                "best_step": row.best.map(|best| best.1), "train_loss": row.train_loss, "steps": row.steps,
                "seconds": row.seconds })
        };
        writeln!(out, "{}", json!({ "runs": rows.iter().map(row).collect::<Vec<_>>() }))?;
        return Ok(());
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max("run".len());
    writeln!(out, "rank  {:<width$}  validation  at step  training   steps     time", "run")?;
    for (rank, row) in (1..).zip(&rows) {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
        writeln!(
            out,
            "{rank:>4}  {:<width$}  {:>10}  {:>7}  {:>8}  {:>6}  {:>5.0} s",
            row.name,
            number(row.best.map(|best| best.0)),
            row.best.map_or("–".to_owned(), |best| best.1.to_string()),
            number(row.train_loss),
            row.steps,
            row.seconds,
        )?;
    }
    writeln!(out, "\nside by side:  kiln report {}/*", directory.display())?;
    Ok(())
}
