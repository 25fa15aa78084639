//! RMS norm over the last axis.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata};

use super::{added, from_primitive, into_primitive, rows, unrows, widen};
use crate::backend::{AffineGradients, Backend, Saved, Wanted};

/// `x̂ = x · rrms`, `y = x̂ · weight`; keeps `x̂` and `rrms`.
pub(in crate::backend) fn rms_norm_forward<B: Backend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    epsilon: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = input.shape();
    let input: Tensor<B, 2> = rows(input);
    let dtype = input.dtype();
    let input = widen(input);
    let mean_square = input.clone().square().mean_dim(1); // [rows, 1]
    // Not a reciprocal: see `divide`.
    let rrms = (mean_square + epsilon).powf_scalar(-0.5);
    let normalised = input * rrms.clone();
    let output = normalised.clone() * from_primitive::<B, 1>(weight).unsqueeze();
    (unrows(output.cast(dtype), &shape), vec![into_primitive(normalised.cast(dtype)), into_primitive(rrms)])
}

/// With `g = dy · weight`: `dx = rrms · (g - x̂ · mean(g · x̂))`, `dweight = Σ dy · x̂`.
pub(in crate::backend) fn rms_norm_backward<B: Backend>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    wanted: Wanted,
    gradient: FloatTensor<B>,
    others: Option<FloatTensor<B>>,
) -> AffineGradients<B> {
    let [normalised, rrms] = <[_; 2]>::try_from(saved).expect("rms_norm_forward saved two tensors");
    let (normalised, rrms): (Tensor<B, 2>, Tensor<B, 2>) = (from_primitive(normalised), from_primitive(rrms));
    let shape = gradient.shape();
    let gradient = rows::<B>(gradient);
    let dtype = gradient.dtype();
    let (gradient, normalised) = (widen(gradient), widen(normalised));

    let weighted = || (gradient.clone() * normalised.clone()).sum_dim(0).squeeze_dim::<1>(0);
    let d_weight = wanted.weight.then(|| into_primitive(weighted()));
    let d_normalised = gradient * from_primitive::<B, 1>(weight).unsqueeze();
    let along = (d_normalised.clone() * normalised.clone()).mean_dim(1); // [rows, 1]
    let d_input = (d_normalised - normalised * along) * rrms;
    let input = added::<B>(unrows(d_input.cast(dtype), &shape), others);
    AffineGradients { input: Some(input), weight: d_weight, bias: None }
}
