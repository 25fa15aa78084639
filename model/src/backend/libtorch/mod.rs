//! The operations in libtorch's own fused kernels, for [`LibTorch`](burn_tch::LibTorch) on any device.
//!
//! What libtorch only has for some devices or types, or keeps behind its autograd, is left to the portable operations
//! there; on the CPU, Kiln's kernels work on libtorch's memory.

mod adamw;
mod attention;
mod cross_entropy;
mod layer_norm;
mod linear;
mod memory;

pub(super) use adamw::{adamw_step, sum_of_squares};
pub(super) use attention::{cached_attention, causal_attention_backward, causal_attention_forward};
pub(super) use cross_entropy::{head, head_cross_entropy, head_cross_entropy_with_gradients};
pub(super) use layer_norm::{layer_norm_backward, layer_norm_forward};
pub(super) use linear::{linear_backward, linear_forward};

use burn_tch::TchTensor;
use tch::Tensor;

/// Every axis but the last as one: `[.., d] → [rows, d]`.
fn rows(tensor: &Tensor) -> Tensor {
    let width = tensor.size().last().copied().unwrap_or(1);
    tensor.reshape([-1, width])
}

/// `[rows, width]` in the shape of `like` with another last axis.
fn unrows(rows: &Tensor, like: &Tensor) -> TchTensor {
    let mut shape = like.size();
    if let (Some(last), Some(width)) = (shape.last_mut(), rows.size().last()) {
        *last = *width;
    }
    TchTensor::new(rows.reshape(shape))
}

/// The tensors that a forward pass saved.
fn take<const N: usize>(saved: Vec<TchTensor>) -> [TchTensor; N] {
    <[_; N]>::try_from(saved).expect("the backward pass gets what its forward pass saved")
}
