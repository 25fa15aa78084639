//! What goes into a run, and what comes out of it.

use burn_train::Interrupter;
use kiln_datasets::{Dataset, Order, Tokenizer};
use kiln_model::{AutodiffBackend, GptModel};

use crate::fit::strategy::Sample;
use crate::run::checkpoint::Checkpoint;
use crate::{OptimizerConfig, RunDir, ScheduleConfig, TrainingConfig};

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Display {
    /// The dashboard on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// Nothing.
    Quiet,
}

/// Everything a pretraining run is made of.
pub struct Pretraining<B: AutodiffBackend> {
    /// The model to train.
    pub model: GptModel<B>,
    /// Writes the text that the model reads; saved beside it.
    pub tokenizer: Tokenizer,
    /// Training and validation split.
    pub dataset: Dataset,
    /// How windows follow each other.
    pub order: Order,
    /// AdamW's numbers.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the run.
    pub schedule: ScheduleConfig,
    /// Steps, batch, evaluation.
    pub training: TrainingConfig,
    /// Where the run is written.
    pub run: RunDir,
    /// The resolved configuration as text: each checkpoint keeps it.
    pub resolved: String,
    /// Where to continue, of [`RunDir::newest_checkpoint`]; `None` begins a new run.
    pub resume: Option<Checkpoint>,
    /// How it is shown.
    pub display: Display,
    /// What the backend is called, for people.
    pub backend: String,
    /// A loss that no model can beat, if the corpus knows one.
    pub floor: Option<f64>,
    /// Writes a text with the current model, at each evaluation; gives up when its second argument says so.
    pub sample: Option<Sample<B>>,
    /// Stops the run from outside, with a checkpoint.
    pub interrupter: Interrupter,
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
    /// A signal, or Control-C.
    Interrupted,
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
    /// Loss of the last step.
    pub train_loss: f64,
    /// Last evaluation of this process: step and loss.
    pub last: Option<(usize, f64)>,
    /// Best evaluation: step and loss.
    pub best: Option<(usize, f64)>,
    /// Steps left out because something was not finite.
    pub skipped: usize,
}
