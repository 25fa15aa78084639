//! The operations of [`Backend`] on typed tensors, as the layers call them.

use burn::tensor::{DType, Element, Int, Tensor, TensorPrimitive};

use super::Backend;
use crate::Activation;
use crate::kv_cache::CachedSequence;
use crate::precision::{Channels, Precision};

fn wrap<B: Backend, const D: usize>(primitive: B::FloatTensorPrimitive) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn unwrap<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> B::FloatTensorPrimitive {
    tensor.into_primitive().tensor()
}

/// A weight as the operations take it.
enum Weight<B: Backend> {
    Wide(B::FloatTensorPrimitive),
    /// In fewer bits than f32.
    Narrow(TensorPrimitive<B>),
}

impl<B: Backend> Weight<B> {
    fn of(tensor: Tensor<B, 2>) -> Self {
        let narrow = is_narrow(&tensor);
        match tensor.into_primitive() {
            TensorPrimitive::Float(weight) if !narrow => Self::Wide(weight),
            weight => Self::Narrow(weight),
        }
    }
}

/// Whether a weight is in fewer bits than f32: made by [`Backend::for_inference`], and for the `narrow_…` operations only.
pub(crate) fn is_narrow<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> bool {
    let dtype = tensor.dtype();
    dtype != <B::FloatElem as Element>::dtype() && dtype != DType::F32
}

/// See [`Backend::for_inference`].
pub(crate) fn for_inference<B: Backend>(
    weight: Tensor<B, 2>,
    channels: Channels,
    precision: Precision,
) -> Option<Tensor<B, 2>> {
    B::for_inference(unwrap(weight), channels, precision).map(Tensor::from_primitive)
}

/// See [`Backend::embedding`].
pub(crate) fn embedding<B: Backend>(weight: Tensor<B, 2>, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
    let ids = ids.into_primitive();
    wrap(match Weight::of(weight) {
        Weight::Wide(weight) => <B as Backend>::embedding(weight, ids),
        Weight::Narrow(weight) => B::narrow_embedding(weight, ids),
    })
}

/// [`Backend::dropout`] while training; on a backend that cannot differentiate, nothing.
pub(crate) fn dropout<B: Backend, const D: usize>(input: Tensor<B, D>, probability: f64) -> Tensor<B, D> {
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
    let (input, bias) = (unwrap(input), bias.map(unwrap));
    wrap(match Weight::of(weight) {
        Weight::Wide(weight) => <B as Backend>::linear(input, weight, bias, activation),
        Weight::Narrow(weight) => B::narrow_linear(input, weight, bias, activation),
    })
}

/// See [`Backend::head`].
pub(crate) fn head<B: Backend>(hidden: Tensor<B, 3>, weight: Tensor<B, 2>) -> Tensor<B, 3> {
    wrap(match Weight::of(weight) {
        Weight::Wide(weight) => B::head(unwrap(hidden), weight),
        Weight::Narrow(weight) => B::narrow_head(unwrap(hidden), weight),
    })
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

/// See [`Backend::cached_attention`]: each sequence of the batch over its own cache.
pub(crate) fn cached_attention<B: Backend>(
    query: Tensor<B, 4>,
    caches: Vec<CachedSequence<B>>,
    scale: f64,
) -> Tensor<B, 4> {
    let attend = |(row, CachedSequence { keys, values, filled })| -> Tensor<B, 4> {
        let query = unwrap(query.clone().narrow(0, row, 1));
        wrap(B::cached_attention(query, unwrap(keys), unwrap(values), filled, scale))
    };
    Tensor::cat(caches.into_iter().enumerate().map(attend).collect(), 0)
}

/// See [`Backend::head_cross_entropy`].
pub(crate) fn head_cross_entropy<B: Backend>(
    hidden: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 2, Int>,
) -> Tensor<B, 1> {
    let (hidden, targets) = (unwrap(hidden), targets.into_primitive());
    wrap(match Weight::of(weight) {
        Weight::Wide(weight) => B::head_cross_entropy(hidden, weight, targets),
        Weight::Narrow(weight) => B::narrow_head_cross_entropy(hidden, weight, targets),
    })
}
