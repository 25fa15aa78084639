//! Copies of matrix blocks in the order in which the register tiles read them.

use super::gemm::View;
use super::simd::Simd;

/// Rows `i0..i1` of A in groups of `MR`, each `[k][MR]`, the last group padded with zeros.
pub(crate) fn lhs<const MR: usize>(
    a: View,
    (i0, i1): (usize, usize),
    (p0, p1): (usize, usize),
    out: &mut [f32],
) {
    let k = p1 - p0;
    for (group, out) in out.chunks_mut(k * MR).enumerate() {
        let i = i0 + group * MR;
        if i >= i1 {
            break;
        }
        let height = MR.min(i1 - i);
        if a.row_stride == 1 && height == MR {
            for (p, out) in out.as_chunks_mut::<MR>().0.iter_mut().enumerate() {
                let start = (p0 + p) * a.column_stride + i;
                *out = *a.data[start..].first_chunk().expect("a full group of rows");
            }
        } else {
            for r in 0..MR {
                for p in 0..k {
                    let at = (i + r) * a.row_stride + (p0 + p) * a.column_stride;
                    out[p * MR + r] = if r < height { a.data[at] } else { 0.0 };
                }
            }
        }
    }
}

/// Columns `j0..j1` of B in panels of `nr`, each `[k][nr]`, the last panel padded with zeros.
#[inline(always)]
pub(crate) fn rhs<S: Simd>(
    simd: S,
    b: View,
    (p0, p1): (usize, usize),
    (j0, j1): (usize, usize),
    nr: usize,
    out: &mut [f32],
) {
    let k = p1 - p0;
    if k == 0 {
        return;
    }
    for (panel, out) in out.chunks_mut(k * nr).enumerate() {
        let j = j0 + panel * nr;
        if j >= j1 {
            break;
        }
        let width = nr.min(j1 - j);
        if b.column_stride == 1 {
            for (p, out) in out.chunks_exact_mut(nr).enumerate() {
                let start = (p0 + p) * b.row_stride + j;
                copy_row(simd, &b.data[start..start + width], out);
            }
        } else {
            transpose(b, (p0, p1), j, width, nr, out);
        }
    }
}

/// `source` followed by zeros.
#[inline(always)]
fn copy_row<S: Simd>(simd: S, source: &[f32], out: &mut [f32]) {
    if source.len() == out.len() {
        let (source, _) = S::as_simd_f32s(source);
        let (out, _) = S::as_mut_simd_f32s(out);
        for (out, v) in out.iter_mut().zip(source) {
            *out = simd.add_f32s(*v, simd.splat_f32s(-0.0));
        }
    } else {
        out[..source.len()].copy_from_slice(source);
        out[source.len()..].fill(0.0);
    }
}

/// A panel of B whose columns are contiguous: reads runs along k, writes them `nr` apart.
#[inline(always)]
fn transpose(b: View, (p0, p1): (usize, usize), j: usize, width: usize, nr: usize, out: &mut [f32]) {
    const STEP: usize = 8;
    for p in (p0..p1).step_by(STEP) {
        let depth = STEP.min(p1 - p);
        for c in 0..width {
            let source = &b.data[(j + c) * b.column_stride + p..][..depth];
            for (d, &v) in source.iter().enumerate() {
                out[(p - p0 + d) * nr + c] = v;
            }
        }
        for c in width..nr {
            for d in 0..depth {
                out[(p - p0 + d) * nr + c] = 0.0;
            }
        }
    }
}
