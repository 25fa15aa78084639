//! What a run is started with, and how it went.

use std::fmt;

use crate::Stop;
use crate::recipe::Recipe;
use crate::run::{Checkpoint, EvaluationRecord, RunDir};
use crate::view::{Frontend, Part};

/// Everything a run needs beside what is learned.
#[derive(Debug)]
pub struct Run {
    /// What it is trained with.
    pub recipe: Recipe,
    /// Where it is written.
    pub directory: RunDir,
    /// The resolved configuration as text: each checkpoint keeps it.
    pub config: String,
    /// Where to resume, of [`RunView::newest_checkpoint`](crate::RunView::newest_checkpoint); `None` starts a new run.
    pub checkpoint: Option<Checkpoint>,
    /// How it is shown.
    pub frontend: Frontend,
    /// What the backend is called, for people.
    pub backend: String,
    /// A loss that no model can beat, if the corpus knows one.
    pub floor: Option<f64>,
    /// Which of several runs it is, where one follows the other.
    pub part: Option<Part>,
    /// Stops the run from outside, with a checkpoint.
    pub stop: Stop,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All steps are done.
    Finished,
    /// The validation loss has not improved for `training.patience` evaluations.
    NoImprovement,
    /// `training.max_minutes` are over.
    TimeBudget,
    /// Someone pressed `q`.
    Quit,
    /// Someone pressed `n`: the next of several runs is to start.
    Next,
    /// Someone asked by [`Run::stop`].
    Interrupted,
}

impl fmt::Display for Stopped {
    /// What goes before `at step 5 of 10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::NoImprovement => "stopped early: the validation loss no longer improves;",
            Self::TimeBudget => "stopped: training.max_minutes are over;",
            Self::Quit | Self::Next | Self::Interrupted => "stopped",
        })
    }
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Why it ended.
    pub stopped: Stopped,
    /// Updates done.
    pub step: usize,
    /// Training tokens seen.
    pub tokens: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Loss of the last step of this process; NaN where there was none.
    pub train_loss: f64,
    /// Last evaluation of this process.
    pub last: Option<EvaluationRecord>,
    /// Best evaluation: step and loss.
    pub best: Option<(usize, f64)>,
    /// Steps left out because something was not finite.
    pub skipped: usize,
    /// Numbers in the parameters that learn.
    pub trained_parameters: usize,
}
