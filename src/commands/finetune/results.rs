//! What a run comes to: `results.json`, and the same for people.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use kiln_training::{Measured, TaskFigures};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::settings::Task;

/// Where they are written, in the run directory.
pub const RESULTS: &str = "results.json";

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    pub task: Task,
    /// The model that the run started from.
    pub model: PathBuf,
    /// Updates done.
    pub steps: usize,
    /// Updates after which the model was the best.
    pub best_step: Option<usize>,
    pub seconds: f64,
    /// Numbers that learn.
    pub trainable_parameters: usize,
    pub examples: Counts,
    #[serde(flatten)]
    pub figures: AllFigures,
    /// What only this task has.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// How many examples there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub train: usize,
    pub valid: usize,
    pub test: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} training, {} validation and {} test examples", self.train, self.valid, self.test)
    }
}

/// What was measured before and after.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AllFigures {
    /// On the validation examples, before the first step.
    pub before: Figures,
    /// On the validation examples, by the best model.
    pub valid: Figures,
    /// On the test examples, by the best model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Figures>,
}

/// Loss and figures of the task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    pub loss: f64,
    #[serde(flatten)]
    pub task: TaskFigures,
}

impl From<&Measured> for Figures {
    fn from(measured: &Measured) -> Self {
        Self { loss: measured.loss, task: measured.task }
    }
}

impl Results {
    /// Writes them into a run directory.
    pub fn write(&self, run: &Path) -> Result<()> {
        Ok(kiln_model::write_file(&run.join(RESULTS), format!("{}\n", serde_json::to_string_pretty(self)?))?)
    }

    /// Prints them as a table, a column for each figure.
    pub fn print(&self, out: &mut impl Write) -> Result<()> {
        let AllFigures { before, valid, test } = &self.figures;
        let rows = [("before", Some(before)), ("validation", Some(valid)), ("test", test.as_ref())];
        let names: Vec<&str> = before.task.rows().iter().map(|(name, _)| *name).collect();
        write!(out, "{:<10}  {:>8}", "", "loss")?;
        names.iter().try_for_each(|name| write!(out, "  {name:>8}"))?;
        writeln!(out)?;
        for (name, figures) in rows {
            let Some(figures) = figures else { continue };
            write!(out, "{name:<10}  {:>8.4}", figures.loss)?;
            for (name, value) in figures.task.rows() {
                write!(out, "  {value:>width$}", width = name.len().max(8))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_names() {
        let figures = |loss, accuracy| Figures {
            loss,
            task: TaskFigures { accuracy: Some(accuracy), f1: Some(0.5), ..TaskFigures::default() },
        };
        let results = Results {
            task: Task::Classify,
            model: "base".into(),
            steps: 3,
            best_step: Some(2),
            seconds: 1.5,
            trainable_parameters: 7,
            examples: Counts { train: 4, valid: 2, test: 0 },
            figures: AllFigures { before: figures(0.75, 0.5), valid: figures(0.25, 1.0), test: None },
            more: Map::new(),
        };
        let mut printed = Vec::new();
        results.print(&mut printed).expect("memory");
        let expected = "                loss  accuracy        F1\n\
                        before        0.7500    50.0 %    0.5000\n\
                        validation    0.2500   100.0 %    0.5000\n";
        assert_eq!(String::from_utf8(printed).expect("text"), expected);
        let written = serde_json::to_value(&results).expect("numbers");
        assert_eq!(written["valid"], serde_json::json!({ "loss": 0.25, "accuracy": 1.0, "f1": 0.5 }));
        assert_eq!((&written["task"], &written["examples"]["train"]), (&"classify".into(), &4.into()));
    }
}
