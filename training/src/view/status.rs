//! What a run is doing at the moment, in words.

use std::fmt;

/// What the run is doing at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing of interest has happened yet.
    #[default]
    Starting,
    /// Taking steps.
    Training,
    /// Measuring the validation loss.
    Evaluating {
        /// Batches done.
        done: usize,
        /// Batches in all.
        total: usize,
    },
    /// Writing a sample.
    Sampling,
    /// Writing a checkpoint.
    Saving,
    /// Paused by hand.
    Paused,
    /// Coming to an end early.
    Stopping,
    /// Done.
    Finished,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Training => f.write_str("training"),
            Self::Evaluating { done, total } => write!(f, "evaluating {done}/{total}"),
            Self::Sampling => f.write_str("sampling"),
            Self::Saving => f.write_str("saving checkpoint"),
            Self::Paused => f.write_str("paused"),
            Self::Stopping => f.write_str("stopping"),
            Self::Finished => f.write_str("finished"),
        }
    }
}
