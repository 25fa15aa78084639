//! What a module makes of examples outside of a run: before it, or at its end on texts that it never saw.

use kiln_model::{Backend, MeanLoss};

use super::gradients::scalar;
use super::tuning::{Example, Examples};
use super::{Learns, MicroBatch as _, add_sums};
use crate::run::TaskFigures;

/// What examples come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Mean over the counted targets, in nats.
    pub loss: f64,
    /// The figures of the task.
    pub task: TaskFigures,
    /// Sums behind `task`; for classes the confusion matrix, `[label, prediction]` row by row.
    pub sums: Vec<f64>,
}

/// Loss and figures of `module` on `examples`, of which `batch_size` are computed at a time. Gives up, with `None`, as soon as
/// `stop` says so.
pub fn measure<B: Backend, T: Example, M: Learns<B, Batch = Examples<T>>>(
    module: &M,
    examples: &[T],
    batch_size: usize,
    stop: &mut dyn FnMut() -> bool,
) -> Option<Measured> {
    let (mut loss, mut sums) = (MeanLoss::default(), Vec::new());
    for part in examples.chunks(batch_size.max(1)) {
        if stop() {
            return None;
        }
        let batch = Examples(part.to_vec());
        let outcome = module.outcome(&batch);
        loss.add(scalar(outcome.loss), batch.num_targets());
        add_sums(&mut sums, &outcome.sums);
    }
    Some(Measured { loss: loss.mean(), task: module.figures(&sums, loss.targets()), sums })
}
