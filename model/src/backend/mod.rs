//! The operations in which a GPT spends its time, and who implements them.
//!
//! [`Backend`] adds a handful of operations to Burn's backend trait. Each has a portable default composed of
//! Burn's tensor operations, so any Burn backend becomes one of ours with an empty `impl`. A backend that can
//! do better overrides the `…_forward` and `…_backward` methods; [`burn_autodiff::Autodiff`] overrides the
//! differentiable entry points and records our backward passes instead of tracing through the forward ones.

mod autodiff;
#[cfg(feature = "host")]
mod delegate;
mod devices;
#[cfg(feature = "host")]
#[cfg_attr(
    not(any(feature = "ndarray", feature = "flex")),
    allow(dead_code, unused_imports, reason = "libtorch borrows just a few of the kernels")
)]
mod host;
#[cfg(feature = "tch")]
mod libtorch;
mod operands;
mod operations;
mod portable;
mod typed;

pub use autodiff::AutodiffBackend;
pub use operands::{
    AdamWStep, AffineGradients, CHUNK_LOGITS, GPU_CHUNK_LOGITS, HeadGradients, Heads, MuonStep, PackedWeight,
    Saved, Wanted,
};
pub use operations::Backend;
pub(crate) use portable::{MASKED, divide, matmul};
pub(crate) use typed::*;
