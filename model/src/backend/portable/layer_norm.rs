//! Layer norm over the last axis.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata};

use super::{added, from_primitive, into_primitive, rows, unrows, widen};
use crate::backend::{AffineGradients, Backend, Saved, Wanted};

/// `x̂ = (x - mean) · rstd`, `y = x̂ · weight + bias`; keeps `x̂` and `rstd`.
pub(in crate::backend) fn layer_norm_forward<B: Backend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    epsilon: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = input.shape();
    let input: Tensor<B, 2> = rows(input);
    let dtype = input.dtype();
    let input = widen(input);
    let centred = input.clone() - input.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1); // [rows, 1]
    let rstd = (variance + epsilon).sqrt().recip();
    let normalised = centred * rstd.clone();

    let mut output = normalised.clone() * from_primitive::<B, 1>(weight).unsqueeze();
    if let Some(bias) = bias {
        output = output + from_primitive::<B, 1>(bias).unsqueeze();
    }
    (unrows(output.cast(dtype), &shape), vec![into_primitive(normalised.cast(dtype)), into_primitive(rstd)])
}

/// With `g = dy · weight`: `dx = rstd · (g - mean(g) - x̂ · mean(g · x̂))`, `dweight = Σ dy · x̂`, `dbias = Σ
/// dy`.
pub(in crate::backend) fn layer_norm_backward<B: Backend>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    wanted: Wanted,
    gradient: FloatTensor<B>,
    others: Option<FloatTensor<B>>,
) -> AffineGradients<B> {
    let [normalised, rstd] = <[_; 2]>::try_from(saved).expect("layer_norm_forward saved two tensors");
    let (normalised, rstd): (Tensor<B, 2>, Tensor<B, 2>) = (from_primitive(normalised), from_primitive(rstd));
    let shape = gradient.shape();
    let gradient = rows::<B>(gradient);
    let dtype = gradient.dtype();
    let (gradient, normalised) = (widen(gradient), widen(normalised));

    let bias = wanted.bias.then(|| into_primitive(gradient.clone().sum_dim(0).squeeze_dim::<1>(0)));
    let weighted = || (gradient.clone() * normalised.clone()).sum_dim(0).squeeze_dim::<1>(0);
    let d_weight = wanted.weight.then(|| into_primitive(weighted()));
    let d_normalised = gradient * from_primitive::<B, 1>(weight).unsqueeze();
    let along = (d_normalised.clone() * normalised.clone()).mean_dim(1); // [rows, 1]
    let mean = d_normalised.clone().mean_dim(1); // [rows, 1]
    let d_input = (d_normalised - mean - normalised * along) * rstd;

    let input = added::<B>(unrows(d_input.cast(dtype), &shape), others);
    AffineGradients { input: Some(input), weight: d_weight, bias }
}
