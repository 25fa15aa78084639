//! `activation(x W + b)` and its gradients, on two axes: batched products would make one copy of `W`'s
//! gradient for every sequence.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata};

use super::matmul::matmul;
use super::{from_primitive, into_primitive, rows, unrows, widen};
use crate::Activation;
use crate::backend::{AffineGradients, Backend, Saved, Wanted};

/// Keeps the input and, where there is an activation, what went into it.
pub(in crate::backend) fn linear_forward<B: Backend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = input.shape();
    let rows = rows::<B>(input.clone());
    let dtype = rows.dtype();
    let mut output = matmul(rows, from_primitive::<B, 2>(weight).cast(dtype)); // [rows, d_out]
    if let Some(bias) = bias {
        output = output + from_primitive::<B, 1>(bias).cast(dtype).unsqueeze();
    }
    match activation {
        None => (unrows(output, &shape), vec![input]),
        Some(activation) => {
            let activated = activation.apply(output.clone());
            (unrows(activated, &shape), vec![input, into_primitive(output)])
        }
    }
}

/// [`linear_forward`] without what a backward pass needs.
#[cfg(any(feature = "ndarray", feature = "flex"))]
pub(in crate::backend) fn linear<B: Backend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> FloatTensor<B> {
    linear_forward::<B>(input, weight, bias, activation).0
}

/// With `g = dy · activation'(x W + b)`: `dx = g Wᵀ`, `dW = xᵀ g`, `db = Σ g`.
pub(in crate::backend) fn linear_backward<B: Backend>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    wanted: Wanted,
    activation: Option<Activation>,
    gradient: FloatTensor<B>,
) -> AffineGradients<B> {
    let mut saved = saved.into_iter();
    let input = saved.next().expect("linear_forward saved its input");
    let shape = input.shape();
    let mut gradient = rows::<B>(gradient); // [rows, d_out]
    if let Some(activation) = activation {
        let before = saved.next().expect("linear_forward saved what it activated");
        gradient = gradient * activation.derivative(from_primitive::<B, 2>(before));
    }

    let weight: Tensor<B, 2> = from_primitive(weight);
    let (dtype, own) = (gradient.dtype(), weight.dtype());
    let bias = wanted.bias.then(|| into_primitive(widen(gradient.clone()).sum_dim(0).squeeze_dim::<1>(0)));
    let d_weight = wanted.weight.then(|| matmul(rows::<B>(input).transpose(), gradient.clone())); // [d_in, d_out]
    let d_input = wanted.input.then(|| matmul(gradient, weight.cast(dtype).transpose())); // [rows, d_in]
    AffineGradients {
        input: d_input.map(|gradient| unrows(gradient, &shape)),
        weight: d_weight.map(|gradient| into_primitive(gradient.cast(own))),
        bias,
    }
}
