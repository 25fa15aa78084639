//! libtorch's layer norm; its backward pass is not among the functions that its Rust bindings offer.

use burn::tensor::ops::FloatTensor;
use burn_tch::TchTensor;
use tch::{Kind, Tensor};

use super::memory::{values, values_mut};
use super::{TorchBackend, rows, take, unrows};
use crate::backend::host::operations::{LayerNormInputs, layer_norm_gradients};
use crate::backend::{AffineGradients, Saved};

/// Keeps the input, its mean and reciprocal deviation.
pub(in crate::backend) fn layer_norm_forward<B: TorchBackend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    epsilon: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let width = weight.tensor.size();
    let bias = bias.map(|bias| bias.tensor);
    let (output, mean, rstd) =
        input.tensor.native_layer_norm(width, Some(&weight.tensor), bias.as_ref(), epsilon);
    (TchTensor::new(output), vec![input, TchTensor::new(mean), TchTensor::new(rstd)])
}

pub(in crate::backend) fn layer_norm_backward<B: TorchBackend>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    has_bias: bool,
    gradient: FloatTensor<B>,
) -> AffineGradients<B> {
    let saved = take(saved).map(|saved: TchTensor| saved.tensor.contiguous());
    let gradient = gradient.tensor.contiguous();
    let [d_input, d_weight, d_bias] = on_the_host(&saved, &weight.tensor, &gradient)
        .unwrap_or_else(|| composed(saved, &weight.tensor, &gradient));
    AffineGradients {
        input: TchTensor::new(d_input),
        weight: TchTensor::new(d_weight),
        bias: has_bias.then(|| TchTensor::new(d_bias)),
    }
}

/// The gradients of input, weight and bias by Kiln's kernel, if all lies in this process's memory.
fn on_the_host([input, mean, rstd]: &[Tensor; 3], weight: &Tensor, gradient: &Tensor) -> Option<[Tensor; 3]> {
    let dy = values(gradient)?;
    let inputs = LayerNormInputs {
        x: values(input)?,
        gamma: values(weight)?,
        mean: values(mean)?,
        rstd: values(rstd)?,
    };
    let like = (Kind::Float, gradient.device());
    let [mut d_input, mut d_weight, mut d_bias] =
        [gradient, weight, weight].map(|shape| Tensor::empty(shape.size(), like));
    // SAFETY: three new tensors, of which nobody else knows.
    #[allow(unsafe_code)]
    let parts = unsafe { (values_mut(&mut d_input), values_mut(&mut d_weight), values_mut(&mut d_bias)) };
    let (Some(dx), Some(d_gamma), Some(d_beta)) = parts else { unreachable!("new tensors are contiguous") };
    layer_norm_gradients(dy, inputs, dx, d_gamma, Some(d_beta));
    Some([d_input, d_weight, d_bias])
}

/// The gradients of input, weight and bias in libtorch's operations.
fn composed([input, mean, rstd]: [Tensor; 3], weight: &Tensor, gradient: &Tensor) -> [Tensor; 3] {
    let (dy, x) = (rows(gradient), rows(&input));
    let column = |statistics: Tensor| statistics.reshape([-1, 1]).to_kind(x.kind());
    let (mean, rstd) = (column(mean), column(rstd));
    let normalised = (&x - mean) * &rstd;
    let d_normalised = &dy * weight;
    let average = |tensor: Tensor| tensor.mean_dim(1, true, None::<Kind>);
    let along = average(&d_normalised * &normalised);
    let d_input = (&d_normalised - average(d_normalised.shallow_clone()) - &normalised * along) * rstd;
    let sum = |tensor: &Tensor| tensor.sum_dim_intlist(0, false, tensor.kind());
    [unrows(&d_input, gradient).tensor, sum(&(&dy * normalised)), sum(&dy)]
}
