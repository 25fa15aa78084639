//! The machine that a run is on: whether it fits into its memory, and how fast a step is there.

mod benchmark;
mod memory;
mod utilization;

pub use self::benchmark::{StepTimes, time_steps};
pub use self::memory::{DeviceKind, MemoryPlan};

pub(crate) use self::memory::Usage;
pub(crate) use self::utilization::peak_tokens_per_second;
