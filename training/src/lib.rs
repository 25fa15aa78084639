//! Pretraining on [`burn_train`]: its learner drives, and the parts that a GPT run needs otherwise are replaced
//! behind its traits.
//!
//! | folder | what it is |
//! |---|---|
//! | `recipe` | what a run is trained with: every number, AdamW, clipping, the schedule |
//! | `objective` | what is learned: a module, its batches and its loss |
//! | `fit` | the loop: step, evaluate, sample, checkpoint, stop |
//! | `run` | what a run leaves on the disk: metrics, checkpoints, event files |
//! | `view` | what a person sees: dashboard, plain lines, `loss.svg`, the page that compares runs |
//! | `machine` | whether a run fits into memory, and how fast a step is |
//! | `verify` | llm.c's published check of GPT-2 |

#![recursion_limit = "256"]
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod error;
mod fit;
mod machine;
mod objective;
mod recipe;
mod run;
mod verify;
mod view;

pub use error::{Error, Result};
pub use fit::{Display, Pretraining, Stopped, Summary, pretrain};
pub use machine::{MemoryPlan, Place, StepTimes, time_steps};
pub use objective::{LanguageModel, MicroBatches, StepOutput};
pub use recipe::{AdamW, ClipGlobalNorm, OptimizerConfig, ScheduleConfig, TrainingConfig, WarmupCosine};
pub use run::{Checkpoint, MetricsLine, RunDir, SampleLine, Split};
pub use verify::{LLM_C_BATCH, LLM_C_CONTEXT, LLM_C_LOSSES, LLM_C_TOLERANCE, llm_c_losses};
pub use view::{comparison, loss_svg, restore_terminal};
