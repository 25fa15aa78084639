//! Where a run stands, beside its weights.

use serde::{Deserialize, Serialize};

use crate::run::outlier::Window;

/// Raised when the contents of a checkpoint change their meaning.
pub(super) const VERSION: u32 = 2;

/// Where a run stands, beside its weights. As TOML: its numbers are read back to the last bit, which those of `serde_json` are
/// not by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    pub(super) version: u32,
    /// Updates done.
    pub(crate) step: usize,
    /// Training tokens seen.
    pub(crate) tokens: u64,
    /// Seconds spent training.
    pub(crate) seconds: f64,
    /// Learning rate of the last update; the learner forgets it.
    pub(crate) learning_rate: f64,
    /// How far the learning rate's decay has come where the time limit drives it, from 0 to 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) decay: f64,
    /// Step of the last evaluation; one that is due at `step` but was interrupted is still to be done.
    pub(crate) evaluated: Option<usize>,
    /// Evaluations so far; 0 in checkpoints that did not count them.
    #[serde(default)]
    pub(crate) evaluations: usize,
    /// Samples so far; 0 in checkpoints that did not count them.
    #[serde(default)]
    pub(crate) samples: usize,
    /// Best evaluation: its step and its loss.
    pub(crate) best: Option<(usize, f64)>,
    /// Evaluations since the best one.
    pub(crate) evaluations_since_best: usize,
    /// Updates left out because something was not finite.
    pub(crate) skipped: usize,
    /// How many of them were the last ones, one after the other.
    pub(crate) skipped_in_a_row: usize,
    /// The latest losses.
    pub(crate) losses: Window,
    /// The latest gradient norms.
    pub(crate) grad_norms: Window,
}

impl Default for RunState {
    fn default() -> Self {
        Self {
            version: VERSION,
            step: 0,
            tokens: 0,
            seconds: 0.0,
            learning_rate: 0.0,
            decay: 0.0,
            evaluated: None,
            evaluations: 0,
            samples: 0,
            best: None,
            evaluations_since_best: 0,
            skipped: 0,
            skipped_in_a_row: 0,
            losses: Window::default(),
            grad_norms: Window::default(),
        }
    }
}

/// Whether steps alone decide: nothing to write down.
fn is_zero(decay: &f64) -> bool {
    *decay == 0.0
}
