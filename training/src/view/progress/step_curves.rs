//! What is measured of each step, as curves.

use crate::run::StepRecord;
use crate::view::curve::Curve;

/// A curve for each number of a step that is worth one.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepCurves {
    /// Training loss, in nats.
    pub(crate) loss: Curve,
    /// Learning rate.
    pub(crate) learning_rate: Curve,
    /// Global norm of the gradients before clipping.
    pub(crate) gradient_norm: Curve,
    /// Training tokens a second, of each step by itself.
    pub(crate) tokens_per_second: Curve,
    /// Memory in use, in bytes.
    pub(crate) memory: Curve,
}

impl StepCurves {
    /// Adds what was measured of a step.
    pub(crate) fn push(&mut self, record: &StepRecord) {
        let step = record.step;
        self.loss.push(step, record.loss);
        self.learning_rate.push(step, record.learning_rate);
        self.gradient_norm.push(step, record.grad_norm);
        self.tokens_per_second.push(step, record.tokens_per_second);
        if let Some(memory) = record.memory {
            self.memory.push(step, memory as f64);
        }
    }
}
