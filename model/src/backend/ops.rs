//! The operations of [`Backend`] on typed tensors, as the layers call them.

use burn::tensor::{Int, Tensor, TensorPrimitive};

use super::Backend;
use crate::Activation;

fn wrap<B: Backend, const D: usize>(primitive: B::FloatTensorPrimitive) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn unwrap<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> B::FloatTensorPrimitive {
    tensor.into_primitive().tensor()
}

/// See [`Backend::embedding`].
pub(crate) fn embedding<B: Backend>(weight: Tensor<B, 2>, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
    wrap(<B as Backend>::embedding(unwrap(weight), ids.into_primitive()))
}

/// [`Backend::dropout`] while training; on a backend that cannot differentiate, nothing.
pub(crate) fn dropout<B: Backend>(input: Tensor<B, 3>, probability: f64) -> Tensor<B, 3> {
    if probability == 0.0 || !B::ad_enabled(&input.device()) {
        return input;
    }
    wrap(B::dropout(unwrap(input), probability))
}

/// See [`Backend::layer_norm`].
pub(crate) fn layer_norm<B: Backend>(
    input: Tensor<B, 3>,
    weight: Tensor<B, 1>,
    bias: Option<Tensor<B, 1>>,
    epsilon: f64,
) -> Tensor<B, 3> {
    wrap(<B as Backend>::layer_norm(unwrap(input), unwrap(weight), bias.map(unwrap), epsilon))
}

/// See [`Backend::linear`].
pub(crate) fn linear<B: Backend>(
    input: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
    activation: Option<Activation>,
) -> Tensor<B, 3> {
    wrap(<B as Backend>::linear(unwrap(input), unwrap(weight), bias.map(unwrap), activation))
}

/// See [`Backend::head`].
pub(crate) fn head<B: Backend>(hidden: Tensor<B, 3>, weight: Tensor<B, 2>) -> Tensor<B, 3> {
    wrap(B::head(unwrap(hidden), unwrap(weight)))
}

/// See [`Backend::causal_attention`].
pub(crate) fn causal_attention<B: Backend>(
    qkv: Tensor<B, 3>,
    n_heads: usize,
    scale: f64,
    dropout: f64,
) -> Tensor<B, 3> {
    wrap(B::causal_attention(unwrap(qkv), n_heads, scale, dropout))
}

/// See [`Backend::cached_attention`].
pub(crate) fn cached_attention<B: Backend>(
    query: Tensor<B, 4>,
    keys: Tensor<B, 4>,
    values: Tensor<B, 4>,
    scale: f64,
) -> Tensor<B, 4> {
    wrap(B::cached_attention(unwrap(query), unwrap(keys), unwrap(values), scale))
}

/// See [`Backend::head_cross_entropy`].
pub(crate) fn head_cross_entropy<B: Backend>(
    hidden: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 2, Int>,
) -> Tensor<B, 1> {
    wrap(B::head_cross_entropy(unwrap(hidden), unwrap(weight), targets.into_primitive()))
}
