//! The gate of a feed-forward network.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata};

use super::{rows, unrows};
use crate::Activation;
use crate::backend::{Backend, Saved};

/// `activation(gate) · expanded`; keeps both.
pub(in crate::backend) fn gate_forward<B: Backend>(
    gate: FloatTensor<B>,
    expanded: FloatTensor<B>,
    activation: Activation,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = gate.shape();
    let (opened, through): (Tensor<B, 2>, Tensor<B, 2>) =
        (rows::<B>(gate.clone()), rows::<B>(expanded.clone()));
    (unrows(activation.apply(opened) * through, &shape), vec![gate, expanded])
}

/// `dgate = dy · expanded · activation'(gate)`, `dexpanded = dy · activation(gate)`.
pub(in crate::backend) fn gate_backward<B: Backend>(
    saved: Saved<B>,
    activation: Activation,
    gradient: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    let [gate, expanded] = <[_; 2]>::try_from(saved).expect("gate_forward saved two tensors");
    let shape = gate.shape();
    let [gate, expanded, gradient] = [gate, expanded, gradient].map(|tensor| rows::<B>(tensor));
    let d_gate = gradient.clone() * expanded * activation.derivative(gate.clone());
    let d_expanded = gradient * activation.apply(gate);
    [d_gate, d_expanded].map(|tensor| unrows(tensor, &shape))
}
