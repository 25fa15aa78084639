//! Copies of matrix blocks in the order in which the register tiles read them.

use super::elements::{Element, Elements};
use super::matrix::{RightView, View};
use super::simd::Simd;
use super::transpose::interleave;
use super::workspace::with_scratch;

/// Rows `i0..i1` of A in groups of `MR`, each `[k][MR]`, the last group padded with zeros.
#[inline(always)]
pub(crate) fn lhs<S: Simd, const MR: usize>(
    simd: S,
    a: View,
    (i0, i1): (usize, usize),
    (p0, p1): (usize, usize),
    out: &mut [f32],
) {
    let k = p1 - p0;
    for (i, out) in (i0..i1).step_by(MR).zip(out.chunks_mut(k * MR)) {
        let height = MR.min(i1 - i);
        if a.column_stride == 1 {
            interleave(simd, &a.data[i * a.row_stride + p0..], a.row_stride, height, k, MR, out);
        } else {
            side_by_side::<MR>(&a.data[p0 * a.column_stride + i..], a.column_stride, height, out);
        }
    }
}

/// `height` elements at every `stride`, followed by zeros up to `MR`.
#[inline(always)]
fn side_by_side<const MR: usize>(source: &[f32], stride: usize, height: usize, out: &mut [f32]) {
    for (p, out) in out.as_chunks_mut::<MR>().0.iter_mut().enumerate() {
        let source = &source[p * stride..];
        if height == MR {
            *out = *source.first_chunk().expect("a full group of rows");
        } else {
            out[..height].copy_from_slice(&source[..height]);
            out[height..].fill(0.0);
        }
    }
}

/// Columns `j0..j1` of B in panels of `nr`, each `[k][nr]`, the last panel padded with zeros.
#[inline(always)]
pub(crate) fn rhs<S: Simd>(
    simd: S,
    b: RightView,
    p: (usize, usize),
    j: (usize, usize),
    nr: usize,
    out: &mut [f32],
) {
    match b.elements {
        Elements::F32(data) => {
            let b = View { data, row_stride: b.row_stride, column_stride: b.column_stride };
            plain_rhs(simd, b, p, j, nr, out);
        }
        Elements::Bf16(values) => {
            packed_rhs(simd, Channels { values, scales: None, stride: b.column_stride }, p, j, nr, out);
        }
        Elements::Int8(values, scales) => {
            let scales = Some(scales);
            packed_rhs(simd, Channels { values, scales, stride: b.column_stride }, p, j, nr, out);
        }
    }
}

/// [`rhs`] in f32.
#[inline(always)]
fn plain_rhs<S: Simd>(
    simd: S,
    b: View,
    (p0, p1): (usize, usize),
    (j0, j1): (usize, usize),
    nr: usize,
    out: &mut [f32],
) {
    let k = p1 - p0;
    for (j, out) in (j0..j1).step_by(nr).zip(out.chunks_mut((k * nr).max(1))) {
        let width = nr.min(j1 - j);
        if b.column_stride == 1 {
            for (p, out) in out.chunks_exact_mut(nr).enumerate() {
                let start = (p0 + p) * b.row_stride + j;
                copy_row(simd, &b.data[start..start + width], out);
            }
        } else {
            interleave(simd, &b.data[j * b.column_stride + p0..], b.column_stride, width, k, nr, out);
        }
    }
}

/// A weight in fewer bits than f32: each column of B, which is an output channel, is contiguous.
struct Channels<'a, T> {
    values: &'a [T],
    scales: Option<&'a [f32]>,
    /// Distance of two channels.
    stride: usize,
}

/// [`rhs`] in fewer bits than f32, widened and scaled on the way.
#[inline(always)]
fn packed_rhs<S: Simd, T: Element>(
    simd: S,
    b: Channels<T>,
    (p0, p1): (usize, usize),
    (j0, j1): (usize, usize),
    nr: usize,
    out: &mut [f32],
) {
    let k = p1 - p0;
    for (j, out) in (j0..j1).step_by(nr).zip(out.chunks_mut((k * nr).max(1))) {
        let width = nr.min(j1 - j);
        with_scratch(width * k, |wide| {
            for (column, wide) in wide.chunks_exact_mut(k.max(1)).enumerate() {
                let scale = b.scales.map_or(1.0, |scales| scales[j + column]);
                let source = &b.values[(j + column) * b.stride + p0..][..k];
                for (wide, value) in wide.iter_mut().zip(source) {
                    *wide = value.widen() * scale;
                }
            }
            interleave(simd, wide, k, width, k, nr, out);
        });
    }
}

/// `source` followed by zeros.
#[inline(always)]
pub(crate) fn copy_row<S: Simd>(_simd: S, source: &[f32], out: &mut [f32]) {
    if source.len() == out.len() {
        // Whole vectors, where a general copy of so few bytes would be a call.
        let (source, _) = S::as_simd_f32s(source);
        let (out, _) = S::as_mut_simd_f32s(out);
        for (out, v) in out.iter_mut().zip(source) {
            *out = *v;
        }
    } else {
        out[..source.len()].copy_from_slice(source);
        out[source.len()..].fill(0.0);
    }
}
