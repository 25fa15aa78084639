//! What a run leaves on the disk.

mod checkpoint;
mod history;
mod json_lines;
mod outlier;
mod record;
mod run_dir;
mod run_view;
mod task_figures;
mod tensorboard;
mod validation_text;

pub use self::checkpoint::Checkpoint;
pub use self::history::History;
pub use self::record::{EvaluationRecord, Record, SampleRecord, StepRecord};
pub use self::run_dir::RunDir;
pub use self::run_view::RunView;
pub use self::task_figures::TaskFigures;
pub use self::validation_text::ValidationText;

pub(crate) use self::checkpoint::{Checkpoints, RunState};
pub(crate) use self::json_lines::{Found, JsonLines};
pub(crate) use self::record::Figure;
pub(crate) use self::tensorboard::EventFile;
