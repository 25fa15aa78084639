//! Passes over whole buffers: sums of squares, scaling, addition.

use super::parallel::{ELEMENTWISE_BLOCK, SharedMut, for_each, for_each_chunk};
use super::simd::{Lanes, Simd, dispatch, map, map2};
use super::workspace::with_scratch;

/// Σ x², accumulated in f64.
pub fn sum_of_squares(x: &[f32]) -> f64 {
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

/// `x[i] *= factor`.
pub fn scale(x: &mut [f32], factor: f32) {
    let work = x.len();
    for_each_chunk(x, ELEMENTWISE_BLOCK, work, |_, x| dispatch!(scale_block(x, factor)));
}

#[inline(always)]
fn scale_block<S: Simd>(simd: S, x: &mut [f32], factor: f32) {
    let factor = Lanes::splat(simd, factor);
    map(
        simd,
        x,
        #[inline(always)]
        |x| x * factor,
    );
}

/// `y[i] += x[i]`.
pub fn add_assign(y: &mut [f32], x: &[f32]) {
    assert_eq!(y.len(), x.len(), "operands of an addition");
    let work = x.len();
    for_each_chunk(y, ELEMENTWISE_BLOCK, work, |block, y| {
        let x = &x[block * ELEMENTWISE_BLOCK..][..y.len()];
        dispatch!(add_block(y, x));
    });
}

#[inline(always)]
fn add_block<S: Simd>(simd: S, y: &mut [f32], x: &[f32]) {
    map2(
        simd,
        y,
        x,
        #[inline(always)]
        |y, x| y + x,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::testing::{on_all_threads, random};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equal_the_reference(len in 0usize..40_000, seed in 0u64..1 << 40) {
            let (x, y) = (random(len, seed), random(len, seed + 1));
            let r = on_all_threads(|| {
                let (mut scaled, mut sum) = (x.clone(), y.clone());
                scale(&mut scaled, 1.5);
                add_assign(&mut sum, &x);
                let bits = sum_of_squares(&x).to_bits();
                vec![scaled, sum, vec![f32::from_bits(bits as u32), f32::from_bits((bits >> 32) as u32)]]
            });
            for i in 0..len {
                prop_assert_eq!(r[0][i], x[i] * 1.5);
                prop_assert_eq!(r[1][i], y[i] + x[i]);
            }
            let want: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            prop_assert!((sum_of_squares(&x) - want).abs() <= 1e-12 * want.max(1.0));
        }
    }
}
