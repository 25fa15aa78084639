//! What a run is trained with: its numbers, the optimizer, clipping and the learning rate's schedule.

mod clip;
mod config;
mod optimizer;
mod schedule;
mod trainable;

pub use self::clip::{ClipGlobalNorm, ScaledStep};
pub use self::config::{OptimizerConfig, Recipe, ScheduleConfig, TrainingConfig};
pub use self::optimizer::{ByRole, ByRoleOptimizer, Moments};
pub use self::schedule::{DecayShape, WarmupDecay};

pub(crate) use self::clip::ObservedNorm;
pub(crate) use self::trainable::{Frozen, freeze, num_trained};
