//! `addmm`, and libtorch's activations with their derivatives.

use burn::tensor::ops::FloatTensor;
use burn_tch::TchTensor;
use tch::Tensor;

use super::{TorchBackend, rows, unrows};
use crate::Activation;
use crate::backend::{AffineGradients, Saved, Wanted};

/// Keeps the input and, where there is an activation, what went into it.
pub(in crate::backend) fn linear_forward<B: TorchBackend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> (FloatTensor<B>, Saved<B>) {
    let x = rows(&input.tensor);
    let weight = weight.tensor.to_kind(x.kind());
    let before = match bias {
        Some(bias) => bias.tensor.to_kind(x.kind()).addmm(&x, &weight),
        None => x.mm(&weight),
    };
    let Some(activation) = activation else {
        return (unrows(&before, &input.tensor), vec![input]);
    };
    let output = unrows(&activate(&before, activation), &input.tensor);
    (output, vec![input, TchTensor::new(before)])
}

/// `dx = dy Wᵀ`, `dW = xᵀ dy`, `db = Σ dy`.
pub(in crate::backend) fn linear_backward<B: TorchBackend>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    wanted: Wanted,
    activation: Option<Activation>,
    gradient: FloatTensor<B>,
) -> AffineGradients<B> {
    let mut saved = saved.into_iter();
    let input = saved.next().expect("linear_forward saved its input");
    let mut dy = rows(&gradient.tensor);
    if let Some(activation) = activation {
        let before = saved.next().expect("linear_forward saved what it activated");
        dy = derive(&before.tensor, &dy, activation);
    }
    let kind = weight.tensor.kind();
    let d_input = || unrows(&dy.mm(&weight.tensor.to_kind(dy.kind()).tr()), &input.tensor);
    let d_weight = || TchTensor::new(rows(&input.tensor).tr().mm(&dy).to_kind(kind));
    AffineGradients {
        input: wanted.input.then(d_input),
        weight: wanted.weight.then(d_weight),
        bias: wanted.bias.then(|| TchTensor::new(dy.sum_dim_intlist(0, false, kind))),
    }
}

fn activate(x: &Tensor, activation: Activation) -> Tensor {
    match activation {
        Activation::GeluTanh => x.gelu("tanh"),
        Activation::Gelu => x.gelu("none"),
        Activation::Relu => x.relu(),
        Activation::Relu2 => x.relu().square(),
        Activation::Silu => x.silu(),
    }
}

fn derive(x: &Tensor, gradient: &Tensor, activation: Activation) -> Tensor {
    match activation {
        Activation::GeluTanh => x.gelu_backward(gradient, "tanh"),
        Activation::Gelu => x.gelu_backward(gradient, "none"),
        Activation::Relu => x.threshold_backward(gradient, 0.0),
        Activation::Relu2 => x.relu() * gradient * 2.0,
        Activation::Silu => x.silu_backward(gradient),
    }
}
