//! The kernels in the shape of [`Backend`](crate::Backend)'s operations: slices out of tensors, tensors out of buffers.

mod attention;
mod dropout;
mod embedding;
mod head;
mod layer_norm;
mod linear;
mod optimizer;
mod precision;
mod tensor;

pub(in crate::backend) use attention::{
    cached_attention, causal_attention_backward, causal_attention_forward,
};
pub(in crate::backend) use dropout::{dropout_backward, dropout_forward};
pub(in crate::backend) use embedding::{embedding, embedding_backward, narrow_embedding};
pub(in crate::backend) use head::{
    head, head_cross_entropy, head_cross_entropy_with_gradients, narrow_head, narrow_head_cross_entropy,
};
pub(in crate::backend) use layer_norm::{layer_norm_backward, layer_norm_forward};
pub(in crate::backend) use linear::{linear, linear_backward, linear_forward, narrow_linear};
#[cfg(feature = "tch")]
pub(in crate::backend) use optimizer::adamw_update;
pub(in crate::backend) use optimizer::{adamw_step, sum_of_squares};
pub(in crate::backend) use precision::for_inference;
pub(in crate::backend) use tensor::applies;
