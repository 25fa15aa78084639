//! The gate of a feed-forward network.

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;

use super::{rows, unrows};
use crate::Activation;
use crate::backend::Backend;

/// `activation(gate) · expanded`.
pub(in crate::backend) fn gate<B: Backend>(
    gate: FloatTensor<B>,
    expanded: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let shape = gate.shape();
    unrows(activation.apply(rows::<B>(gate)) * rows::<B>(expanded), &shape)
}

/// `dgate = dy · expanded · activation'(gate)`, `dexpanded = dy · activation(gate)`.
pub(in crate::backend) fn gate_backward<B: Backend>(
    gate: FloatTensor<B>,
    expanded: FloatTensor<B>,
    activation: Activation,
    gradient: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    let shape = gate.shape();
    let [gate, expanded, gradient] = [gate, expanded, gradient].map(|tensor| rows::<B>(tensor));
    let d_gate = gradient.clone() * expanded * activation.derivative(gate.clone());
    let d_expanded = gradient * activation.apply(gate);
    [d_gate, d_expanded].map(|tensor| unrows(tensor, &shape))
}
