//! Matrix products in sizes that CubeCL 0.10 computes: of others, some it gets wrong, and some it refuses by a panic.

use burn::tensor::Tensor;

use crate::backend::Backend;

/// A multiple of the threads that move in step on a GPU, and of two stages of any kernel's loop over `k`.
const WHOLE: usize = 64;

/// `lhs · rhs` over the last two axes: `[.., m, k] · [.., k, n] → [.., m, n]`.
pub(super) fn matmul<B: Backend, const D: usize>(lhs: Tensor<B, D>, rhs: Tensor<B, D>) -> Tensor<B, D> {
    let (row, column) = (D - 2, D - 1);
    let (lhs, rhs) = whole_stages(lhs, rhs);
    let [m, k, n] = [lhs.dims()[row], lhs.dims()[column], rhs.dims()[column]];
    // The fastest kernel is remembered for sizes rounded up to a power of two. For one row or one column that may be a kernel
    // for whole planes of threads only, which panics at a length in between, such as that of a growing `kv_cache`. There
    // the vector goes in twice, as a matrix of two.
    let whole = |length: usize| length.is_multiple_of(WHOLE);
    match (m, n) {
        (1, 2..) if !(whole(k) && whole(n)) => twice(lhs, row).matmul(rhs).narrow(row, 0, 1),
        (2.., 1) if !(whole(k) && whole(m)) => lhs.matmul(twice(rhs, column)).narrow(column, 0, 1),
        _ => lhs.matmul(rhs),
    }
}

/// The operands, with zeros behind a `k` that may be an odd number of stages: kernels that take two stages at a time, each of 2 to
/// 32 steps, check the bounds of one (<https://github.com/tracel-ai/cubek/issues/434>) and would go on into what lies behind.
fn whole_stages<B: Backend, const D: usize>(
    lhs: Tensor<B, D>,
    rhs: Tensor<B, D>,
) -> (Tensor<B, D>, Tensor<B, D>) {
    let (row, column) = (D - 2, D - 1);
    let k = lhs.dims()[column];
    if k.is_multiple_of(WHOLE) || !k.is_multiple_of(2) {
        return (lhs, rhs);
    }
    let pad = |tensor: Tensor<B, D>, axis: usize| {
        let mut shape = tensor.dims();
        shape[axis] = k.next_multiple_of(WHOLE) - k;
        let zeros = Tensor::zeros(shape, &tensor.device());
        Tensor::cat(vec![tensor, zeros], axis)
    };
    (pad(lhs, column), pad(rhs, row))
}

fn twice<B: Backend, const D: usize>(vector: Tensor<B, D>, axis: usize) -> Tensor<B, D> {
    Tensor::cat(vec![vector; 2], axis)
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    /// Asserts that the detours lead to the product, for every way of getting there.
    #[test]
    fn equals_the_plain_product() {
        type Cpu = burn_ndarray::NdArray<f32>;
        let device = Default::default();
        for [m, k, n] in
            [[1, 24, 5], [1, 7, 64], [1, 64, 64], [5, 24, 1], [3, 96, 4], [3, 50, 4], [1, 8, 1], [2, 1, 2]]
        {
            let random = |shape: [usize; 4]| {
                Tensor::<Cpu, 4>::random(shape, Distribution::Uniform(-1.0, 1.0), &device)
            };
            let (lhs, rhs) = (random([2, 3, m, k]), random([2, 3, k, n]));
            let (ours, plain) = (matmul(lhs.clone(), rhs.clone()), lhs.matmul(rhs));
            ours.into_data().assert_approx_eq::<f32>(&plain.into_data(), Tolerance::absolute(1e-5));
        }
    }
}
