//! Trains [`kiln_model`]'s GPT on [`burn_train`]: its learner drives, and the parts that a GPT run needs otherwise are
//! replaced behind its traits.
//!
//! [`train()`] takes an [`Objective`] (what is learned: [`Pretrain`]), a module, and a [`Run`] (the recipe, the run
//! directory, how it is shown). It leaves a [`RunDir`] with metrics, checkpoints and the best model, and resumes from any
//! checkpoint to the last bit.
//!
//! | folder | what it is |
//! |---|---|
//! | `recipe` | what a run is trained with: every number, AdamW and Muon, clipping, the schedule, what is frozen |
//! | `objective` | what is learned: a module, its batches and its loss |
//! | `fit` | the loop: step, evaluate, sample, checkpoint, stop |
//! | `run` | what a run leaves on the disk: records, checkpoints, event files |
//! | `view` | what a person sees: dashboard, plain lines, `loss.svg`, the page that compares runs |
//! | `machine` | whether a run fits into memory, and how fast a step is |
//! | `verify` | llm.c's published check of GPT-2 |
//!
//! # Example
//!
//! ```
//! use burn_autodiff::Autodiff;
//! use burn_ndarray::NdArray;
//! use kiln_datasets::{Order, TextSplits};
//! use kiln_model::GptConfig;
//! use kiln_training::{Frontend, LanguageModel, Pretrain, Recipe, Run, RunDir, Stop, TrainingConfig, train};
//!
//! type B = Autodiff<NdArray>;
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("run");
//! let text = "the kiln is hot, the clay is cold; ".repeat(20);
//! let splits = TextSplits { train: vec![text.clone()], valid: vec![text] };
//! let tokenizer = splits.character_tokenizer();
//! let config = GptConfig {
//!     vocab_size: tokenizer.vocab_size(),
//!     context_length: 16,
//!     ..GptConfig::new(1, 2, 16)
//! };
//! let training = TrainingConfig { steps: 6, batch_size: 2, eval_interval: 3, ..TrainingConfig::default() };
//!
//! let directory = RunDir::create(&folder, "# as resolved")?;
//! let dataset = splits.encode(&tokenizer, &directory.data())?;
//! let objective = Pretrain::<B>::new(dataset, tokenizer, Order::Random, config.context_length, &training)?;
//! let model = LanguageModel { gpt: config.init(1337, &Default::default())? };
//! let run = Run {
//!     recipe: Recipe { training, ..Recipe::default() },
//!     directory,
//!     config: "# as resolved".to_owned(),
//!     checkpoint: None,
//!     frontend: Frontend::Quiet,
//!     backend: "ndarray".to_owned(),
//!     floor: None,
//!     part: None,
//!     stop: Stop::default(),
//! };
//! let summary = train(objective, model, run)?;
//! assert_eq!(summary.step, 6);
//!
//! let history = RunDir::look(&folder)?.history()?;
//! assert_eq!((history.steps.len(), history.evaluations.len()), (6, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![recursion_limit = "256"]
#![warn(clippy::print_stderr, clippy::print_stdout, unreachable_pub)]

mod error;
mod fit;
mod machine;
mod objective;
mod recipe;
mod run;
mod verify;
mod view;

pub use error::{Error, Result};
pub use fit::{Run, Stop, Stopped, Summary, train};
pub use machine::{DeviceKind, MemoryPlan, StepTimes, time_steps};
pub use objective::{
    AnswerModel, Calibrated, ClassifierModel, Dictionary, DictionaryConfig, DictionaryModel, Example,
    Examples, Harvest, HarvestedSlices, Interrupt, LabelledText, LanguageModel, LearnDictionary, Learns,
    Measured, MicroBatch, MicroBatches, Objective, Outcome, Pair, Portion, PreferenceLoss, PreferenceModel,
    Pretrain, SampleWriter, Sampling, Saving, Segment, Texts, Tuned, Tuning, Vectors, Writing,
    mean_gradients, measure, rarer_label, reference,
};
pub use recipe::{
    ByRole, ByRoleOptimizer, ClipGlobalNorm, DecayShape, Moments, OptimizerConfig, Recipe, ScaledStep,
    ScheduleConfig, TrainingConfig, WarmupDecay,
};
pub use run::{
    Checkpoint, EvaluationRecord, History, Record, RunDir, RunView, SampleRecord, StepRecord, TaskFigures,
    ValidationText,
};
pub use verify::{LLM_C_BATCH, LLM_C_CONTEXT, LLM_C_LOSSES, LLM_C_TOLERANCE, llm_c_losses};
pub use view::{Frontend, Part, report, restore_terminal};
