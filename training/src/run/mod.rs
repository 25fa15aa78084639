//! What a run leaves on the disk.

pub(crate) mod checkpoint;
pub(crate) mod json_lines;
pub(crate) mod metrics;
pub(crate) mod outlier;
mod run_dir;
pub(crate) mod tensorboard;

pub use self::checkpoint::Checkpoint;
pub use self::metrics::{MetricsLine, SampleLine, Split};
pub use self::run_dir::RunDir;
