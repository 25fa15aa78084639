//! Pretraining on [`burn_train`]: its learner drives, and the parts that a GPT run needs otherwise are replaced
//! behind its traits.
//!
//! | file | what it is |
//! |---|---|
//! | `config` | every number of a recipe |
//! | `optimizer`, `clip`, `schedule` | AdamW with decay groups, global-norm clipping, warm-up and cosine |
//! | `step`, `loader` | what one optimizer step computes, and from which windows |
//! | `strategy` | the loop: step, evaluate, sample, checkpoint, stop |
//! | `checkpoint`, `run_dir`, `metrics` | what a run leaves on disk |
//! | [`dashboard`], `renderer`, `report` | what a person sees while and after it runs |
//! | `verify` | llm.c's published check of GPT-2 |
//! | [`pretrain()`] | puts them together |

#![recursion_limit = "256"]

mod checkpoint;
mod clip;
mod config;
pub mod dashboard;
mod error;
mod loader;
mod metrics;
mod optimizer;
mod pretrain;
mod renderer;
mod report;
mod run_dir;
mod schedule;
mod step;
mod strategy;
mod verify;

pub use clip::ClipGlobalNorm;
pub use config::{OptimizerConfig, ScheduleConfig, TrainingConfig};
pub use error::{Error, Result};
pub use metrics::{MetricsLine, Split};
pub use optimizer::AdamW;
pub use pretrain::{Display, Pretraining, Stopped, Summary, pretrain};
pub use report::loss_svg;
pub use run_dir::RunDir;
pub use schedule::WarmupCosine;
pub use step::{LanguageModel, MicroBatches, StepOutput};
pub use verify::{LLM_C_BATCH, LLM_C_CONTEXT, LLM_C_LOSSES, LLM_C_TOLERANCE, llm_c_losses};
