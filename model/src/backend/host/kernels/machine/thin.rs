//! Products with a handful of rows, as in decoding: every weight is read once, at the speed of memory, and in
//! fewer bits there are fewer bytes to read.
//!
//! y[m×n] = x[m×k]·W with W row-major `[k, n]` is cut along k, so each thread streams whole rows of W; the
//! partial sums are added in the order of the cuts. With W given as its transpose `[n, k]` every element is
//! one dot product.

use super::elements::Element;
use super::parallel::{self, SharedMut};
use super::simd::{self, Lanes, Simd, dispatch};
use super::workspace::with_scratch;

/// Most rows that count as thin.
pub(crate) const MAX_ROWS: usize = 8;
/// Rows of W in one cut.
const K_BLOCK: usize = 64;
/// Columns of the result (rows of the transposed weight) in one task.
const N_BLOCK: usize = 64;
/// Columns of W that stay in the inner cache while several rows of x pass over them.
const PIECE: usize = 512;
/// Rows of W that are read together: each sum is loaded and stored once for all of them.
const STREAMS: usize = 8;
/// Vectors of sums that a dot product keeps apart.
const CHAINS: usize = 8;
/// Lanes of the widest vector.
const MAX_LANES: usize = 16;

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

/// y = x·Wᵀ scaled by column, plus bias, for W of `[n, k]`.
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
    // Elements in fewer bits are widened once for several rows of x; for one, on the way.
    let widened = if m > 1 && size_of::<T>() < size_of::<f32>() { k } else { 0 };
    parallel::for_each(n.div_ceil(N_BLOCK), m * n * k, |block| {
        let columns = block * N_BLOCK..((block + 1) * N_BLOCK).min(n);
        let mut sums = [[0.0; MAX_ROWS]; N_BLOCK];
        if k > 0 {
            let w = &w[columns.start * k..columns.end * k];
            with_scratch(widened, |wide| dispatch!(dot_block(k, x, w, wide, &mut sums)));
        }
        for (j, sums) in columns.zip(&sums) {
            let (scale, bias) = (scales.map_or(1.0, |scales| scales[j]), bias.map_or(0.0, |bias| bias[j]));
            for (i, sum) in sums[..m].iter().enumerate() {
                // SAFETY: element (i, j) of y, and column j belongs to this task.
                unsafe { *shared.at(i * n + j) = sum * scale + bias };
            }
        }
    });
}

/// `sums[j][i]` = row i of x · row j of `w`: one stream of memory, whose rows stay in the inner cache for all
/// of x. With room for a row in `wide`, it is widened once; the sums are the same numbers.
#[inline(always)]
fn dot_block<S: Simd, T: Element>(
    simd: S,
    k: usize,
    x: &[f32],
    w: &[T],
    wide: &mut [f32],
    sums: &mut [[f32; MAX_ROWS]],
) {
    for (w, sums) in w.chunks_exact(k).zip(sums) {
        if wide.is_empty() {
            for (x, sum) in x.chunks_exact(k).zip(sums) {
                *sum = dot(simd, x, w);
            }
        } else {
            for (wide, value) in wide.iter_mut().zip(w) {
                *wide = value.widen();
            }
            for (x, sum) in x.chunks_exact(k).zip(sums) {
                *sum = dot(simd, x, &*wide);
            }
        }
    }
}

#[inline(always)]
fn dot<S: Simd, T: Element>(simd: S, x: &[f32], w: &[T]) -> f32 {
    let w = &w[..x.len()];
    let (vectors, x_tail) = S::as_simd_f32s(x);
    let (blocks, rest) = vectors.as_chunks::<CHAINS>();
    let (w_blocks, w_rest) = w.split_at(blocks.len() * CHAINS * S::F32_LANES);
    let (w_rest, w_tail) = w_rest.split_at(rest.len() * S::F32_LANES);
    let mut sums = [Lanes::splat(simd, 0.0); CHAINS];
    for (block, x) in blocks.iter().enumerate() {
        let w = &w_blocks[block * CHAINS * S::F32_LANES..][..CHAINS * S::F32_LANES];
        for chain in 0..CHAINS {
            let w = widen(simd, &w[chain * S::F32_LANES..]);
            sums[chain] = w.mul_add(Lanes::new(simd, x[chain]), sums[chain]);
        }
    }
    for (index, x) in rest.iter().enumerate() {
        sums[0] = widen(simd, &w_rest[index * S::F32_LANES..]).mul_add(Lanes::new(simd, *x), sums[0]);
    }
    for chain in 1..CHAINS {
        sums[0] = sums[0] + sums[chain];
    }
    let mut total = sums[0].sum();
    for (x, w) in x_tail.iter().zip(w_tail) {
        total += x * w.widen();
    }
    total
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
