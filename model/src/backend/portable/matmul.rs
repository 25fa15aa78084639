//! Matrix products in sizes that CubeCL 0.10 computes correctly; for some other sizes it returns wrong values
//! or panics.

use burn::tensor::Tensor;

use crate::backend::Backend;

/// A multiple of the threads that move in step on a GPU, and of two stages of any kernel's loop over `k`.
const WHOLE: usize = 64;

/// `lhs · rhs` over the last two axes: `[.., m, k] · [.., k, n] → [.., m, n]`.
pub(crate) fn matmul<B: Backend, const D: usize>(lhs: Tensor<B, D>, rhs: Tensor<B, D>) -> Tensor<B, D> {
    let (row, column) = (D - 2, D - 1);
    let (lhs, rhs) = whole_stages(lhs, rhs);
    let [m, k, n] = [lhs.dims()[row], lhs.dims()[column], rhs.dims()[column]];
    // CubeCL remembers the fastest kernel for sizes rounded up to a power of two. For one row or one column
    // that may be a kernel for whole planes of threads only, which panics at a length in between, such as
    // that of a growing cache. There the vector goes in twice, as a matrix of two.
    let whole = |length: usize| length.is_multiple_of(WHOLE);
    match (m, n) {
        (1, 2..) if !(whole(k) && whole(n)) => twice(lhs, row).matmul(rhs).narrow(row, 0, 1),
        (2.., 1) if !(whole(k) && whole(m)) => lhs.matmul(twice(rhs, column)).narrow(column, 0, 1),
        _ => lhs.matmul(rhs),
    }
}

/// The operands, with zeros behind a `k` that may be an odd number of stages. Kernels that take two stages at
/// a time, each of 2 to 32 steps, check the bounds of only one
/// (<https://github.com/tracel-ai/cubek/issues/434>) and would read on.
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
        let zeros = Tensor::zeros(shape, (&tensor.device(), tensor.dtype()));
        Tensor::cat(vec![tensor, zeros], axis)
    };
    (pad(lhs, column), pad(rhs, row))
}

fn twice<B: Backend, const D: usize>(vector: Tensor<B, D>, axis: usize) -> Tensor<B, D> {
    Tensor::cat(vec![vector; 2], axis)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{TensorData, Tolerance};

    use super::*;

    /// Asserts that every detour leads to the product with a transpose.
    fn equals_the_sums<B: Backend>() {
        let device = Default::default();
        let sizes =
            [[1, 24, 5], [1, 7, 64], [5, 24, 1], [3, 96, 4], [3, 50, 4], [1, 8, 1], [2, 1, 2], [9, 24, 1001]];
        for [m, k, n] in sizes {
            let values = |len: usize, step: usize| -> Vec<f32> {
                (0..len).map(|index| (index * step % 1000) as f32 / 1000.0 - 0.5).collect()
            };
            let (a, b) = (values(m * k, 7919), values(n * k, 6007));
            let sum = |i: usize, j: usize| (0..k).map(|p| a[i * k + p] * b[j * k + p]).sum();
            let expected: Vec<f32> = (0..m * n).map(|index| sum(index / n, index % n)).collect();

            let lhs = Tensor::<B, 2>::from_data(TensorData::new(a.clone(), [m, k]), &device);
            let rhs = Tensor::<B, 2>::from_data(TensorData::new(b.clone(), [n, k]), &device);
            let product = matmul(lhs, rhs.transpose()).into_data();
            product.assert_approx_eq::<f32>(&TensorData::new(expected, [m, n]), Tolerance::absolute(1e-5));
        }
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn equals_the_sums_on_ndarray() {
        equals_the_sums::<burn_ndarray::NdArray>();
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn equals_the_sums_on_wgpu() {
        equals_the_sums::<burn_wgpu::Wgpu>();
    }
}
