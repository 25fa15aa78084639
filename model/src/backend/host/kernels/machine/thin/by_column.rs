//! y[m×n] = x[m×k]·Wᵀ with W row-major `[n, k]`: every element is one dot product, and W one stream of memory.

use super::super::elements::Element;
use super::super::parallel::{self, SharedMut};
use super::super::simd::{self, Lanes, Simd, dispatch};
use super::super::workspace::with_scratch;
use super::MAX_ROWS;

/// Columns of the result, which are rows of W, in one task.
const N_BLOCK: usize = 64;
/// Vectors of sums that a dot product keeps apart.
const CHAINS: usize = 2;
/// Bytes of W that are fetched ahead in fewer bits: there, several rows of x keep the processor from doing so by itself.
const AHEAD: usize = 2048;
/// Lanes of the widest vector.
const MAX_LANES: usize = 16;

/// y = x·Wᵀ scaled by column, plus bias, for W of `[n, k]`. Each element is summed in the same order, whatever
/// the number of rows of x.
pub(crate) fn times_columns<T: Element>(
    (m, n, k): (usize, usize, usize),
    x: &[f32],
    w: &[T],
    scales: Option<&[f32]>,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    assert!(x.len() == m * k && w.len() == k * n && y.len() == m * n && m <= MAX_ROWS);
    let shared = SharedMut::new(y);
    with_scratch(m * k, |woven| {
        let group = dispatch!(rows_in_registers(w));
        dispatch!(weave(k, group, x, woven));
        parallel::for_each(n.div_ceil(N_BLOCK), m * n * k, |block| {
            let columns = block * N_BLOCK..((block + 1) * N_BLOCK).min(n);
            let mut sums = [[0.0; MAX_ROWS]; N_BLOCK];
            if k > 0 {
                dispatch!(columns_block(k, group, woven, &w[columns.start * k..columns.end * k], &mut sums));
            }
            for (j, sums) in columns.zip(&sums) {
                let (scale, bias) =
                    (scales.map_or(1.0, |scales| scales[j]), bias.map_or(0.0, |bias| bias[j]));
                for (i, sum) in sums[..m].iter().enumerate() {
                    // SAFETY: element (i, j) of y, and column j belongs to this task.
                    unsafe { *shared.at(i * n + j) = sum * scale + bias };
                }
            }
        });
    });
}

/// Rows of x that pass over W together. The widest vectors come with 32 registers, others with 16. In f32, more than four rows
/// and what is read of W do not fit into the inner cache.
#[inline(always)]
fn rows_in_registers<S: Simd, T: Element>(_simd: S, _w: &[T]) -> usize {
    if S::F32_LANES == MAX_LANES && size_of::<T>() < size_of::<f32>() { MAX_ROWS } else { MAX_ROWS / 2 }
}

/// Groups of rows of x, vector by vector: the first of each row, then the second of each; behind them, what is
/// left of each row.
#[inline(always)]
fn weave<S: Simd>(_simd: S, k: usize, group: usize, x: &[f32], woven: &mut [f32]) {
    if k == 0 {
        return;
    }
    let whole = k - k % S::F32_LANES;
    for (x, woven) in x.chunks(group * k).zip(woven.chunks_mut(group * k)) {
        let rows = x.len() / k;
        let (heads, tails) = woven.split_at_mut(rows * whole);
        for (row, x) in x.chunks_exact(k).enumerate() {
            let places = heads.chunks_exact_mut(S::F32_LANES).skip(row).step_by(rows);
            for (place, x) in places.zip(x.chunks_exact(S::F32_LANES)) {
                place.copy_from_slice(x);
            }
            tails[row * (k - whole)..(row + 1) * (k - whole)].copy_from_slice(&x[whole..]);
        }
    }
}

/// `sums[j][i]` = row i of x · row j of `w`: one stream of memory.
#[inline(always)]
fn columns_block<S: Simd, T: Element>(
    simd: S,
    k: usize,
    group: usize,
    woven: &[f32],
    w: &[T],
    sums: &mut [[f32; MAX_ROWS]],
) {
    for (index, x) in woven.chunks(group * k).enumerate() {
        let first = index * group;
        match x.len() / k {
            1 => dots::<S, T, 1>(simd, k, x, w, first, sums),
            2 => dots::<S, T, 2>(simd, k, x, w, first, sums),
            3 => dots::<S, T, 3>(simd, k, x, w, first, sums),
            4 => dots::<S, T, 4>(simd, k, x, w, first, sums),
            5 => dots::<S, T, 5>(simd, k, x, w, first, sums),
            6 => dots::<S, T, 6>(simd, k, x, w, first, sums),
            7 => dots::<S, T, 7>(simd, k, x, w, first, sums),
            _ => dots::<S, T, 8>(simd, k, x, w, first, sums),
        }
    }
}

/// The dot products of `R` woven rows of x, from column `first` of `sums` on, with each row of `w`. Every element of W that was
/// read is used for all of them.
#[inline(always)]
fn dots<S: Simd, T: Element, const R: usize>(
    simd: S,
    k: usize,
    x: &[f32],
    w: &[T],
    first: usize,
    sums: &mut [[f32; MAX_ROWS]],
) {
    let lanes = S::F32_LANES;
    let whole = k - k % lanes;
    let (heads, tails) = x.split_at(R * whole);
    let (pairs, last) = S::as_simd_f32s(heads).0.as_chunks::<R>().0.as_chunks::<CHAINS>();
    for (w, sums) in w.chunks_exact(k).zip(sums) {
        let mut chains = [[Lanes::splat(simd, 0.0); R]; CHAINS];
        let (steps, rest) = w.split_at(pairs.len() * CHAINS * lanes);
        for (x, w) in pairs.iter().zip(steps.chunks_exact(CHAINS * lanes)) {
            for ((sums, x), w) in chains.iter_mut().zip(x).zip(w.chunks_exact(lanes)) {
                if R > 1 && size_of::<T>() < size_of::<f32>() {
                    simd::prefetch(w.as_ptr().wrapping_byte_add(AHEAD));
                }
                let w = widen(simd, w);
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = w.mul_add(Lanes::new(simd, *x), *sum);
                }
            }
        }
        let [mut whole_sums, others @ ..] = chains;
        let (steps, rest) = rest.split_at(last.len() * lanes);
        for (x, w) in last.iter().zip(steps.chunks_exact(lanes)) {
            let w = widen(simd, w);
            for (sum, x) in whole_sums.iter_mut().zip(x) {
                *sum = w.mul_add(Lanes::new(simd, *x), *sum);
            }
        }
        for (r, sum) in whole_sums.iter_mut().enumerate() {
            for other in &others {
                *sum = *sum + other[r];
            }
            let mut total = sum.sum();
            for (x, w) in tails[r * rest.len()..].iter().zip(rest) {
                total += x * w.widen();
            }
            sums[first + r] = total;
        }
    }
}

/// The first elements of `values`, one vector of them.
#[inline(always)]
fn widen<S: Simd, T: Element>(simd: S, values: &[T]) -> Lanes<S> {
    let mut wide = [0.0; MAX_LANES];
    for (wide, value) in wide[..S::F32_LANES].iter_mut().zip(&values[..S::F32_LANES]) {
        *wide = value.widen();
    }
    Lanes::new(simd, S::as_simd_f32s(&wide).0[0])
}

#[cfg(test)]
mod tests {
    use super::super::super::elements::{quantize_rows, to_bf16};
    use super::super::super::testing::random;
    use super::*;

    /// Against f64, and each row beside others against the row alone.
    fn check<T: Element>((n, k): (usize, usize), x: &[f32], w: &[T], scales: Option<&[f32]>) {
        let mut alone = vec![0.0; n];
        for m in 1..=MAX_ROWS {
            let mut y = vec![0.0; m * n];
            times_columns((m, n, k), &x[..m * k], w, scales, None, &mut y);
            for (x, y) in x.chunks_exact(k).zip(y.chunks_exact(n)) {
                times_columns((1, n, k), x, w, scales, None, &mut alone);
                assert_eq!(alone, y, "beside others, of {m}");
                for (j, (w, y)) in w.chunks_exact(k).zip(y).enumerate() {
                    let product = |(x, w): (&f32, &T)| f64::from(*x) * f64::from(w.widen());
                    let scale = scales.map_or(1.0, |scales| f64::from(scales[j]));
                    let exact = x.iter().zip(w).map(product).sum::<f64>() * scale;
                    let size = x.iter().zip(w).map(|pair| product(pair).abs()).sum::<f64>() * scale;
                    assert!((f64::from(*y) - exact).abs() <= 2e-6 * size, "{y} and not {exact}");
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_products_whatever_is_beside_it() {
        for (n, k) in [(1, 1), (3, 7), (65, 16), (70, 33), (9, 100), (130, 64), (2, 200)] {
            let (x, w) = (random(MAX_ROWS * k, 1), random(n * k, 2));
            check((n, k), &x, &w, None);
            check((n, k), &x, &to_bf16(&w), None);
            let (values, scales) = quantize_rows(&w, n);
            check((n, k), &x, &values, Some(&scales));
        }
    }
}
