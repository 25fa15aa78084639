//! The operations for backends whose tensors lie in this process's memory: ndarray and flex share every kernel.

mod adapter;
#[allow(unsafe_code, reason = "vector instructions, and parts of one slice on several threads")]
mod kernels;
mod memory;

#[cfg(feature = "tch")]
pub(super) use adapter::adamw_update;
pub(super) use adapter::{
    adamw_step, applies, cached_attention, causal_attention_backward, causal_attention_forward,
    dropout_backward, dropout_forward, embedding, embedding_backward, for_inference, head,
    head_cross_entropy, head_cross_entropy_with_gradients, layer_norm_backward, layer_norm_forward, linear,
    linear_backward, linear_forward, narrow_embedding, narrow_head, narrow_head_cross_entropy, narrow_linear,
    sum_of_squares,
};
#[cfg(feature = "tch")]
pub(super) use kernels::layer_norm_backward as layer_norm_gradients;
pub(super) use memory::HostMemory;
