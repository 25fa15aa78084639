//! The weighted sum of two tensors.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata};

use super::{from_primitive, into_primitive, rows, unrows, widen};
use crate::backend::Backend;

/// `w_0 x_0 + w_1 x_1`.
pub(in crate::backend) fn blend<B: Backend>(
    inputs: [FloatTensor<B>; 2],
    weights: [FloatTensor<B>; 2],
) -> FloatTensor<B> {
    let (shape, dtype) = (inputs[0].shape(), inputs[0].dtype());
    let [first, second] = inputs.map(|input| widen(rows::<B>(input)));
    let [w_first, w_second] = weights.map(|weight| from_primitive::<B, 1>(weight).unsqueeze::<2>());
    unrows((first * w_first + second * w_second).cast(dtype), &shape)
}

/// `dx_i = w_i dy`, `dw_i = Σ dy · x_i`.
pub(in crate::backend) fn blend_backward<B: Backend>(
    inputs: [FloatTensor<B>; 2],
    weights: [FloatTensor<B>; 2],
    gradient: FloatTensor<B>,
) -> [[FloatTensor<B>; 2]; 2] {
    let (shape, dtype) = (gradient.shape(), gradient.dtype());
    let gradient: Tensor<B, 2> = widen(rows::<B>(gradient));
    let d_inputs = weights.map(|weight| {
        let weight = from_primitive::<B, 1>(weight).unsqueeze::<2>();
        unrows((gradient.clone() * weight).cast(dtype), &shape)
    });
    let d_weights = inputs.map(|input| into_primitive((gradient.clone() * widen(rows::<B>(input))).sum()));
    [d_inputs, d_weights]
}
