//! What is learned: a module, the batches it reads, and its loss. The loop in `fit` knows an objective by these traits
//! alone; pretraining is the first.

mod classify;
mod examples;
mod gradients;
mod instruct;
mod interrupt;
mod measure;
mod outcome;
mod preference;
mod pretrain;
mod sae;
mod segments;
mod tuning;

use std::fmt::{Debug, Display};
use std::path::Path;

use burn::module::AutodiffModule;
use burn_train::{InferenceStep, TrainStep};
use kiln_model::{AutodiffBackend, Backend, Parameter};

use crate::error::Result;
use crate::run::{EvaluationRecord, StepRecord, TaskFigures, ValidationText};

pub use self::classify::{ClassifierModel, LabelledText, rarer_label};
pub use self::gradients::mean_gradients;
pub use self::instruct::AnswerModel;
pub use self::interrupt::Interrupt;
pub use self::measure::{Measured, measure};
pub use self::outcome::Outcome;
pub use self::preference::{Pair, PreferenceLoss, PreferenceModel, reference};
pub use self::pretrain::{LanguageModel, Pretrain, SampleWriter};
pub use self::sae::{
    Calibrated, Dictionary, DictionaryConfig, DictionaryModel, Harvest, HarvestedSlices, LearnDictionary,
    Portion, Texts, Vectors,
};
pub use self::segments::Segment;
pub use self::tuning::{Example, Examples, Sampling, Saving, Tuned, Tuning, Writing};

pub(crate) use self::gradients::scalar;
pub(crate) use self::outcome::add_sums;

/// What one forward pass reads.
pub trait MicroBatch: Clone + Debug + Send + 'static {
    /// Tokens that the module reads.
    fn num_tokens(&self) -> usize;

    /// Targets that count: what the loss is a mean over, and what the batch weighs.
    fn num_targets(&self) -> usize;

    /// The same examples in parts of at most `most` each, in order.
    fn split(self, most: usize) -> Vec<Self>;
}

/// What one optimizer step reads, still on the host.
#[derive(Clone, Debug)]
pub struct MicroBatches<T> {
    /// In order.
    pub batches: Vec<T>,
    /// Breaks the step off between two of them.
    pub interrupt: Interrupt,
}

impl<T> From<Vec<T>> for MicroBatches<T> {
    fn from(batches: Vec<T>) -> Self {
        Self { batches, interrupt: Interrupt::default() }
    }
}

/// A module that knows its loss, on a backend with gradients or without.
pub trait Learns<B: Backend> {
    /// What one pass reads.
    type Batch: MicroBatch;

    /// The mean loss over the counted targets of `batch`, and what else is measured of it.
    fn outcome(&self, batch: &Self::Batch) -> Outcome<B>;

    /// The figures of the task, from the sums of batches with so many counted targets.
    fn figures(&self, _sums: &[f64], _targets: usize) -> TaskFigures {
        TaskFigures::default()
    }
}

/// What a run learns.
pub trait Objective<B: AutodiffBackend>: Send + Sync + 'static {
    /// What one pass reads.
    type Batch: MicroBatch;
    /// The module that learns. As burn-train wants it, its step is [`mean_gradients`].
    type Module: Learns<B, Batch = Self::Batch>
        + AutodiffModule<B, InnerModule = Self::Inner>
        + TrainStep<Input = MicroBatches<Self::Batch>, Output = StepRecord>
        + Display
        + 'static;
    /// The same module without gradients, for evaluation and samples.
    type Inner: Learns<B::InnerBackend, Batch = Self::Batch>
        + InferenceStep<Input = Self::Batch, Output = EvaluationRecord>;

    /// The module in a few words, for people.
    fn describe(&self, module: &Self::Module) -> String;

    /// The parameters of `module`, by the names that a model directory gives them.
    fn parameters(&self, module: &Self::Module) -> Vec<Parameter>;

    /// The batches of optimizer step `step`, counted from zero. A function of the step alone, so that a resumed run reads
    /// what the uninterrupted one would have read.
    fn batches(&self, step: usize) -> Vec<Self::Batch>;

    /// Number of validation batches.
    fn num_validation_batches(&self) -> usize;

    /// The validation split, front to back.
    fn validation_batches(&self) -> Box<dyn Iterator<Item = Self::Batch> + '_>;

    /// What is known of the validation split's text, where it is one text.
    fn validation_text(&self) -> Option<ValidationText> {
        None
    }

    /// Floating-point operations of a step on one token, forward and backward.
    fn flops_per_token(&self, module: &Self::Module) -> f64;

    /// Writes what belongs into a model directory beside the weights and never changes.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn save_tokenizer(&self, directory: &Path) -> Result<()>;

    /// Writes the weights into a model directory.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    fn save_model(&self, model: &Self::Inner, directory: &Path) -> Result<()>;

    /// A text by the model, where the run shows any; `stop` says when to give up.
    fn sample(&self, model: &Self::Inner, stop: &mut dyn FnMut() -> bool) -> Option<String>;
}
