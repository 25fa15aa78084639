//! CPU kernels on contiguous, row-major `&[f32]`.
//!
//! Each of the `operations` takes the slices out of its tensors, computes on them with the `machine`, and
//! makes tensors of the results. Work is shared among the threads of one team, in blocks that depend on the
//! shape alone, so the result has the same bits with any number of threads. The instruction set is picked at
//! run time, and scratch is kept from call to call.

mod machine;
pub(in crate::backend) mod operations;

pub(super) use machine::elements::Elements;
