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
/// Columns of W that stay in the inner cache.
const PIECE: usize = 1024;
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
    for p in (p0..p1).step_by(STREAMS) {
        let streams = STREAMS.min(p1 - p);
        // A piece of the rows of W stays in the inner cache while every row of x passes over it.
        for j0 in (0..n).step_by(PIECE) {
            let j1 = (j0 + PIECE).min(n);
            let row = |s: usize| &w[(p + s) * n + j0..(p + s) * n + j1];
            let mut i = 0;
            while i < m {
                let (y, below) = partial[i * n..].split_at_mut(n);
                let y = &mut y[j0..j1];
                let x_at = |r: usize, s: usize| x[(i + r) * k + p + s];
                if streams < STREAMS {
                    for s in 0..streams {
                        add_rows(simd, [y], [row(s)], [[x_at(0, s)]], None);
                    }
                    i += 1;
                } else {
                    let rows = [row(0), row(1), row(2), row(3)];
                    let ahead = (i == 0).then_some(STREAMS * n);
                    let factors = |r: usize| [x_at(r, 0), x_at(r, 1), x_at(r, 2), x_at(r, 3)];
                    if i + 1 < m {
                        add_rows(simd, [y, &mut below[j0..j1]], rows, [factors(0), factors(1)], ahead);
                        i += 2;
                    } else {
                        add_rows(simd, [y], rows, [factors(0)], ahead);
                        i += 1;
                    }
                }
            }
        }
    }
}

/// `y[r] += Σ x[r][s]·rows[s]`: each vector of W is loaded once for all the rows of y. What lies `ahead` elements behind
/// each row is asked for meanwhile: several short streams are more than the processor foresees by itself.
#[inline(always)]
fn add_rows<S: Simd, const R: usize, const N: usize>(
    simd: S,
    y: [&mut [f32]; R],
    rows: [&[f32]; N],
    x: [[f32; N]; R],
    ahead: Option<usize>,
) {
    let mut factors = [[Lanes::splat(simd, 0.0); N]; R];
    let mut heads: [&[S::f32s]; N] = [&[]; N];
    let mut tails: [&[f32]; N] = [&[]; N];
    let len = y.first().map_or(0, |y| y.len());
    let vectors = len / S::F32_LANES;
    for s in 0..N {
        (heads[s], tails[s]) = S::as_simd_f32s(&rows[s][..len]);
        heads[s] = &heads[s][..vectors];
    }
    let mut y_heads: [&mut [S::f32s]; R] = std::array::from_fn(|_| Default::default());
    let mut y_tails: [&mut [f32]; R] = std::array::from_fn(|_| Default::default());
    for (r, y) in y.into_iter().enumerate() {
        (y_heads[r], y_tails[r]) = S::as_mut_simd_f32s(&mut y[..len]);
        for s in 0..N {
            factors[r][s] = Lanes::splat(simd, x[r][s]);
        }
    }
    let line = (simd::CACHE_LINE / size_of::<S::f32s>()).max(1);
    for j in 0..vectors {
        if let Some(ahead) = ahead.filter(|_| j % line == 0) {
            for row in rows {
                simd::prefetch(row.as_ptr().wrapping_add(ahead + j * S::F32_LANES));
            }
        }
        let mut w = [Lanes::splat(simd, 0.0); N];
        for s in 0..N {
            w[s] = Lanes::new(simd, heads[s][j]);
        }
        for r in 0..R {
            let mut sum = Lanes::new(simd, y_heads[r][j]);
            for s in 0..N {
                sum = factors[r][s].mul_add(w[s], sum);
            }
            y_heads[r][j] = sum.v;
        }
    }
    for r in 0..R {
        if !y_tails[r].is_empty() {
            let mut sum = Lanes::load(simd, y_tails[r]);
            for s in 0..N {
                sum = factors[r][s].mul_add(Lanes::load(simd, tails[s]), sum);
            }
            simd.partial_store_f32s(y_tails[r], sum.v);
        }
    }
}

/// y = x·Wᵀ for W of `[n, k]`.
pub(crate) fn times_columns(m: usize, n: usize, k: usize, x: &[f32], w: &[f32], y: &mut [f32]) {
    assert!(x.len() == m * k && w.len() == k * n && y.len() == m * n);
    let shared = SharedMut::new(y);
    parallel::for_each(n.div_ceil(N_BLOCK), m * n * k, |block| {
        let j0 = block * N_BLOCK;
        let j1 = (j0 + N_BLOCK).min(n);
        let w = &w[j0 * k..j1 * k];
        for i in (0..m).step_by(GROUP) {
            let mut block = [[0.0; GROUP]; N_BLOCK];
            let rows = GROUP.min(m - i);
            let x = &x[i * k..(i + rows) * k];
            dispatch!(dot_block(k, x, w, &mut block));
            for (j, values) in (j0..j1).zip(&block) {
                for (r, &value) in values[..rows].iter().enumerate() {
                    // SAFETY: element (i + r, j) of y, and column j belongs to this task.
                    unsafe { *shared.at((i + r) * n + j) = value };
                }
            }
        }
    });
}

/// Rows of x that share one read of a row of W.
const GROUP: usize = 4;

#[inline(always)]
fn dot_block<S: Simd>(simd: S, k: usize, x: &[f32], w: &[f32], out: &mut [[f32; GROUP]; N_BLOCK]) {
    if k == 0 {
        return;
    }
    for (w, out) in w.chunks_exact(k).zip(out) {
        if x.len() == GROUP * k {
            *out = dot_group(simd, x, w);
        } else {
            for (x, out) in x.chunks_exact(k).zip(out) {
                *out = simd::dot(simd, x, w);
            }
        }
    }
}

/// The dot products of [`GROUP`] rows with one row.
#[inline(always)]
fn dot_group<S: Simd>(simd: S, x: &[f32], w: &[f32]) -> [f32; GROUP] {
    let k = w.len();
    let (w_head, w_tail) = S::as_simd_f32s(w);
    let mut heads: [&[S::f32s]; GROUP] = [&[]; GROUP];
    let mut tails: [&[f32]; GROUP] = [&[]; GROUP];
    for r in 0..GROUP {
        (heads[r], tails[r]) = S::as_simd_f32s(&x[r * k..][..k]);
        heads[r] = &heads[r][..w_head.len()];
    }
    let mut sums = [[Lanes::splat(simd, 0.0); 2]; GROUP];
    let pairs = w_head.len() / 2 * 2;
    for j in (0..pairs).step_by(2) {
        for c in 0..2 {
            let w = Lanes::new(simd, w_head[j + c]);
            for r in 0..GROUP {
                sums[r][c] = w.mul_add(Lanes::new(simd, heads[r][j + c]), sums[r][c]);
            }
        }
    }
    if pairs < w_head.len() {
        for r in 0..GROUP {
            sums[r][0] =
                Lanes::new(simd, w_head[pairs]).mul_add(Lanes::new(simd, heads[r][pairs]), sums[r][0]);
        }
    }
    let mut out = [0.0; GROUP];
    for r in 0..GROUP {
        if !w_tail.is_empty() {
            sums[r][1] = Lanes::load(simd, w_tail).mul_add(Lanes::load(simd, tails[r]), sums[r][1]);
        }
        out[r] = (sums[r][0] + sums[r][1]).sum();
    }
    out
}
