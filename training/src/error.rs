//! What can go wrong outside our control.

use std::io::ErrorKind;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the training crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number of the recipe is out of range or contradicts another one.
    #[error("{section}.{key} = {value}: {reason}")]
    Config {
        /// The section of `Config.toml`.
        section: &'static str,
        /// The key in it.
        key: &'static str,
        /// The value found.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Parameters that were to be frozen cannot be.
    #[error("training.freeze = \"{pattern}\": {reason}")]
    Freeze {
        /// What was asked for.
        pattern: String,
        /// Why it cannot be.
        reason: String,
    },
    /// The run directory is taken.
    #[error("{}: already holds a run", path.display())]
    RunExists {
        /// The run directory.
        path: PathBuf,
    },
    /// Another process is training in this directory.
    #[error("{}: another process is training here", path.display())]
    RunLocked {
        /// The run directory.
        path: PathBuf,
    },
    /// There is no run to read.
    #[error("{}: no run here (there is no `metrics.jsonl`)", path.display())]
    NoRun {
        /// The directory.
        path: PathBuf,
    },
    /// There is nothing to resume.
    #[error("{}: {reason}", path.display())]
    NothingToResume {
        /// The run directory.
        path: PathBuf,
        /// What was looked for.
        reason: String,
    },
    /// The run directory was removed or replaced while the run was working in it.
    #[error("{}: the run directory is gone or another one took its place; the run stops here", path.display())]
    RunRemoved {
        /// The run directory.
        path: PathBuf,
    },
    /// The run needs more memory than there is.
    #[error("a step with training.micro_batch_size = {micro_batch} needs {needed}, and {available} are free")]
    Memory {
        /// Windows that are computed at a time.
        micro_batch: usize,
        /// What the run needs, for people.
        needed: String,
        /// What the machine has, for people.
        available: String,
        /// The most windows that would fit; 0 where not even one does.
        largest: usize,
        /// Whether the tokens of a step's windows alone are too many.
        too_many_windows: bool,
    },
    /// A file of the run could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the run is there but is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Loss or gradients were not finite for several steps in a row.
    #[error(
        "{count} steps in a row had a loss or gradient that is not finite, the last one step {step} (loss {loss}{})",
        grad_norm.map_or_else(String::new, |norm| format!(", gradient norm {norm}"))
    )]
    Diverged {
        /// Steps in a row.
        count: usize,
        /// The last of them.
        step: usize,
        /// Its loss.
        loss: f64,
        /// Its gradient norm; a loss that is not finite has no gradient.
        grad_norm: Option<f64>,
        /// Largest norm that gradients were scaled down to; 0 where they were not.
        grad_clip: f64,
    },
    /// The model could not be written.
    #[error(transparent)]
    Model(#[from] kiln_model::Error),
    /// The data could not be read.
    #[error(transparent)]
    Data(#[from] kiln_datasets::Error),
}

impl Error {
    /// The class of this error in the standard library's terms: `InvalidInput` for a request that cannot be met,
    /// `InvalidData` for a file's contents, the system's own
    /// for a file that could not be read or written, `Other` for what failed on the way.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::Model(source) => source.kind(),
            Self::Data(source) => source.kind(),
            Self::Diverged { .. } | Self::RunRemoved { .. } => ErrorKind::Other,
            Self::RunLocked { .. } => ErrorKind::ResourceBusy,
            Self::NoRun { .. } => ErrorKind::NotFound,
            Self::Format { .. } => ErrorKind::InvalidData,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// Pairs an I/O error with the path it happened at.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
