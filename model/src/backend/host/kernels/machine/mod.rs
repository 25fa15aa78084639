//! What every kernel is made of: vectors and functions of them, matrix products, threads and scratch memory.

pub(super) mod activation;
pub(super) mod elements;
pub(super) mod gemm;
pub(super) mod math;
pub(super) mod matrix;
pub(super) mod microkernel;
pub(super) mod panels;
pub(super) mod parallel;
pub(super) mod simd;
mod team;
#[cfg(test)]
pub(super) mod testing;
pub(super) mod thin;
pub(super) mod transpose;
pub(super) mod workspace;
