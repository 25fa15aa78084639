//! Products with a handful of rows, as in decoding: every weight is read once, at the speed of memory.
//!
//! y[m×n] = x[m×k]·W with W row-major `[k, n]` is cut along k, so each thread streams whole rows of W; the partial sums are added in the
//! order of the cuts. With W given as its transpose `[n, k]` every element is one dot product.

use super::parallel::{self, SharedMut};
use super::simd::{self, Lanes, Simd, dispatch};
use super::workspace::with_scratch;

/// Most rows that count as thin.
pub(crate) const MAX_ROWS: usize = 8;
/// Rows of W in one cut.
const K_BLOCK: usize = 64;
/// Columns of the result (rows of the transposed weight) in one task.
const N_BLOCK: usize = 64;
/// Rows of W that are read together.
const STREAMS: usize = 4;

/// y = x·W (+ bias) for W of `[k, n]`.
pub(crate) fn times_rows(
    m: usize,
    n: usize,
    k: usize,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    assert!(x.len() == m * k && w.len() == k * n && y.len() == m * n);
    let cuts = k.div_ceil(K_BLOCK);
    with_scratch(cuts * m * n, |partial| {
        parallel::for_each_chunk(partial, (m * n).max(1), m * n * k, |cut, partial| {
            let p0 = cut * K_BLOCK;
            let p1 = (p0 + K_BLOCK).min(k);
            dispatch!(cut_of_rows(m, n, k, (p0, p1), x, w, partial));
        });
        for (i, y) in y.chunks_mut(n.max(1)).enumerate() {
            match bias {
                Some(bias) => y.copy_from_slice(bias),
                None => y.fill(0.0),
            }
            for cut in 0..cuts {
                let partial = &partial[(cut * m + i) * n..][..n];
                dispatch!(add_to(y, partial));
            }
        }
    });
}

#[inline(always)]
fn add_to<S: Simd>(simd: S, y: &mut [f32], x: &[f32]) {
    simd::map2(
        simd,
        y,
        x,
        #[inline(always)]
        |y, x| y + x,
    );
}

#[inline(always)]
fn cut_of_rows<S: Simd>(
    simd: S,
    m: usize,
    n: usize,
    k: usize,
    (p0, p1): (usize, usize),
    x: &[f32],
    w: &[f32],
    partial: &mut [f32],
) {
    partial.fill(0.0);
    let mut p = p0;
    while p < p1 {
        let streams = STREAMS.min(p1 - p);
        for i in 0..m {
            let y = &mut partial[i * n..][..n];
            let x = &x[i * k + p..][..streams];
            let row = |s: usize| &w[(p + s) * n..][..n];
            if streams == STREAMS {
                add_rows(simd, y, [row(0), row(1), row(2), row(3)], [x[0], x[1], x[2], x[3]]);
            } else {
                for (s, &x) in x.iter().enumerate() {
                    add_rows(simd, y, [row(s)], [x]);
                }
            }
        }
        p += streams;
    }
}

/// y += Σ x[s]·rows[s].
#[inline(always)]
fn add_rows<S: Simd, const N: usize>(simd: S, y: &mut [f32], rows: [&[f32]; N], x: [f32; N]) {
    let mut factors = [Lanes::splat(simd, 0.0); N];
    let mut heads: [&[S::f32s]; N] = [&[]; N];
    let mut tails: [&[f32]; N] = [&[]; N];
    let (y_head, y_tail) = S::as_mut_simd_f32s(y);
    for s in 0..N {
        factors[s] = Lanes::splat(simd, x[s]);
        (heads[s], tails[s]) = S::as_simd_f32s(rows[s]);
        heads[s] = &heads[s][..y_head.len()];
    }
    for (j, y) in y_head.iter_mut().enumerate() {
        let mut sum = Lanes::new(simd, *y);
        for s in 0..N {
            sum = factors[s].mul_add(Lanes::new(simd, heads[s][j]), sum);
        }
        *y = sum.v;
    }
    if !y_tail.is_empty() {
        let mut sum = Lanes::load(simd, y_tail);
        for s in 0..N {
            sum = factors[s].mul_add(Lanes::load(simd, tails[s]), sum);
        }
        simd.partial_store_f32s(y_tail, sum.v);
    }
}

/// y = x·Wᵀ for W of `[n, k]`.
pub(crate) fn times_columns(m: usize, n: usize, k: usize, x: &[f32], w: &[f32], y: &mut [f32]) {
    assert!(x.len() == m * k && w.len() == k * n && y.len() == m * n);
    let shared = SharedMut::new(y);
    parallel::for_each(n.div_ceil(N_BLOCK), m * n * k, |block| {
        let j0 = block * N_BLOCK;
        let j1 = (j0 + N_BLOCK).min(n);
        for j in j0..j1 {
            let w = &w[j * k..][..k];
            for i in 0..m {
                let value = dispatch!(dot(&x[i * k..][..k], w));
                // SAFETY: element (i, j) of y, and column j belongs to this task.
                unsafe { *shared.at(i * n + j) = value };
            }
        }
    });
}

#[inline(always)]
fn dot<S: Simd>(simd: S, x: &[f32], y: &[f32]) -> f32 {
    simd::dot(simd, x, y)
}
