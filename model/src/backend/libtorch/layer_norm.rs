//! libtorch's layer norm.

use burn::tensor::ops::FloatTensor;
use burn_tch::TchTensor;
use tch::{Device, Kind, Tensor};

use super::memory::{values, values_mut};
use super::{TorchBackend, aten, take};
use crate::backend::host::operations::{LayerNormInputs, layer_norm_gradients};
use crate::backend::{AffineGradients, Saved, Wanted, portable};

/// Keeps the input, its mean and reciprocal deviation.
pub(in crate::backend) fn layer_norm_forward<B: TorchBackend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    epsilon: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let width = weight.tensor.size();
    let weight = beside(&weight.tensor, &input.tensor);
    let bias = bias.map(|bias| beside(&bias.tensor, &input.tensor));
    let (output, mean, rstd) = input.tensor.native_layer_norm(width, Some(&weight), bias.as_ref(), epsilon);
    (TchTensor::new(output), vec![input, TchTensor::new(mean), TchTensor::new(rstd)])
}

pub(in crate::backend) fn layer_norm_backward<B: TorchBackend>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    wanted: Wanted,
    gradient: FloatTensor<B>,
    others: Option<FloatTensor<B>>,
) -> AffineGradients<B> {
    let saved = take(saved).map(|saved: TchTensor| saved.tensor.contiguous());
    let gradient = gradient.tensor.contiguous();
    let [d_input, d_weight, d_bias] = on_the_host(&saved, &weight.tensor, &gradient)
        .unwrap_or_else(|| aten::layer_norm_backward(&gradient, &saved, &beside(&weight.tensor, &saved[0])));
    let like_weight = |gradient: Tensor| TchTensor::new(gradient.to_kind(weight.tensor.kind()));
    AffineGradients {
        input: Some(portable::added::<B>(TchTensor::new(d_input), others)),
        weight: wanted.weight.then(|| like_weight(d_weight)),
        bias: wanted.bias.then(|| like_weight(d_bias)),
    }
}

/// A weight in the type that libtorch's kernels want beside this input: on the CPU they take f32 beside bf16, and keep
/// their statistics in the weight's type; on a GPU both must be alike, and statistics are f32 anyway.
fn beside(weight: &Tensor, input: &Tensor) -> Tensor {
    if input.device() == Device::Cpu { weight.shallow_clone() } else { weight.to_kind(input.kind()) }
}

/// The gradients of input, weight and bias by Kiln's kernel, if all lies in f32 in this process's memory.
fn on_the_host([input, mean, rstd]: &[Tensor; 3], weight: &Tensor, gradient: &Tensor) -> Option<[Tensor; 3]> {
    let dy = values(gradient)?;
    let inputs = LayerNormInputs {
        x: values(input)?,
        gamma: values(weight)?,
        mean: values(mean)?,
        rstd: values(rstd)?,
    };
    let like = (Kind::Float, gradient.device());
    let mut d_input = Tensor::zeros(gradient.size(), like);
    let [mut d_weight, mut d_bias] = [(); 2].map(|()| Tensor::empty(weight.size(), like));
    // SAFETY: three new tensors, of which nobody else knows.
    #[allow(unsafe_code)]
    let parts = unsafe { (values_mut(&mut d_input), values_mut(&mut d_weight), values_mut(&mut d_bias)) };
    let (Some(dx), Some(d_gamma), Some(d_beta)) = parts else { unreachable!("new tensors are contiguous") };
    layer_norm_gradients(dy, inputs, dx, Some(d_gamma), Some(d_beta));
    Some([d_input, d_weight, d_bias])
}
