//! What a forward pass finds out.

use burn::tensor::Tensor;
use kiln_model::Backend;

/// The loss of a batch, and what else is measured of it.
#[derive(Debug)]
pub struct Outcome<B: Backend> {
    /// The mean loss over the counted targets, in nats, `[1]`.
    pub loss: Tensor<B, 1>,
    /// Sums over the batch of what the [figures](super::Learns::figures) of the task are made of: those of several batches add
    /// up. Empty where nothing but the loss is measured.
    pub sums: Vec<f64>,
}

impl<B: Backend> From<Tensor<B, 1>> for Outcome<B> {
    fn from(loss: Tensor<B, 1>) -> Self {
        Self { loss, sums: Vec::new() }
    }
}

/// Adds the sums of another batch.
pub(crate) fn add_sums(sums: &mut Vec<f64>, more: &[f64]) {
    sums.resize(sums.len().max(more.len()), 0.0);
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}
