//! The operations in libtorch's own fused kernels, for [`LibTorch`](burn_tch::LibTorch) on any device.
//!
//! Where libtorch has an operation only for some devices or types, the portable one runs. On the CPU, some of Kiln's
//! kernels work on libtorch's memory.

mod adamw;
mod aten;
mod attention;
mod cross_entropy;
mod layer_norm;
mod linear;
mod memory;
mod precision;

use burn_tch::TchTensor;
use tch::Tensor;

pub(super) use adamw::{adamw_step, sum_of_squares};
pub(super) use attention::{attention_backward, attention_forward, cached_attention};
pub(super) use cross_entropy::{head, head_cross_entropy, head_cross_entropy_with_gradients};
pub(super) use layer_norm::{layer_norm_backward, layer_norm_forward};
pub(super) use linear::{linear_backward, linear_forward};
pub(super) use precision::set_compute_precision;

use crate::backend::Backend;

/// A backend whose tensors are libtorch's.
pub(super) trait TorchBackend:
    Backend<FloatTensorPrimitive = TchTensor, IntTensorPrimitive = TchTensor>
{
}

impl<B: Backend<FloatTensorPrimitive = TchTensor, IntTensorPrimitive = TchTensor>> TorchBackend for B {}

/// The operations that libtorch has, on every device.
macro_rules! libtorch_operations {
    () => {
        delegate! { libtorch;
            fn set_compute_precision(precision: ComputePrecision, device: &Self::Device) -> bool;
            fn layer_norm_forward(
                input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: Option<FloatTensor<Self>>, epsilon: f64
            ) -> (FloatTensor<Self>, Saved<Self>);
            fn layer_norm_backward(
                saved: Saved<Self>, weight: FloatTensor<Self>, wanted: Wanted, gradient: FloatTensor<Self>,
                others: Option<FloatTensor<Self>>
            ) -> AffineGradients<Self>;
            fn linear_forward(
                input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: Option<FloatTensor<Self>>,
                activation: Option<Activation>
            ) -> (FloatTensor<Self>, Saved<Self>);
            fn linear_backward(
                saved: Saved<Self>, weight: FloatTensor<Self>, wanted: Wanted, activation: Option<Activation>,
                gradient: FloatTensor<Self>
            ) -> AffineGradients<Self>;
            fn attention_forward(
                qkv: FloatTensor<Self>, heads: Heads, scale: f64, dropout: f64
            ) -> (FloatTensor<Self>, Saved<Self>);
            fn attention_backward(
                saved: Saved<Self>, heads: Heads, scale: f64, dropout: f64, gradient: FloatTensor<Self>
            ) -> FloatTensor<Self>;
            fn cached_attention(
                query: FloatTensor<Self>, caches: Vec<CachedSequence<Self>>, scale: f64
            ) -> FloatTensor<Self>;
            fn head(
                hidden: FloatTensor<Self>, weight: FloatTensor<Self>, softcap: Option<f64>
            ) -> FloatTensor<Self>;
            fn head_cross_entropy(
                hidden: FloatTensor<Self>, weight: FloatTensor<Self>, targets: IntTensor<Self>, softcap: Option<f64>
            ) -> FloatTensor<Self>;
            fn head_cross_entropy_with_gradients(
                hidden: FloatTensor<Self>, weight: FloatTensor<Self>, targets: IntTensor<Self>, softcap: Option<f64>,
                wanted: Wanted
            ) -> HeadGradients<Self>;
            fn sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self>;
            fn adamw_step(
                parameter: FloatTensor<Self>, gradient: FloatTensor<Self>, first_moment: FloatTensor<Self>,
                second_moment: FloatTensor<Self>, step: AdamWStep
            ) -> [FloatTensor<Self>; 3];
        }
    };
}
pub(super) use libtorch_operations;

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
