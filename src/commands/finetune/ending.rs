//! How a run ended, whatever its task.

use kiln_training::Summary;
use serde_json::{Map, Value};

use super::results::{AllFigures, Figures};
use super::task_run::Best;

/// What is told of a run, and written down.
pub struct Ending {
    pub summary: Summary,
    /// `None` where somebody stopped the run.
    pub figures: Option<AllFigures>,
    /// What only this task has.
    pub more: Map<String, Value>,
    /// The same for people, line by line.
    pub notes: Vec<String>,
}

impl Ending {
    /// Of a run that was stopped.
    pub fn early(summary: Summary) -> Self {
        Self { summary, figures: None, more: Map::new(), notes: Vec::new() }
    }

    /// Of one that has a best model.
    pub fn of<M>(summary: Summary, best: &Best<M>) -> Self {
        let figures = AllFigures {
            before: (&best.before).into(),
            valid: (&best.valid).into(),
            test: best.test.as_ref().map(Figures::from),
        };
        Self { figures: Some(figures), ..Self::early(summary) }
    }
}
