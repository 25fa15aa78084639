//! Matrix products C[m×n] (+)= A[m×k]·B[k×n] with either operand transposed, a bias and an activation fused.
//!
//! The blocking is the usual one of three cache levels: a panel of B of [`KC`] rows is copied for the outer
//! cache, [`MC`] rows of A for the middle one, and the inner loops run register tiles over them. The sum over
//! k is cut at multiples that depend on k alone, so the work may be shared among any number of threads
//! without changing a bit.

use super::activation::{self, specialise};
use super::matrix::{RightView, View};
use super::microkernel::{Dst, Lhs, MAX_TILE_HEIGHT, MAX_TILE_WIDTH, Rhs, Start, row_tile, with_tile};
use super::panels;
use super::parallel::{self, SharedMut};
use super::simd::{Simd, dispatch, map, map2};
use super::workspace::with_scratch;
use crate::Activation;

/// Longest run of k between two visits of the result.
const KC: usize = 256;
/// Rows of A in one packed block; a multiple of every tile height.
const MC: usize = 144;
/// Columns of B in one packed panel; a multiple of every tile width.
const NC: usize = 1024;
/// Parts of the rows begin at multiples of this, and so at multiples of every tile height.
const ROW_UNIT: usize = 2 * MAX_TILE_HEIGHT;
/// Elements of A up to which it is packed as a whole.
const MAX_WHOLE_LHS: usize = 1 << 20;
/// Multiply-adds below which a product stays on one thread.
const MIN_PARALLEL_PRODUCT: usize = if cfg!(test) { 1 } else { 256 * 1024 };

/// What happens to the product besides being stored.
pub(crate) enum Epilogue<'a> {
    /// C = A·B.
    Store,
    /// C += A·B.
    Accumulate,
    /// C = A·B + bias.
    Bias(&'a [f32]),
    /// C = A·B + bias, out = activation(C).
    Activate { bias: Option<&'a [f32]>, activation: Activation, out: &'a mut [f32] },
    /// C = activation(A·B + bias).
    ActivateInPlace { bias: Option<&'a [f32]>, activation: Activation },
}

/// The same with shared pointers, as the threads see it.
#[derive(Clone, Copy)]
struct Finish<'a> {
    accumulate: bool,
    bias: Option<&'a [f32]>,
    /// Its result replaces C unless there is another buffer.
    activation: Option<(Activation, Option<SharedMut>)>,
}

/// C (m×n, contiguous) from A (m×k) and B (k×n).
pub(crate) fn gemm(m: usize, n: usize, k: usize, a: View, b: RightView, c: &mut [f32], epilogue: Epilogue) {
    a.check(m, k);
    b.check(k, n);
    assert_eq!(c.len(), m * n, "result of a {m}x{k}x{n} product");
    let shared = SharedMut::new(c);
    let finish = match epilogue {
        Epilogue::Store => Finish { accumulate: false, bias: None, activation: None },
        Epilogue::Accumulate => Finish { accumulate: true, bias: None, activation: None },
        Epilogue::Bias(bias) => Finish { accumulate: false, bias: Some(bias), activation: None },
        Epilogue::Activate { bias, activation, out } => {
            assert_eq!(out.len(), m * n, "output of a fused activation");
            Finish { accumulate: false, bias, activation: Some((activation, Some(SharedMut::new(out)))) }
        }
        Epilogue::ActivateInPlace { bias, activation } => {
            Finish { accumulate: false, bias, activation: Some((activation, None)) }
        }
    };
    if let Some(bias) = finish.bias {
        assert_eq!(bias.len(), n, "bias of a {m}x{k}x{n} product");
    }
    let product = Product { m, n, k, a, b, c: shared, finish };
    let (row_parts, column_parts) = product.grid();
    parallel::for_each(row_parts * column_parts, m * n * k, |part| {
        let rows = part_bounds(m, row_parts, part / column_parts, ROW_UNIT);
        let cols = part_bounds(n, column_parts, part % column_parts, MAX_TILE_WIDTH);
        // SAFETY: the parts of the grid are disjoint regions of `c` and of the activation's output, both m×n,
        // and the operands were checked above.
        let kc = k_block(k);
        let columns = NC.min((cols.1 - cols.0).next_multiple_of(MAX_TILE_WIDTH));
        let height = (rows.1 - rows.0).next_multiple_of(MAX_TILE_HEIGHT);
        // With several panels of B all of A is packed before them, so that it is packed once.
        let whole = cols.1 - cols.0 > NC && height * k <= MAX_WHOLE_LHS;
        let a_len = if whole { height * k } else { height.min(MC) * kc };
        with_scratch(kc * columns, |b_pack| {
            with_scratch(a_len, |a_pack| dispatch!(block(&product, rows, cols, whole, a_pack, b_pack)));
        });
    });
}

/// Bounds of part `index` of `parts` of `len`, at multiples of `unit`.
fn part_bounds(len: usize, parts: usize, index: usize, unit: usize) -> (usize, usize) {
    let units = len.div_ceil(unit);
    let at = |i: usize| (units * i / parts * unit).min(len);
    (at(index), at(index + 1))
}

struct Product<'a> {
    m: usize,
    n: usize,
    k: usize,
    a: View<'a>,
    b: RightView<'a>,
    c: SharedMut,
    finish: Finish<'a>,
}

impl Product<'_> {
    /// Into how many parts the rows and the columns are cut: one part a thread, with the least packed twice.
    fn grid(&self) -> (usize, usize) {
        let threads = parallel::threads();
        if threads == 1 || self.m * self.n * self.k < MIN_PARALLEL_PRODUCT {
            return (1, 1);
        }
        // Each column part packs all of A, each row part all of B; B is packed from farther away.
        let cost = |rows: usize| self.k * (rows * self.n + threads.div_ceil(rows) * self.m);
        let rows = (1..=threads).filter(|&r| threads.is_multiple_of(r)).min_by_key(|&r| cost(r)).unwrap_or(1);
        (rows, threads / rows)
    }
}

/// Length of the pieces of k: equal, at most [`KC`], and a function of k alone.
fn k_block(k: usize) -> usize {
    k.div_ceil(k.div_ceil(KC).max(1)).max(1)
}

#[inline(always)]
fn block<S: Simd>(
    simd: S,
    product: &Product,
    rows: (usize, usize),
    cols: (usize, usize),
    whole: bool,
    a_pack: &mut [f32],
    b_pack: &mut [f32],
) {
    with_tile!(block_tiled::<S>(simd, product, rows, cols, whole, a_pack, b_pack));
}

/// One part of the grid: the blocking's loops over columns, k and rows, in one function to be read together. The
/// scratch is handed in because only code inlined here is compiled for the instruction set.
#[inline(always)]
fn block_tiled<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    product: &Product,
    rows: (usize, usize),
    cols: (usize, usize),
    whole: bool,
    a_pack: &mut [f32],
    b_pack: &mut [f32],
) {
    let nr = NV * S::F32_LANES;
    let kc = k_block(product.k);
    let padded = (rows.1 - rows.0).next_multiple_of(MR);
    if whole {
        for pc in (0..product.k).step_by(kc) {
            let p_end = (pc + kc).min(product.k);
            panels::lhs::<S, MR>(
                simd,
                product.a,
                rows,
                (pc, p_end),
                &mut a_pack[pc * padded..p_end * padded],
            );
        }
    }
    for jc in (cols.0..cols.1).step_by(NC) {
        let j_end = (jc + NC).min(cols.1);
        for pc in (0..product.k.max(1)).step_by(kc) {
            let p_end = (pc + kc).min(product.k);
            panels::rhs::<S>(simd, product.b, (pc, p_end), (jc, j_end), nr, b_pack);
            for ic in (rows.0..rows.1).step_by(MC) {
                let i_end = (ic + MC).min(rows.1);
                let a_block = if whole {
                    &a_pack[pc * padded + (ic - rows.0) * (p_end - pc)..]
                } else {
                    panels::lhs::<S, MR>(simd, product.a, (ic, i_end), (pc, p_end), a_pack);
                    &*a_pack
                };
                macro_tile::<S, MR, NV>(
                    simd,
                    product,
                    (ic, i_end),
                    (jc, j_end),
                    (pc, p_end),
                    a_block,
                    b_pack,
                );
            }
        }
    }
}

/// All register tiles of rows × columns for one piece of k.
#[inline(always)]
fn macro_tile<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    product: &Product,
    (i0, i1): (usize, usize),
    (j0, j1): (usize, usize),
    (p0, p1): (usize, usize),
    a_pack: &[f32],
    b_pack: &[f32],
) {
    let nr = NV * S::F32_LANES;
    let k = p1 - p0;
    let first = p0 == 0;
    let last = p1 == product.k;
    for j in (j0..j1).step_by(nr) {
        let width = nr.min(j1 - j);
        let rhs = Rhs { ptr: b_pack[(j - j0) * k..].as_ptr(), k: nr };
        for i in (i0..i1).step_by(MR) {
            let height = MR.min(i1 - i);
            let lhs = Lhs { ptr: a_pack[(i - i0) * k..].as_ptr(), row: 1, k: MR };
            let start = match (first, product.finish.bias) {
                (true, Some(bias)) => Start::Bias(bias[j..].as_ptr()),
                (true, None) if !product.finish.accumulate => Start::Zero,
                _ => Start::Keep,
            };
            // SAFETY: `lhs` has `height` rows of `k` elements in the packed block, `rhs` has `k` steps of
            // `nr` packed elements, and rows × columns of C belong to this task alone.
            unsafe {
                let dst = Dst { ptr: product.c.at(i * product.n + j), row: product.n };
                row_tile::<S, MR, NV>(simd, (height, width), k, lhs, rhs, dst, start);
            }
        }
    }
    if let (true, Some((activation, out))) = (last, product.finish.activation) {
        for i in i0..i1 {
            // SAFETY: `j1 − j0` elements of a row that belongs to this task, in C and in the buffer of its
            // size, if that is another one.
            unsafe { activate(simd, activation, product.c, out, i * product.n + j0, j1 - j0) };
        }
    }
}

/// Applies the activation to `len` sums at `offset` of `sums`, into the same elements of `out` if there is
/// one.
///
/// # Safety
/// Both buffers have these elements, and they belong to this task alone.
#[inline(always)]
unsafe fn activate<S: Simd>(
    simd: S,
    kind: Activation,
    sums: SharedMut,
    out: Option<SharedMut>,
    offset: usize,
    len: usize,
) {
    // SAFETY: the caller's promise.
    let sums = unsafe { std::slice::from_raw_parts_mut(sums.at(offset), len) };
    let target = match out {
        // SAFETY: the caller's promise.
        Some(out) => unsafe { std::slice::from_raw_parts_mut(out.at(offset), len) },
        None => {
            return specialise!(kind => map(
                simd,
                sums,
                #[inline(always)]
                |x| activation::value(kind, x),
            ));
        }
    };
    specialise!(kind => map2(
        simd,
        target,
        sums,
        #[inline(always)]
        |_, x| activation::value(kind, x),
    ));
}
