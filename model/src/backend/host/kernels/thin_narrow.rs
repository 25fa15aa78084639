//! [`thin`](super::thin)'s products with weights of fewer bits: fewer bytes to read, which is all that they cost.

use super::elements::Narrow;
use super::parallel::{self, SharedMut};
use super::simd::{self, Lanes, Simd, dispatch};
use super::workspace::with_scratch;

/// Rows of W in one cut.
const K_BLOCK: usize = 128;
/// Columns of W whose sums stay in the inner cache.
const PIECE: usize = 4096;
/// Rows of W that are read together.
const STREAMS: usize = 8;
/// Columns of the result (rows of the transposed weight) in one task.
const N_BLOCK: usize = 64;
/// Vectors of sums that a dot product keeps apart.
const CHAINS: usize = 4;
/// Lanes of the widest vector.
const MAX_LANES: usize = 16;

/// y = (x·W) scaled by column, plus bias, for W of `[k, n]`.
pub(crate) fn times_rows<T: Narrow>(
    (m, n, k): (usize, usize, usize),
    x: &[f32],
    w: &[T],
    scales: Option<&[f32]>,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    assert!(x.len() == m * k && w.len() == k * n && y.len() == m * n);
    let cuts = k.div_ceil(K_BLOCK);
    with_scratch(cuts * m * n, |partial| {
        parallel::for_each_chunk(partial, (m * n).max(1), m * n * k, |cut, partial| {
            let p0 = cut * K_BLOCK;
            let p1 = (p0 + K_BLOCK).min(k);
            let w = &w[p0 * n..p1 * n];
            for (i, partial) in partial.chunks_exact_mut(n.max(1)).enumerate() {
                dispatch!(cut_of_rows(n, &x[i * k + p0..i * k + p1], w, partial));
            }
        });
        for (i, y) in y.chunks_mut(n.max(1)).enumerate() {
            y.fill(0.0);
            for cut in 0..cuts {
                dispatch!(finish(y, &partial[(cut * m + i) * n..][..n], |y, x| y + x));
            }
            if let Some(scales) = scales {
                dispatch!(finish(y, scales, |y, x| y * x));
            }
            if let Some(bias) = bias {
                dispatch!(finish(y, bias, |y, x| y + x));
            }
        }
    });
}

#[inline(always)]
fn finish<S: Simd>(_simd: S, y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = f(*y, *x);
    }
}

#[inline(always)]
fn cut_of_rows<S: Simd, T: Narrow>(simd: S, n: usize, x: &[f32], w: &[T], sums: &mut [f32]) {
    sums.fill(0.0);
    let (x_groups, x_rest) = x.as_chunks::<STREAMS>();
    let (w_groups, w_rest) = w.split_at(x_groups.len() * STREAMS * n);
    for j0 in (0..n).step_by(PIECE) {
        let j1 = (j0 + PIECE).min(n);
        let sums = &mut sums[j0..j1];
        for (x, w) in x_groups.iter().zip(w_groups.chunks_exact((STREAMS * n).max(1))) {
            add_rows(simd, *x, std::array::from_fn(|s| &w[s * n + j0..s * n + j1]), n, sums);
        }
        for (x, w) in x_rest.iter().zip(w_rest.chunks_exact(n.max(1))) {
            add_rows(simd, [*x], [&w[j0..j1]], n, sums);
        }
    }
}

/// `sums += Σ x[s]·rows[s]`: every sum is loaded and stored once for all the rows. Meanwhile the next `N` rows, each `n`
/// elements after the one before, are asked for: several short streams are more than the processor foresees by itself.
#[inline(always)]
fn add_rows<S: Simd, T: Narrow, const N: usize>(
    simd: S,
    x: [f32; N],
    rows: [&[T]; N],
    n: usize,
    sums: &mut [f32],
) {
    let line = (simd::CACHE_LINE / (S::F32_LANES * size_of::<T>())).max(1);
    let factors = x.map(|x| Lanes::splat(simd, x));
    let rows = rows.map(|row| &row[..sums.len()]);
    let (vectors, tail) = S::as_mut_simd_f32s(sums);
    let whole = vectors.len() * S::F32_LANES;
    for (index, vector) in vectors.iter_mut().enumerate() {
        if index % line == 0 {
            for row in rows {
                simd::prefetch(row.as_ptr().wrapping_add(N * n + index * S::F32_LANES));
            }
        }
        let mut sum = Lanes::new(simd, *vector);
        for s in 0..N {
            sum = factors[s].mul_add(widen(simd, &rows[s][index * S::F32_LANES..]), sum);
        }
        *vector = sum.v;
    }
    for (index, sum) in tail.iter_mut().enumerate() {
        for s in 0..N {
            *sum += x[s] * rows[s][whole + index].widen();
        }
    }
}

/// The first elements of `values`, one vector of them.
#[inline(always)]
fn widen<S: Simd, T: Narrow>(simd: S, values: &[T]) -> Lanes<S> {
    let mut wide = [0.0; MAX_LANES];
    for (wide, value) in wide[..S::F32_LANES].iter_mut().zip(&values[..S::F32_LANES]) {
        *wide = value.widen();
    }
    Lanes::new(simd, S::as_simd_f32s(&wide).0[0])
}

/// y = x·Wᵀ scaled by column, for W of `[n, k]`.
pub(crate) fn times_columns<T: Narrow>(
    (m, n, k): (usize, usize, usize),
    x: &[f32],
    w: &[T],
    scales: Option<&[f32]>,
    y: &mut [f32],
) {
    assert!(x.len() == m * k && w.len() == k * n && y.len() == m * n);
    let shared = SharedMut::new(y);
    parallel::for_each(n.div_ceil(N_BLOCK), m * n * k, |block| {
        for j in block * N_BLOCK..((block + 1) * N_BLOCK).min(n) {
            let w = &w[j * k..(j + 1) * k];
            for i in 0..m {
                let sum = dispatch!(dot(&x[i * k..(i + 1) * k], w));
                let scale = scales.map_or(1.0, |scales| scales[j]);
                // SAFETY: element (i, j) of y, and column j belongs to this task.
                unsafe { *shared.at(i * n + j) = sum * scale };
            }
        }
    });
}

#[inline(always)]
fn dot<S: Simd, T: Narrow>(simd: S, x: &[f32], w: &[T]) -> f32 {
    let (x_vectors, x_tail) = S::as_simd_f32s(x);
    let (blocks, rest) = x_vectors.as_chunks::<CHAINS>();
    let mut sums = [Lanes::splat(simd, 0.0); CHAINS];
    let mut w_blocks = w.chunks_exact(CHAINS * S::F32_LANES);
    for (x, w) in blocks.iter().zip(&mut w_blocks) {
        for chain in 0..CHAINS {
            let w = widen(simd, &w[chain * S::F32_LANES..]);
            sums[chain] = w.mul_add(Lanes::new(simd, x[chain]), sums[chain]);
        }
    }
    let mut w_rest = w_blocks.remainder().chunks_exact(S::F32_LANES);
    for (x, w) in rest.iter().zip(&mut w_rest) {
        sums[0] = widen(simd, w).mul_add(Lanes::new(simd, *x), sums[0]);
    }
    let tail: f32 = x_tail.iter().zip(w_rest.remainder()).map(|(x, w)| x * w.widen()).sum();
    ((sums[0] + sums[1]) + (sums[2] + sums[3])).sum() + tail
}

#[cfg(test)]
mod tests {
    use crate::backend::host::kernels::elements::{Elements, quantize_columns, quantize_rows, to_bf16};
    use crate::backend::host::kernels::linear::{LinearShape, linear_forward, matmul};
    use crate::backend::host::kernels::testing::{assert_close, on_all_threads, product, random};
    use crate::backend::host::kernels::{Layout, linear_activation_inference};
    use crate::{Activation, backend::host::kernels::activation::activation_forward};
    use proptest::prelude::*;

    /// Every product with a narrow weight against the widened weight in f64.
    fn check(rows: usize, d_in: usize, d_out: usize, seed: u64) {
        let (x, bias) = (random(rows * d_in, seed), random(d_out, seed + 2));
        let w = random(d_in * d_out, seed + 1);
        let bf16: Vec<u16> = w.iter().map(|value| to_bf16(*value)).collect();
        let (by_column, column_scales) = quantize_columns(&w, d_out);
        let (by_row, row_scales) = quantize_rows(&w, d_out); // the same numbers read as [d_out, d_in]
        let wide_bf16 = |index: usize| f32::from_bits(u32::from(bf16[index]) << 16);
        let wide_column = |index: usize| f32::from(by_column[index]) * column_scales[index % d_out];
        let wide_row = |index: usize| f32::from(by_row[index]) * row_scales[index / d_in];

        let shape = LinearShape { rows, d_in, d_out };
        let size = (rows, d_out, d_in);
        let results = on_all_threads(|| {
            let mut results = Vec::new();
            for weight in [Elements::Bf16(&bf16), Elements::Int8(&by_column, &column_scales)] {
                let (mut y, mut activated) = (vec![9.0; rows * d_out], vec![9.0; rows * d_out]);
                linear_forward(shape, &x, weight, Some(&bias), &mut y);
                let activation = Activation::GeluTanh;
                linear_activation_inference(shape, &x, weight, Some(&bias), activation, &mut activated);
                results.extend([y, activated]);
            }
            for weight in [Elements::Bf16(&bf16), Elements::Int8(&by_row, &row_scales)] {
                let mut y = vec![9.0; rows * d_out];
                matmul(Layout::Nt, size, &x, weight, &mut y, false);
                results.push(y);
            }
            results
        });
        let left = |i, p| x[i * d_in + p];
        let affine = |wide: &dyn Fn(usize) -> f32| {
            let mut y = product(size, left, |p, j| wide(p * d_out + j));
            y.iter_mut().enumerate().for_each(|(index, y)| *y += f64::from(bias[index % d_out]));
            y
        };
        assert_close(&results[0], &affine(&wide_bf16), 1e-5);
        assert_close(&results[2], &affine(&wide_column), 1e-5);
        for (plain, activated) in [(0, 1), (2, 3)] {
            let mut expected = results[plain].clone();
            activation_forward(Activation::GeluTanh, &mut expected);
            assert_eq!(results[activated], expected);
        }
        assert_close(&results[4], &product(size, left, |p, j| wide_bf16(j * d_in + p)), 1e-5);
        assert_close(&results[5], &product(size, left, |p, j| wide_row(j * d_in + p)), 1e-5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn narrow_weights_compute_what_they_hold(rows in 1usize..20, d_in in 1usize..300, d_out in 1usize..200, seed in 0u64..1 << 40) {
            check(rows, d_in, d_out, seed);
        }
    }

    #[test]
    fn every_level_of_blocking_is_crossed() {
        check(1, 401, 2100, 2);
        check(50, 401, 2100, 3);
        check(1, 1, 1, 4);
    }
}
