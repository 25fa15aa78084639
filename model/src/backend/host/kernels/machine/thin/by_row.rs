//! y[m×n] = x[m×k]·W with W row-major `[k, n]`, cut along k, so that each thread streams whole rows of W; the
//! partial sums are added in the order of the cuts.

use super::super::parallel;
use super::super::simd::{self, Lanes, Simd, dispatch};
use super::super::workspace::with_scratch;

/// Rows of W in one cut.
const K_BLOCK: usize = 64;
/// Columns of W that stay in the inner cache while several rows of x pass over them.
const PIECE: usize = 512;
/// Rows of W that are read together: each sum is loaded and stored once for all of them.
const STREAMS: usize = 8;

/// y = x·W (+ bias) for W of `[k, n]`.
pub(crate) fn times_rows(
    (m, n, k): (usize, usize, usize),
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
            dispatch!(cut_of_rows(n, k, p0, x, &w[p0 * n..p1 * n], partial));
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

/// What the rows `w` of W, from row `p0` on, add to each row of y.
#[inline(always)]
fn cut_of_rows<S: Simd>(simd: S, n: usize, k: usize, p0: usize, x: &[f32], w: &[f32], partial: &mut [f32]) {
    partial.fill(0.0);
    let piece = if partial.len() == n { n } else { PIECE };
    for (group, w) in w.chunks(STREAMS * n).enumerate() {
        let p = p0 + group * STREAMS;
        for j0 in (0..n).step_by(piece) {
            let j1 = (j0 + piece).min(n);
            for (x, y) in x.chunks_exact(k).zip(partial.chunks_exact_mut(n)) {
                let y = &mut y[j0..j1];
                if w.len() == STREAMS * n {
                    let x = x[p..].first_chunk::<STREAMS>().expect("as many as rows");
                    add_rows(simd, *x, std::array::from_fn(|s| &w[s * n + j0..s * n + j1]), y);
                } else {
                    for (x, w) in x[p..].iter().zip(w.chunks_exact(n)) {
                        add_rows(simd, [*x], [&w[j0..j1]], y);
                    }
                }
            }
        }
    }
}

/// `y += Σ x[s]·rows[s]`.
#[inline(always)]
fn add_rows<S: Simd, const N: usize>(simd: S, x: [f32; N], rows: [&[f32]; N], y: &mut [f32]) {
    let factors = x.map(|x| Lanes::splat(simd, x));
    let rows = rows.map(|row| S::as_simd_f32s(&row[..y.len()]));
    let (vectors, tail) = S::as_mut_simd_f32s(y);
    let heads = rows.map(|(head, _)| &head[..vectors.len()]);
    for (index, vector) in vectors.iter_mut().enumerate() {
        let mut sum = Lanes::new(simd, *vector);
        for s in 0..N {
            sum = factors[s].mul_add(Lanes::new(simd, heads[s][index]), sum);
        }
        *vector = sum.v;
    }
    for (index, sum) in tail.iter_mut().enumerate() {
        for s in 0..N {
            *sum += x[s] * rows[s].1[index];
        }
    }
}
