//! Dropout by a mask that is drawn once and kept (<https://jmlr.org/papers/v15/srivastava14a.html>).

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Distribution, Tensor};

use super::{from_primitive, into_primitive, rows, unrows};
use crate::backend::{Backend, Saved};

/// Keeps the mask, already scaled.
pub(in crate::backend) fn dropout_forward<B: Backend>(
    input: FloatTensor<B>,
    probability: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = burn::tensor::TensorMetadata::shape(&input);
    let input = rows::<B>(input);
    let mask = scaled_mask(&input, probability);
    (unrows(input * mask.clone(), &shape), vec![into_primitive(mask)])
}

pub(in crate::backend) fn dropout_backward<B: Backend>(
    saved: Saved<B>,
    _probability: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let shape = burn::tensor::TensorMetadata::shape(&gradient);
    let [mask] = <[_; 1]>::try_from(saved).expect("dropout_forward saved its mask");
    unrows(rows::<B>(gradient) * from_primitive(mask), &shape)
}

/// 0 with `probability`, else `1 / (1 - probability)`.
pub(super) fn scaled_mask<B: Backend, const D: usize>(like: &Tensor<B, D>, probability: f64) -> Tensor<B, D> {
    like.random_like(Distribution::Bernoulli(1.0 - probability)) * (1.0 / (1.0 - probability))
}
