//! The sum of squares of a whole tensor.

use burn::tensor::Shape;
use burn::tensor::ops::FloatTensor;

use super::machine::parallel::{ELEMENTWISE_BLOCK, SharedMut, for_each};
use super::machine::simd::{Simd, dispatch};
use super::machine::workspace::with_scratch;
use super::tensor::HostMemory;

pub(in crate::backend) fn sum_of_squares<B: HostMemory>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    B::tensor(vec![sum(&B::values(&tensor)) as f32], Shape::new([1]))
}

/// Σ x², accumulated in f64.
pub(super) fn sum(x: &[f32]) -> f64 {
    let blocks = x.len().div_ceil(ELEMENTWISE_BLOCK);
    // Each block's f64 sum travels through two floats of scratch, so steady state allocates nothing.
    with_scratch(blocks * 2, |partial| {
        let shared = SharedMut::new(partial);
        for_each(blocks, x.len(), |block| {
            let x = &x[block * ELEMENTWISE_BLOCK..x.len().min((block + 1) * ELEMENTWISE_BLOCK)];
            let bits = dispatch!(square_block(x)).to_bits();
            // SAFETY: elements 2·block and 2·block + 1 belong to this task.
            unsafe {
                *shared.at(2 * block) = f32::from_bits(bits as u32);
                *shared.at(2 * block + 1) = f32::from_bits((bits >> 32) as u32);
            }
        });
        let (pairs, _) = partial.as_chunks::<2>();
        pairs
            .iter()
            .map(|[low, high]| f64::from_bits(u64::from(low.to_bits()) | u64::from(high.to_bits()) << 32))
            .sum()
    })
}

#[inline(always)]
fn square_block<S: Simd>(_simd: S, x: &[f32]) -> f64 {
    // An array of lanes, because the compiler may not reorder a single floating-point sum.
    let mut total = [0.0f64; 16];
    let (blocks, rest) = x.as_chunks::<16>();
    for block in blocks {
        for (total, &x) in total.iter_mut().zip(block) {
            *total += f64::from(x) * f64::from(x);
        }
    }
    for (total, &x) in total.iter_mut().zip(rest) {
        *total += f64::from(x) * f64::from(x);
    }
    total.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::testing::{on_all_threads, random};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equals_the_reference_with_any_number_of_threads(len in 0usize..40_000, seed in 0u64..1 << 40) {
            let x = random(len, seed);
            on_all_threads(|| {
                let bits = sum(&x).to_bits();
                vec![vec![f32::from_bits(bits as u32), f32::from_bits((bits >> 32) as u32)]]
            });
            let want: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            prop_assert!((sum(&x) - want).abs() <= 1e-12 * want.max(1.0));
        }
    }
}
