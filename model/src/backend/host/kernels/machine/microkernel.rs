//! The register tile that every matrix product is made of: C[m×n] = C₀ + Σₖ A[m, k]·B[k, n].
//!
//! A tile of `MR` rows by `NV` vectors stays in registers over the whole sum; each step loads `NV` vectors of
//! B and broadcasts `MR` elements of A. Every element is one chain of multiply-adds in the order of k,
//! whatever the tile it falls in, so how a product is cut into tiles never changes its bits.

use super::simd::{self, Simd};

/// Left operand: element (i, k) is at `i·row + k·k`, and one of the two strides is 1.
#[derive(Clone, Copy)]
pub(crate) struct Lhs {
    pub(crate) ptr: *const f32,
    pub(crate) row: usize,
    pub(crate) k: usize,
}

/// Right operand of one tile: element (k, j) is at `k·k + j`; whole vectors are read, also past the last
/// column.
#[derive(Clone, Copy)]
pub(crate) struct Rhs {
    pub(crate) ptr: *const f32,
    pub(crate) k: usize,
}

/// Result: element (i, j) is at `i·row + j`.
#[derive(Clone, Copy)]
pub(crate) struct Dst {
    pub(crate) ptr: *mut f32,
    pub(crate) row: usize,
}

/// What the sum over k is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// Nothing.
    Zero,
    /// The content of the result.
    Keep,
    /// One value for each column.
    Bias(*const f32),
}

/// Height of the tallest register tile that [`with_tile!`] chooses.
pub(crate) const MAX_TILE_HEIGHT: usize = 12;
/// A width that no register tile exceeds, to which scratch is rounded up.
pub(crate) const MAX_TILE_WIDTH: usize = 64;

/// Calls a function with the rows and vectors of the register tile for an instruction set.
macro_rules! with_tile {
    ($f:ident::<$s:ident>( $($arg:expr),* $(,)? )) => {
        if $s::IS_SCALAR {
            $f::<$s, 4, 4>($($arg),*)
        } else if $s::REGISTER_COUNT < 32 {
            $f::<$s, 6, 2>($($arg),*)
        } else if $s::F32_LANES >= 16 {
            $f::<$s, 12, 2>($($arg),*)
        } else {
            $f::<$s, 6, 4>($($arg),*)
        }
    };
}
pub(crate) use with_tile;

/// The sums of a tile whose left operand has its rows side by side, so that a step's addresses are one
/// register plus constants.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn side_by_side<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    k: usize,
    lhs: Lhs,
    rhs: Rhs,
) -> [[S::f32s; NV]; MR] {
    let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
    let (mut a, mut b) = (lhs.ptr, rhs.ptr);
    for _ in 0..k {
        // SAFETY: within the k steps that the caller vouches for.
        unsafe {
            step::<S, MR, NV>(
                simd,
                &mut acc,
                b,
                #[inline(always)]
                |i| *a.add(i),
            )
        };
        a = a.wrapping_add(lhs.k);
        b = b.wrapping_add(rhs.k);
    }
    acc
}

/// The sums of a tile whose left operand has contiguous rows: a register for each row and a common index.
///
/// # Safety
/// As for [`tile`], with `lhs.k` 1.
#[inline(always)]
unsafe fn row_by_row<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    k: usize,
    lhs: Lhs,
    rhs: Rhs,
) -> [[S::f32s; NV]; MR] {
    debug_assert!(lhs.k == 1 || k <= 1);
    let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
    let mut rows = [lhs.ptr; MR];
    for i in 1..MR {
        rows[i] = rows[i - 1].wrapping_add(lhs.row);
    }
    let mut b = rhs.ptr;
    for p in 0..k {
        // SAFETY: within the k steps that the caller vouches for.
        unsafe {
            step::<S, MR, NV>(
                simd,
                &mut acc,
                b,
                #[inline(always)]
                |i| *rows[i].add(p),
            )
        };
        b = b.wrapping_add(rhs.k);
    }
    acc
}

/// One step of k: `acc[i] += a(i)·b`.
///
/// # Safety
/// `b` is readable for `NV` whole vectors.
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    acc: &mut [[S::f32s; NV]; MR],
    b: *const f32,
    a: impl Fn(usize) -> f32,
) {
    let mut bv = [simd.splat_f32s(0.0); NV];
    for (j, bv) in bv.iter_mut().enumerate() {
        // SAFETY: vector j of `NV`.
        *bv = unsafe { b.add(j * S::F32_LANES).cast::<S::f32s>().read_unaligned() };
    }
    for (i, acc) in acc.iter_mut().enumerate() {
        let av = simd.splat_f32s(a(i));
        for j in 0..NV {
            acc[j] = simd.mul_add_e_f32s(av, bv[j], acc[j]);
        }
    }
}

/// Prefetches the tile's rows of the result, which are needed when the sums are done.
#[inline(always)]
fn prefetch(dst: Dst, rows: usize) {
    for i in 0..rows {
        simd::prefetch(dst.ptr.wrapping_add(i * dst.row));
    }
}

/// One tile of exactly `MR` rows and at most `NV` vectors of columns.
///
/// # Safety
/// `lhs` is readable for `MR` rows and `k` steps, `rhs` for `k` steps of `NV` whole vectors, `dst` is
/// writable for `MR` rows of `cols` elements, and a bias is readable for `cols` elements.
#[inline(always)]
unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    cols: usize,
    k: usize,
    lhs: Lhs,
    rhs: Rhs,
    dst: Dst,
    start: Start,
) {
    prefetch(dst, MR);
    // SAFETY: the caller's promise.
    let acc = unsafe {
        if lhs.row == 1 {
            side_by_side::<S, MR, NV>(simd, k, lhs, rhs)
        } else {
            row_by_row::<S, MR, NV>(simd, k, lhs, rhs)
        }
    };
    // SAFETY: the caller's promise.
    unsafe {
        if cols == NV * S::F32_LANES {
            store_vectors(simd, &acc, dst, start);
        } else {
            store_columns::<S, MR, NV>(simd, &acc, cols, dst, start);
        }
    }
}

/// Adds the sums to what they start from and stores them, a vector at a time.
///
/// # Safety
/// `dst` is writable for `MR` rows of `NV` vectors, and a bias is readable for `NV` vectors.
#[inline(always)]
unsafe fn store_vectors<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    acc: &[[S::f32s; NV]; MR],
    dst: Dst,
    start: Start,
) {
    for (i, acc) in acc.iter().enumerate() {
        for (j, &v) in acc.iter().enumerate() {
            // SAFETY: vector j of row i; the bias has as many vectors as a row.
            unsafe {
                let c = dst.ptr.add(i * dst.row + j * S::F32_LANES).cast::<S::f32s>();
                let v = match start {
                    Start::Zero => v,
                    Start::Keep => simd.add_f32s(c.read_unaligned(), v),
                    Start::Bias(bias) => {
                        simd.add_f32s(bias.add(j * S::F32_LANES).cast::<S::f32s>().read_unaligned(), v)
                    }
                };
                c.write_unaligned(v);
            }
        }
    }
}

/// [`store_vectors`] for the first `cols` columns, one by one.
///
/// # Safety
/// `cols` is at most `NV` vectors; `dst` is writable for `MR` rows of `cols` elements, and a bias is readable
/// for `cols`.
#[inline(always)]
unsafe fn store_columns<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    acc: &[[S::f32s; NV]; MR],
    cols: usize,
    dst: Dst,
    start: Start,
) {
    let mut row = [[simd.splat_f32s(0.0); NV]; 1];
    for (i, acc) in acc.iter().enumerate() {
        row[0] = *acc;
        let values = row.as_ptr().cast::<f32>();
        for j in 0..cols {
            // SAFETY: column j is one of the `NV` vectors in `row`, and valid in `dst` and the bias.
            unsafe {
                let c = dst.ptr.add(i * dst.row + j);
                let v = *values.add(j);
                *c = match start {
                    Start::Zero => v,
                    Start::Keep => *c + v,
                    Start::Bias(bias) => *bias.add(j) + v,
                };
            }
        }
    }
}

/// At most `MR` rows and at most `NV` vectors of columns.
///
/// # Safety
/// As for [`tile`], with `rows` in place of `MR`.
#[inline(always)]
pub(crate) unsafe fn row_tile<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    (rows, cols): (usize, usize),
    k: usize,
    lhs: Lhs,
    rhs: Rhs,
    dst: Dst,
    start: Start,
) {
    if rows == MR {
        // SAFETY: the caller's promise.
        unsafe { tile::<S, MR, NV>(simd, cols, k, lhs, rhs, dst, start) };
        return;
    }
    let mut done = 0;
    while done < rows {
        // SAFETY: rows `done ..` of the caller's.
        unsafe {
            let lhs = Lhs { ptr: lhs.ptr.add(done * lhs.row), ..lhs };
            let dst = Dst { ptr: dst.ptr.add(done * dst.row), ..dst };
            match rows - done {
                4.. => {
                    tile::<S, 4, NV>(simd, cols, k, lhs, rhs, dst, start);
                    done += 4;
                }
                2.. => {
                    tile::<S, 2, NV>(simd, cols, k, lhs, rhs, dst, start);
                    done += 2;
                }
                _ => {
                    tile::<S, 1, NV>(simd, cols, k, lhs, rhs, dst, start);
                    done += 1;
                }
            }
        }
    }
}
