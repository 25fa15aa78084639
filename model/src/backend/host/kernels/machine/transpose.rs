//! Transposed copies: rows that are contiguous in memory become interleaved columns.

use super::simd::{Simd, dispatch};
use crate::allocation::vec_with_capacity;

/// The transpose of a row-major matrix with rows of `columns` elements.
pub(crate) fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    let mut out = vec_with_capacity(rows * columns);
    out.resize(rows * columns, 0.0);
    dispatch!(interleave(values, columns, rows, columns, rows, &mut out));
    out
}

/// `out[p·width + c] = source[c·stride + p]` for c < `count` and p < `k`, and zero for c from `count` to
/// `width`.
#[inline(always)]
pub(crate) fn interleave<S: Simd>(
    _simd: S,
    source: &[f32],
    stride: usize,
    count: usize,
    k: usize,
    width: usize,
    out: &mut [f32],
) {
    assert!(
        count <= width && out.len() >= k * width && (count == 0 || source.len() >= (count - 1) * stride + k)
    );
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if !S::IS_SCALAR {
        done = k / 8 * 8;
        for c in (0..width).step_by(8) {
            let rows = count.saturating_sub(c).min(8);
            for p in (0..done).step_by(8) {
                // SAFETY: every instruction set of this architecture other than the scalar one includes AVX;
                // rows c .. c + rows of the source have `k` elements, and columns c .. c + 8 of the output
                // end at `width`.
                unsafe {
                    let from = source.as_ptr().wrapping_add(c * stride + p);
                    let to = out.as_mut_ptr().add(p * width + c);
                    avx::block(from, stride, rows, to, width, (width - c).min(8));
                }
            }
        }
    }
    for p in done..k {
        for c in 0..width {
            out[p * width + c] = if c < count { source[c * stride + p] } else { 0.0 };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx {
    use std::arch::x86_64::*;

    /// Transposes `rows` (at most 8) rows of 8 elements into 8 rows of `columns` elements; missing rows are zero.
    /// Written out step by step: in registers there is nothing to loop over.
    ///
    /// # Safety
    /// The processor has AVX; `from` is readable for `rows` rows of 8 at `stride`, `to` is writable for 8
    /// rows of `columns` at `width`.
    #[inline(always)]
    pub(super) unsafe fn block(
        from: *const f32,
        stride: usize,
        rows: usize,
        to: *mut f32,
        width: usize,
        columns: usize,
    ) {
        // SAFETY: the caller's promise, for every load, store and instruction.
        unsafe {
            let mut r = [_mm256_setzero_ps(); 8];
            for (i, r) in r.iter_mut().enumerate() {
                if rows == 8 || i < rows {
                    *r = _mm256_loadu_ps(from.add(i * stride));
                }
            }
            let mut t = [_mm256_setzero_ps(); 8];
            for i in 0..4 {
                t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
                t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
            }
            for i in 0..2 {
                let (a, b, c, d) = (t[4 * i], t[4 * i + 1], t[4 * i + 2], t[4 * i + 3]);
                r[4 * i] = _mm256_shuffle_ps::<0x44>(a, c);
                r[4 * i + 1] = _mm256_shuffle_ps::<0xee>(a, c);
                r[4 * i + 2] = _mm256_shuffle_ps::<0x44>(b, d);
                r[4 * i + 3] = _mm256_shuffle_ps::<0xee>(b, d);
            }
            for i in 0..4 {
                t[i] = _mm256_permute2f128_ps::<0x20>(r[i], r[i + 4]);
                t[i + 4] = _mm256_permute2f128_ps::<0x31>(r[i], r[i + 4]);
            }
            for (i, &t) in t.iter().enumerate() {
                if columns == 8 {
                    _mm256_storeu_ps(to.add(i * width), t);
                } else {
                    store(to.add(i * width), t, columns);
                }
            }
        }
    }

    /// Stores the first `columns` (fewer than 8) lanes.
    ///
    /// # Safety
    /// The processor has AVX and `to` is writable for `columns` elements.
    #[inline(always)]
    unsafe fn store(mut to: *mut f32, v: __m256, columns: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut half = _mm256_castps256_ps128(v);
            if columns & 4 != 0 {
                _mm_storeu_ps(to, half);
                to = to.add(4);
                half = _mm256_extractf128_ps::<1>(v);
            }
            if columns & 2 != 0 {
                _mm_storel_pd(to.cast(), _mm_castps_pd(half));
                to = to.add(2);
                half = _mm_movehl_ps(half, half);
            }
            if columns & 1 != 0 {
                _mm_store_ss(to, half);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::simd::dispatch;
    use crate::backend::host::kernels::machine::testing::random;
    use proptest::prelude::*;

    #[inline(always)]
    fn run<S: Simd>(
        simd: S,
        source: &[f32],
        (stride, count, k, width): (usize, usize, usize, usize),
        out: &mut [f32],
    ) {
        interleave(simd, source, stride, count, k, width, out);
    }

    proptest! {
        #[test]
        fn equals_the_definition(count in 0usize..40, padding in 0usize..20, k in 0usize..50, gap in 0usize..5, seed: u64) {
            let (width, stride) = (count + padding, k + gap);
            let source = random(count * stride, seed);
            let mut out = vec![9.0; k * width + 3];
            dispatch!(run(&source, (stride, count, k, width), &mut out));
            for p in 0..k {
                for c in 0..width {
                    let want = if c < count { source[c * stride + p] } else { 0.0 };
                    prop_assert_eq!(out[p * width + c], want);
                }
            }
            prop_assert_eq!(&out[k * width..], &[9.0; 3]);
        }
    }
}
