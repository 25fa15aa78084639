//! Matrix products that are never products of a matrix and a single vector of awkward length.

use burn::tensor::Tensor;

use crate::backend::Backend;

/// A multiple of the number of threads that move in step on any device: 8 to 64.
const PLANE: usize = 64;

/// `lhs · rhs` over the last two axes: `[.., m, k] · [.., k, n] → [.., m, n]`.
///
/// CubeCL 0.10 remembers the fastest kernel for sizes rounded up to a power of two. For one row or one column that may
/// be a kernel for whole planes of threads only, which then panics at a length in between, such as that of a growing
/// `kv_cache`. There the vector goes in twice, as a matrix of two.
pub(super) fn matmul<B: Backend, const D: usize>(lhs: Tensor<B, D>, rhs: Tensor<B, D>) -> Tensor<B, D> {
    let (row, column) = (D - 2, D - 1);
    let [m, k, n] = [lhs.dims()[row], lhs.dims()[column], rhs.dims()[column]];
    let whole = |length: usize| length.is_multiple_of(PLANE);
    match (m, n) {
        (1, 2..) if !(whole(k) && whole(n)) => twice(lhs, row).matmul(rhs).narrow(row, 0, 1),
        (2.., 1) if !(whole(k) && whole(m)) => lhs.matmul(twice(rhs, column)).narrow(column, 0, 1),
        _ => lhs.matmul(rhs),
    }
}

fn twice<B: Backend, const D: usize>(vector: Tensor<B, D>, axis: usize) -> Tensor<B, D> {
    Tensor::cat(vec![vector; 2], axis)
}
