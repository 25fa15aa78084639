//! The operations of [`Backend`] on typed tensors, as the layers call them.

use burn::tensor::{DType, Element, Int, Tensor, TensorPrimitive};

use super::{Backend, Heads, PackedWeight};
use crate::Activation;
use crate::kv_cache::CachedSequence;
use crate::precision::{Channels, Precision};

fn from_primitive<B: Backend, const D: usize>(primitive: B::FloatTensorPrimitive) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn into_primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> B::FloatTensorPrimitive {
    tensor.into_primitive().tensor()
}

/// A weight as the operations take it.
enum Weight<B: Backend> {
    Plain(B::FloatTensorPrimitive),
    /// In fewer bits than f32.
    Packed(PackedWeight<B>),
}

impl<B: Backend> From<Tensor<B, 2>> for Weight<B> {
    fn from(tensor: Tensor<B, 2>) -> Self {
        let packed = is_packed(&tensor);
        match tensor.into_primitive() {
            TensorPrimitive::Float(weight) if !packed => Self::Plain(weight),
            weight => Self::Packed(weight),
        }
    }
}

/// Whether a weight is [packed](Backend::pack) in fewer bits than f32. In f32 only its order in memory
/// changes, and every operation reads it.
pub(crate) fn is_packed<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> bool {
    let dtype = tensor.dtype();
    dtype != <B::FloatElem as Element>::dtype() && dtype != DType::F32
}

/// See [`Backend::pack`].
pub(crate) fn pack<B: Backend>(
    weight: Tensor<B, 2>,
    channels: Channels,
    precision: Precision,
) -> Option<Tensor<B, 2>> {
    B::pack(into_primitive(weight), channels, precision).map(Tensor::from_primitive)
}

/// See [`Backend::embedding`].
pub(crate) fn embedding<B: Backend>(weight: Tensor<B, 2>, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
    let ids = ids.into_primitive();
    from_primitive(match Weight::from(weight) {
        Weight::Plain(weight) => <B as Backend>::embedding(weight, ids),
        Weight::Packed(weight) => B::packed_embedding(weight, ids),
    })
}

/// [`Backend::dropout`] while training; on a backend that cannot differentiate, nothing.
pub(crate) fn dropout<B: Backend, const D: usize>(input: Tensor<B, D>, probability: f64) -> Tensor<B, D> {
    if probability == 0.0 || !B::ad_enabled(&input.device()) {
        return input;
    }
    from_primitive(B::dropout(into_primitive(input), probability))
}

/// See [`Backend::layer_norm`].
pub(crate) fn layer_norm<B: Backend, const D: usize>(
    input: Tensor<B, D>,
    weight: Tensor<B, 1>,
    bias: Option<Tensor<B, 1>>,
    epsilon: f64,
) -> Tensor<B, D> {
    from_primitive(<B as Backend>::layer_norm(
        into_primitive(input),
        into_primitive(weight),
        bias.map(into_primitive),
        epsilon,
    ))
}

/// See [`Backend::rms_norm`].
pub(crate) fn rms_norm<B: Backend, const D: usize>(
    input: Tensor<B, D>,
    weight: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, D> {
    from_primitive(<B as Backend>::rms_norm(into_primitive(input), into_primitive(weight), epsilon))
}

/// See [`Backend::rotary`].
pub(crate) fn rotary<B: Backend>(
    qkv: Tensor<B, 3>,
    heads: Heads,
    cos: Tensor<B, 3>,
    sin: Tensor<B, 3>,
) -> Tensor<B, 3> {
    from_primitive(<B as Backend>::rotary(
        into_primitive(qkv),
        heads,
        into_primitive(cos),
        into_primitive(sin),
    ))
}

/// See [`Backend::gate`].
pub(crate) fn gate<B: Backend>(
    gate: Tensor<B, 3>,
    expanded: Tensor<B, 3>,
    activation: Activation,
) -> Tensor<B, 3> {
    from_primitive(<B as Backend>::gate(into_primitive(gate), into_primitive(expanded), activation))
}

/// See [`Backend::blend`].
pub(crate) fn blend<B: Backend>(inputs: [Tensor<B, 3>; 2], weights: [Tensor<B, 1>; 2]) -> Tensor<B, 3> {
    from_primitive(<B as Backend>::blend(inputs.map(into_primitive), weights.map(into_primitive)))
}

/// See [`Backend::linear`].
pub(crate) fn linear<B: Backend>(
    input: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
    activation: Option<Activation>,
) -> Tensor<B, 3> {
    let (input, bias) = (into_primitive(input), bias.map(into_primitive));
    from_primitive(match Weight::from(weight) {
        Weight::Plain(weight) => <B as Backend>::linear(input, weight, bias, activation),
        Weight::Packed(weight) => B::packed_linear(input, weight, bias, activation),
    })
}

/// See [`Backend::head`].
pub(crate) fn head<B: Backend>(
    hidden: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    softcap: Option<f64>,
) -> Tensor<B, 3> {
    from_primitive(match Weight::from(weight) {
        Weight::Plain(weight) => B::head(into_primitive(hidden), weight, softcap),
        Weight::Packed(weight) => B::packed_head(into_primitive(hidden), weight, softcap),
    })
}

/// See [`Backend::attention`].
pub(crate) fn attention<B: Backend>(
    qkv: Tensor<B, 3>,
    heads: Heads,
    scale: f64,
    dropout: f64,
) -> Tensor<B, 3> {
    from_primitive(<B as Backend>::attention(into_primitive(qkv), heads, scale, dropout))
}

/// See [`Backend::segment_attention`].
pub(crate) fn segment_attention<B: Backend>(
    qkv: Tensor<B, 3>,
    heads: Heads,
    scale: f64,
    dropout: f64,
    lengths: &[usize],
) -> Tensor<B, 3> {
    from_primitive(B::segment_attention(into_primitive(qkv), heads, scale, dropout, lengths))
}

/// See [`Backend::cached_attention`].
pub(crate) fn cached_attention<B: Backend>(
    query: Tensor<B, 4>,
    caches: Vec<CachedSequence<B>>,
    scale: f64,
) -> Tensor<B, 4> {
    from_primitive(B::cached_attention(into_primitive(query), caches, scale))
}

/// See [`Backend::head_cross_entropy`].
pub(crate) fn head_cross_entropy<B: Backend>(
    hidden: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 2, Int>,
    softcap: Option<f64>,
) -> Tensor<B, 1> {
    let (hidden, targets) = (into_primitive(hidden), targets.into_primitive());
    from_primitive(match Weight::from(weight) {
        Weight::Plain(weight) => B::head_cross_entropy(hidden, weight, targets, softcap),
        Weight::Packed(weight) => B::packed_head_cross_entropy(hidden, weight, targets, softcap),
    })
}
