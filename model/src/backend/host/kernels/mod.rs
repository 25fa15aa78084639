//! CPU kernels on contiguous, row-major `&[f32]`.
//!
//! Every function shares its work among the threads of one [`team`], in blocks that depend on the shape alone (so the result has
//! the same bits with any number of threads), picks its instruction set at run time, and keeps its scratch from call to call.
//! Outputs are the caller's.

#![allow(
    clippy::too_many_arguments,
    reason = "kernels take their operands one by one; a struct for each would only rename them"
)]

mod activation;
mod adamw;
mod attention;
mod attention_backward;
mod attention_cached;
mod cross_entropy;
mod dropout;
mod elements;
mod elementwise;
mod embedding;
mod gemm;
mod layer_norm;
mod linear;
mod math;
mod microkernel;
mod pack;
mod parallel;
mod simd;
mod team;
#[cfg(test)]
mod testing;
mod thin;
mod transpose;
mod workspace;

pub use activation::activation_backward;
pub use adamw::{AdamW, adamw};
pub use attention::{AttentionShape, attention_forward};
pub use attention_backward::attention_backward;
pub use attention_cached::{CachedAttentionShape, attention_cached};
pub use cross_entropy::{HeadShape, cross_entropy, cross_entropy_with_gradients};
pub use dropout::dropout;
pub use elements::{Elements, quantize_rows, to_bf16};
pub use elementwise::sum_of_squares;
pub use embedding::{embedding_backward, embedding_forward};
pub use layer_norm::{layer_norm_backward, layer_norm_forward};
pub use linear::{
    Layout, LinearShape, Weight, linear_activation_forward, linear_activation_inference,
    linear_backward_bias, linear_backward_input, linear_backward_weight, linear_forward, matmul,
};
pub use transpose::transpose;
