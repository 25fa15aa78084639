//! Pretraining on [`burn_train`]: its learner drives, and the parts that a GPT run needs otherwise are replaced
//! behind its traits.
//!
//! | file | what it is |
//! |---|---|
//! | `config` | every number of a recipe |
//! | `optimizer`, `clip`, `schedule` | AdamW with decay groups, global-norm clipping, warm-up and cosine |
//! | `step`, `loader` | what one optimizer step computes, and from which windows |
//! | `strategy`, `controls` | the loop: step, evaluate, sample, checkpoint, stop |
//! | `outlier`, `utilization`, `memory` | z-scores, MFU, and whether a run fits into the machine |
//! | `checkpoint`, `run_dir`, `metrics`, `json_lines`, `tensorboard` | what a run leaves on disk |
//! | [`dashboard`], `renderer`, `report`, [`comparison()`] | what a person sees while and after it runs |
//! | `benchmark` | how fast a step is |
//! | `verify` | llm.c's published check of GPT-2 |
//! | [`pretrain()`] | puts them together |

#![recursion_limit = "256"]
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod benchmark;
mod checkpoint;
mod clip;
mod comparison;
mod config;
mod controls;
pub mod dashboard;
mod error;
mod json_lines;
mod loader;
mod memory;
mod metrics;
mod optimizer;
mod outlier;
mod pretrain;
mod renderer;
mod report;
mod run_dir;
mod schedule;
mod step;
mod strategy;
mod tensorboard;
mod utilization;
mod verify;

pub use benchmark::{StepTimes, time_steps};
pub use checkpoint::Checkpoint;
pub use clip::ClipGlobalNorm;
pub use comparison::comparison;
pub use config::{OptimizerConfig, ScheduleConfig, TrainingConfig};
pub use error::{Error, Result};
pub use memory::{MemoryPlan, Place};
pub use metrics::{MetricsLine, SampleLine, Split};
pub use optimizer::AdamW;
pub use pretrain::{Display, Pretraining, Stopped, Summary, pretrain};
pub use report::loss_svg;
pub use run_dir::RunDir;
pub use schedule::WarmupCosine;
pub use step::{LanguageModel, MicroBatches, StepOutput};
pub use verify::{LLM_C_BATCH, LLM_C_CONTEXT, LLM_C_LOSSES, LLM_C_TOLERANCE, llm_c_losses};
