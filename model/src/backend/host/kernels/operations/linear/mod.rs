//! The linear map `y = x·W + b`, with the activation that follows it.

mod kernel;

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

pub(super) use self::kernel::{LinearShape, Weight, forward};
use super::activation;
use super::tensor::{HostMemory, buffer, rows, with_last};
use crate::Activation;
use crate::backend::{AffineGradients, PackedWeight, Saved, Wanted};

fn linear_shape<B: HostMemory>(input: &Shape, weight: &FloatTensor<B>) -> LinearShape {
    let (rows, d_in) = rows(input);
    LinearShape { rows, d_in, d_out: weight.shape()[1] }
}

/// Without anything for a backward pass.
pub(in crate::backend) fn linear<B: HostMemory>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> FloatTensor<B> {
    let d_out = weight.shape()[1];
    match B::columns(&weight) {
        Some(columns) => affine::<B>(input, Weight::Columns(columns.into()), d_out, bias, activation),
        None => affine::<B>(input, Weight::Rows(&B::values(&weight)), d_out, bias, activation),
    }
}

pub(in crate::backend) fn packed_linear<B: HostMemory>(
    input: FloatTensor<B>,
    weight: PackedWeight<B>,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> FloatTensor<B> {
    let d_out = weight.shape()[1];
    B::with_packed(&weight, |weight| affine::<B>(input, Weight::Columns(weight), d_out, bias, activation))
}

fn affine<B: HostMemory>(
    input: FloatTensor<B>,
    weight: Weight,
    d_out: usize,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> FloatTensor<B> {
    let shape = input.shape();
    let (rows, d_in) = rows(&shape);
    let sizes = LinearShape { rows, d_in, d_out };
    let mut output = buffer(rows * d_out);
    let (input, bias) = (B::values(&input), bias.as_ref().map(B::values));
    let bias = bias.as_deref();
    match activation {
        None => forward(sizes, &input, weight, bias, &mut output),
        Some(activation) => {
            kernel::forward_activated_only(sizes, &input, weight, bias, activation, &mut output);
        }
    }
    B::tensor(output, with_last(&shape, d_out))
}

/// Saves the input and, where there is an activation, what went into it.
pub(in crate::backend) fn linear_forward<B: HostMemory>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> (FloatTensor<B>, Saved<B>) {
    let Some(activation) = activation else {
        return (linear::<B>(input.clone(), weight, bias, None), vec![input]);
    };
    let shape = input.shape();
    let sizes = linear_shape::<B>(&shape, &weight);
    let (mut before, mut output) = (buffer(sizes.rows * sizes.d_out), buffer(sizes.rows * sizes.d_out));
    kernel::forward_activated(
        sizes,
        &B::values(&input),
        &B::values(&weight),
        bias.as_ref().map(B::values).as_deref(),
        activation,
        &mut before,
        &mut output,
    );
    let shape = with_last(&shape, sizes.d_out);
    let before = B::tensor(before, Shape::new([sizes.rows, sizes.d_out]));
    (B::tensor(output, shape), vec![input, before])
}

pub(in crate::backend) fn linear_backward<B: HostMemory>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    wanted: Wanted,
    activation: Option<Activation>,
    gradient: FloatTensor<B>,
) -> AffineGradients<B> {
    let mut saved = saved.into_iter();
    let input = saved.next().expect("linear_forward saved its input");
    let shape = input.shape();
    let sizes = linear_shape::<B>(&shape, &weight);
    let gradient = match activation {
        None => gradient,
        Some(activation) => {
            let before = saved.next().expect("linear_forward saved what it activated");
            let shape = gradient.shape();
            let mut gradient = B::into_values(gradient);
            activation::backward(activation, &mut gradient, &B::values(&before));
            B::tensor(gradient, shape)
        }
    };
    let gradient = B::values(&gradient);
    let d_input = wanted.input.then(|| {
        let mut d_input = buffer(sizes.rows * sizes.d_in);
        kernel::backward_input(sizes, &gradient, &B::values(&weight), &mut d_input);
        B::tensor(d_input, shape)
    });
    let d_weight = wanted.weight.then(|| {
        let mut d_weight = buffer(sizes.d_in * sizes.d_out);
        kernel::backward_weight(sizes, &B::values(&input), &gradient, &mut d_weight);
        B::tensor(d_weight, Shape::new([sizes.d_in, sizes.d_out]))
    });
    let d_bias = wanted.bias.then(|| {
        let mut d_bias = buffer(sizes.d_out);
        kernel::backward_bias(&gradient, &mut d_bias);
        B::tensor(d_bias, Shape::new([sizes.d_out]))
    });
    AffineGradients { input: d_input, weight: d_weight, bias: d_bias }
}
