//! What a run is trained with: its numbers, the optimizer, clipping and the learning rate's schedule.

pub(crate) mod clip;
mod config;
mod optimizer;
mod schedule;

pub use self::clip::ClipGlobalNorm;
pub use self::config::{OptimizerConfig, ScheduleConfig, TrainingConfig};
pub use self::optimizer::AdamW;
pub use self::schedule::WarmupCosine;
