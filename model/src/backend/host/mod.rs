//! The operations for backends whose tensors lie in this process's memory: ndarray and flex share every
//! kernel.

#[allow(unsafe_code, reason = "vector instructions, and parts of one slice on several threads")]
mod kernels;
mod memory;

pub(super) use kernels::operations;
