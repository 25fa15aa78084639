//! The machine that a run is on: whether it fits into its memory, and how fast a step is there.

mod benchmark;
pub(crate) mod memory;
pub(crate) mod utilization;

pub use self::benchmark::{StepTimes, time_steps};
pub use self::memory::{MemoryPlan, Place};
