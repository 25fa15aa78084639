//! Every operation composed of Burn's tensor operations: what any backend can run, and what native kernels
//! are checked against.

mod adamw;
mod attention;
mod blend;
mod cross_entropy;
mod divide;
mod dropout;
mod embedding;
mod gate;
mod layer_norm;
mod linear;
mod matmul;
mod muon;
mod pack;
mod precision;
mod rms_norm;
mod rotary;
mod scaled;
mod segments;

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, Tensor, TensorMetadata, TensorPrimitive};

pub(super) use adamw::{adamw_step, sum_of_squares};
pub(crate) use attention::MASKED;
pub(super) use attention::{attention_backward, attention_forward, cached_attention};
pub(super) use blend::{blend, blend_backward};
pub(super) use cross_entropy::{head, head_cross_entropy, head_cross_entropy_with_gradients};
pub(crate) use divide::divide;
pub(super) use dropout::{dropout_backward, dropout_forward};
pub(super) use embedding::{embedding, embedding_backward};
pub(super) use gate::{gate, gate_backward};
pub(super) use layer_norm::{layer_norm_backward, layer_norm_forward};
#[cfg(any(feature = "ndarray", feature = "flex"))]
pub(super) use linear::linear;
pub(super) use linear::{linear_backward, linear_forward};
pub(crate) use matmul::matmul;
pub(super) use muon::muon_step;
pub(super) use pack::{pack, unpack};
pub(super) use precision::set_compute_precision;
use precision::{wide, widen};
pub(super) use rms_norm::{rms_norm_backward, rms_norm_forward};
pub(super) use rotary::rotary;
pub(super) use scaled::scaled;
pub(super) use segments::{segment_attention_backward, segment_attention_forward};

fn from_primitive<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn into_primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// A gradient, and that of other uses of the same tensor.
pub(super) fn added<B: Backend>(gradient: FloatTensor<B>, others: Option<FloatTensor<B>>) -> FloatTensor<B> {
    match others {
        Some(others) => B::float_add(gradient, others),
        None => gradient,
    }
}

/// All axes but the last become one: `[.., d] → [rows, d]`.
fn rows<B: Backend>(primitive: FloatTensor<B>) -> Tensor<B, 2> {
    let shape = primitive.shape();
    let last = shape[shape.num_dims() - 1];
    let rows = shape.num_elements() / last;
    from_primitive(B::float_reshape(primitive, Shape::new([rows, last])))
}

/// The inverse of [`rows`], for a last axis that may have changed: `[rows, d] → [.., d]`.
fn unrows<B: Backend>(tensor: Tensor<B, 2>, like: &Shape) -> FloatTensor<B> {
    let [_, last] = tensor.dims();
    let mut shape = like.clone();
    let axes = shape.num_dims();
    shape[axes - 1] = last;
    B::float_reshape(into_primitive(tensor), shape)
}
