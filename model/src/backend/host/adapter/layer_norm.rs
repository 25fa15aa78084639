//! Layer norm.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

use super::tensor::{buffer, rows, take};
use crate::backend::host::HostMemory;
use crate::backend::host::kernels;
use crate::backend::{LayerNormGradients, Saved};

/// Saves the input, its mean and reciprocal deviation.
pub(in crate::backend) fn layer_norm_forward<B: HostMemory>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    epsilon: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = input.shape();
    let (rows, _) = rows(&shape);
    let (mut output, mut mean, mut rstd) = (buffer(shape.num_elements()), buffer(rows), buffer(rows));
    kernels::layer_norm_forward(
        &B::values(&input),
        &B::values(&weight),
        bias.as_ref().map(B::values).as_deref(),
        epsilon as f32,
        &mut output,
        &mut mean,
        &mut rstd,
    );
    let statistics = [mean, rstd].map(|values| B::tensor(values, Shape::new([rows])));
    (B::tensor(output, shape), std::iter::once(input).chain(statistics).collect())
}

pub(in crate::backend) fn layer_norm_backward<B: HostMemory>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    has_bias: bool,
    gradient: FloatTensor<B>,
) -> LayerNormGradients<B> {
    let [input, mean, rstd] = take::<B, 3>(saved);
    let shape = input.shape();
    let (_, width) = rows(&shape);
    let (mut d_input, mut d_weight) = (buffer(shape.num_elements()), buffer(width));
    let mut d_bias = has_bias.then(|| buffer(width));
    kernels::layer_norm_backward(
        &B::values(&gradient),
        &B::values(&input),
        &B::values(&weight),
        &B::values(&mean),
        &B::values(&rstd),
        &mut d_input,
        &mut d_weight,
        d_bias.as_deref_mut(),
        false,
    );
    let vector = |values| B::tensor(values, Shape::new([width]));
    LayerNormGradients {
        input: B::tensor(d_input, shape),
        weight: vector(d_weight),
        bias: d_bias.map(vector),
    }
}
