//! libtorch's layer norm; its backward pass is not among the functions that its Rust bindings offer.

use burn_tch::TchTensor;
use tch::{Kind, Tensor};

use super::memory::{values, values_mut};
use super::{rows, take, unrows};
use crate::backend::{Backend, LayerNormGradients, host};

/// Keeps the input, its mean and reciprocal deviation.
pub(in crate::backend) fn layer_norm_forward(
    input: TchTensor,
    weight: TchTensor,
    bias: Option<TchTensor>,
    epsilon: f64,
) -> (TchTensor, Vec<TchTensor>) {
    let width = weight.tensor.size();
    let bias = bias.map(|bias| bias.tensor);
    let (output, mean, rstd) =
        input.tensor.native_layer_norm(width, Some(&weight.tensor), bias.as_ref(), epsilon);
    (TchTensor::new(output), vec![input, TchTensor::new(mean), TchTensor::new(rstd)])
}

pub(in crate::backend) fn layer_norm_backward<B: Backend<FloatTensorPrimitive = TchTensor>>(
    saved: Vec<TchTensor>,
    weight: TchTensor,
    has_bias: bool,
    gradient: TchTensor,
) -> LayerNormGradients<B> {
    let [input, mean, rstd] = take(saved).map(|saved: TchTensor| saved.tensor);
    let gradient = gradient.tensor.contiguous();
    let (input, mean, rstd) = (input.contiguous(), mean.contiguous(), rstd.contiguous());
    if let (Some(dy), Some(x), Some(gamma), Some(mean), Some(rstd)) =
        (values(&gradient), values(&input), values(&weight.tensor), values(&mean), values(&rstd))
    {
        let like = (Kind::Float, gradient.device());
        let mut d_input = Tensor::empty(gradient.size(), like);
        let [mut d_weight, mut d_bias] = [0, 1].map(|_| Tensor::empty(weight.tensor.size(), like));
        // SAFETY: three new tensors, of which nobody else knows.
        #[allow(unsafe_code)]
        let parts = unsafe { (values_mut(&mut d_input), values_mut(&mut d_weight), values_mut(&mut d_bias)) };
        let (Some(dx), Some(d_gamma), Some(d_beta)) = parts else {
            unreachable!("new tensors are contiguous")
        };
        host::layer_norm_gradients(dy, x, gamma, mean, rstd, dx, d_gamma, Some(d_beta), false);
        return LayerNormGradients {
            input: TchTensor::new(d_input),
            weight: TchTensor::new(d_weight),
            bias: has_bias.then(|| TchTensor::new(d_bias)),
        };
    }
    let (dy, x) = (rows(&gradient), rows(&input));
    let column = |statistics: Tensor| statistics.reshape([-1, 1]).to_kind(x.kind());
    let (mean, rstd) = (column(mean), column(rstd));
    let normalised = (&x - mean) * &rstd;
    let d_normalised = &dy * &weight.tensor;
    let average = |tensor: Tensor| tensor.mean_dim(1, true, None::<Kind>);
    let along = average(&d_normalised * &normalised);
    let d_input = (&d_normalised - average(d_normalised.shallow_clone()) - &normalised * along) * rstd;
    let sum = |tensor: &Tensor| TchTensor::new(tensor.sum_dim_intlist(0, false, tensor.kind()));
    LayerNormGradients {
        input: unrows(&d_input, &gradient),
        weight: sum(&(&dy * normalised)),
        bias: has_bias.then(|| sum(&dy)),
    }
}
