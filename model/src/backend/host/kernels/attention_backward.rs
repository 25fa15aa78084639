//! Causal multi-head attention, backward.
//!
//! With P recomputed as e^{scale·q·k − lse} and D = Σ dO·O for each row: dV = Pᵀ·dO, dP = dO·Vᵀ, dS = scale·P∘(dP − D), dQ = dS·K, dK = dSᵀ·Q.
//! Under dropout with mask m/(1 − p), dV uses P∘m/(1 − p) and dP is masked the same way; D stays what it is.

use super::attention::{
    AttentionShape, MAX_TILE_WIDTH, Rows, STRIP, mask_tail, pack_columns, pack_rows, times_panels,
};
use super::dropout::Mask;
use super::math;
use super::microkernel::{Dst, Lhs, Rhs, Start, row_tile, with_tile};
use super::parallel::{SharedMut, for_each};
use super::simd::{self, Lanes, Simd, dispatch};
use super::workspace::with_scratch;

/// The gradient of the fused projection `[batch, seq, q | k | v]` from that of the output.
pub fn attention_backward(
    shape: &AttentionShape,
    qkv: &[f32],
    out: &[f32],
    lse: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
) {
    shape.check(qkv, out, lse);
    assert_eq!(dout.len(), out.len(), "output gradient of {shape:?}");
    assert_eq!(dqkv.len(), qkv.len(), "projection gradient of {shape:?}");
    let (d, dh, seq) = (shape.d_model, shape.head_dim(), shape.seq);
    let mask = Mask::new(shape.dropout, shape.seed);
    let dqkv = SharedMut::new(dqkv);
    let keys = seq.next_multiple_of(MAX_TILE_WIDTH);
    let width = dh.next_multiple_of(MAX_TILE_WIDTH);
    let work = shape.batch * shape.heads * seq * seq * dh;
    for_each(shape.batch * shape.heads, work, |pair| {
        let (b, h) = (pair / shape.heads, pair % shape.heads);
        let start = b * seq * 3 * d + h * dh;
        let of = |section: usize| Rows { data: qkv, offset: start + section * d, stride: 3 * d };
        let narrow = |data| Rows { data, offset: b * seq * d + h * dh, stride: d };
        let head = Head {
            q: of(0),
            k: of(1),
            v: of(2),
            out: narrow(out),
            dout: narrow(dout),
            lse: &lse[pair * seq..][..seq],
            seq,
            head_dim: dh,
            stride: 3 * d,
            scale: shape.scale,
            mask,
            mask_row: (pair * seq) as u64,
        };
        with_scratch(2 * keys * dh + 3 * keys * width + 2 * STRIP * keys, |scratch| {
            // SAFETY: columns `head · dh ..` of the three sections of batch b belong to this task alone.
            unsafe {
                let grads = [dqkv.at(start), dqkv.at(start + d), dqkv.at(start + 2 * d)];
                dispatch!(backward(&head, grads, scratch));
            }
        });
    });
}

struct Head<'a> {
    q: Rows<'a>,
    k: Rows<'a>,
    v: Rows<'a>,
    out: Rows<'a>,
    dout: Rows<'a>,
    lse: &'a [f32],
    seq: usize,
    head_dim: usize,
    /// Distance of two rows of the projection's gradient.
    stride: usize,
    scale: f32,
    mask: Option<Mask>,
    mask_row: u64,
}

#[inline(always)]
unsafe fn backward<S: Simd>(simd: S, head: &Head, grads: [*mut f32; 3], scratch: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { with_tile!(backward_tiled::<S>(simd, head, grads, scratch)) }
}

#[inline(always)]
unsafe fn backward_tiled<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    head: &Head,
    [dq, dk, dv]: [*mut f32; 3],
    scratch: &mut [f32],
) {
    let nr = NV * S::F32_LANES;
    let (seq, dh) = (head.seq, head.head_dim);
    let ld = seq.next_multiple_of(nr);
    let width = dh.next_multiple_of(nr);
    let (k_columns, scratch) = scratch.split_at_mut(ld * dh);
    let (v_columns, scratch) = scratch.split_at_mut(ld * dh);
    let (k_rows, scratch) = scratch.split_at_mut(seq * width);
    let (q_rows, scratch) = scratch.split_at_mut(seq * width);
    let (dout_rows, scratch) = scratch.split_at_mut(seq * width);
    let (p_strip, scratch) = scratch.split_at_mut(STRIP * ld);
    let ds_strip = &mut scratch[..STRIP * ld];
    pack_columns(simd, head.k, seq, dh, nr, k_columns);
    pack_columns(simd, head.v, seq, dh, nr, v_columns);
    pack_rows(simd, head.k, seq, dh, nr, k_rows);
    pack_rows(simd, head.q, seq, dh, nr, q_rows);
    pack_rows(simd, head.dout, seq, dh, nr, dout_rows);
    for s0 in (0..seq).step_by(STRIP) {
        let s1 = (s0 + STRIP).min(seq);
        for i in (s0..s1).step_by(MR) {
            let height = MR.min(s1 - i);
            let visible = i + height;
            let p = &mut p_strip[(i - s0) * ld..][..height * ld];
            let ds = &mut ds_strip[(i - s0) * ld..][..height * ld];
            let q = Lhs { ptr: head.q.row(i, dh).as_ptr(), row: head.q.stride, k: 1 };
            let dout = Lhs { ptr: head.dout.row(i, dh).as_ptr(), row: head.dout.stride, k: 1 };
            // SAFETY: `height` rows of Q and dO, packed panels of `dh` steps, and `height` rows of `ld` in both strips.
            unsafe {
                times_panels::<S, MR, NV>(simd, height, visible, dh, q, k_columns, p.as_mut_ptr(), ld);
                times_panels::<S, MR, NV>(simd, height, visible, dh, dout, v_columns, ds.as_mut_ptr(), ld);
            }
            for r in 0..height {
                score_gradient(simd, head, i + r, visible, &mut p[r * ld..][..ld], &mut ds[r * ld..][..ld]);
            }
            let lhs = Lhs { ptr: ds.as_ptr(), row: ld, k: 1 };
            for (j, panel) in (0..dh).step_by(nr).zip(k_rows.chunks(seq * nr)) {
                let rhs = Rhs { ptr: panel.as_ptr(), k: nr };
                // SAFETY: `height` rows of dS, a panel of `seq` steps, and this head's rows of dQ.
                unsafe {
                    let dst = Dst { ptr: dq.add(i * head.stride + j), row: head.stride };
                    row_tile::<S, MR, NV>(simd, height, nr.min(dh - j), visible, lhs, rhs, dst, Start::Zero);
                }
            }
        }
        // SAFETY: the strips hold rows s0 .. s1, and dK and dV are this head's.
        unsafe {
            add_keys::<S, MR, NV>(simd, head, (s0, s1), p_strip, ld, dout_rows, dv);
            add_keys::<S, MR, NV>(simd, head, (s0, s1), ds_strip, ld, q_rows, dk);
        }
    }
}

/// Turns one row of q·k and of dO·v into P (as dV needs it) and dS, with zeros past the diagonal up to `visible`.
#[inline(always)]
fn score_gradient<S: Simd>(simd: S, head: &Head, i: usize, visible: usize, p: &mut [f32], ds: &mut [f32]) {
    let dh = head.head_dim;
    let delta = simd::dot(simd, head.dout.row(i, dh), head.out.row(i, dh));
    let (scale, delta) = (Lanes::splat(simd, head.scale), Lanes::splat(simd, delta));
    let lse = Lanes::splat(simd, -head.lse[i]);
    let whole = mask_tail::<S>(p, i + 1, visible);
    mask_tail::<S>(ds, whole, visible);
    let (p, ds) = (&mut p[..whole], &mut ds[..whole]);
    let keep = head.mask.map(|mask| (mask.row(head.mask_row + i as u64), mask.scale));
    if let Some((keep, factor)) = keep {
        keep.apply(simd, 0, factor, ds);
    }
    let (p_vectors, _) = S::as_mut_simd_f32s(p);
    let (ds_vectors, _) = S::as_mut_simd_f32s(ds);
    for (p, ds) in p_vectors.iter_mut().zip(ds_vectors) {
        let weight = math::exp(Lanes::new(simd, *p).mul_add(scale, lse));
        *ds = ((Lanes::new(simd, *ds) - delta) * scale * weight).v;
        *p = weight.v;
    }
    if let Some((keep, factor)) = keep {
        keep.apply(simd, 0, factor, p);
    }
}

/// `grad[key] += Σ over the strip's rows of strip[row, key]·rows[row]`, for the keys that the strip's rows see.
///
/// # Safety
/// `grad` is writable for the head's rows, by this thread alone; `strip` holds rows s0 .. s1 of `ld`.
#[inline(always)]
unsafe fn add_keys<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    head: &Head,
    (s0, s1): (usize, usize),
    strip: &[f32],
    ld: usize,
    rows: &[f32],
    grad: *mut f32,
) {
    let nr = NV * S::F32_LANES;
    let dh = head.head_dim;
    for key in (0..s1).step_by(MR) {
        let height = MR.min(s1 - key);
        // Rows above the diagonal tile do not see these keys.
        let first = key.max(s0);
        let lhs = Lhs { ptr: strip[(first - s0) * ld + key..].as_ptr(), row: 1, k: ld };
        let start = if key >= s0 { Start::Zero } else { Start::Keep };
        for (j, panel) in (0..dh).step_by(nr).zip(rows.chunks(head.seq * nr)) {
            let rhs = Rhs { ptr: panel[first * nr..].as_ptr(), k: nr };
            // SAFETY: s1 − first rows of the strip and of the panel, and `height` rows of the gradient.
            unsafe {
                let dst = Dst { ptr: grad.add(key * head.stride + j), row: head.stride };
                row_tile::<S, MR, NV>(simd, height, nr.min(dh - j), s1 - first, lhs, rhs, dst, start);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::attention::attention_forward;
    use crate::backend::host::kernels::attention_cached::{CachedAttentionShape, attention_cached};
    use crate::backend::host::kernels::testing::{
        assert_close, numerical_gradient, on_all_threads, random, wide,
    };
    use proptest::prelude::*;

    /// The multiplier of every attention weight, `[batch, heads, seq, seq]`, by running the mask kernel on ones.
    fn mask_of(shape: &AttentionShape) -> Vec<f64> {
        let rows = shape.batch * shape.heads * shape.seq;
        let mut ones = vec![1.0; rows * shape.seq];
        if let Some(mask) = Mask::new(shape.dropout, shape.seed) {
            for (row, ones) in ones.chunks_mut(shape.seq).enumerate() {
                mask.row(row as u64).apply(pulp::Scalar, 0, mask.scale, ones);
            }
        }
        wide(&ones)
    }

    fn reference(shape: &AttentionShape, mask: &[f64], qkv: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (d, dh, t) = (shape.d_model, shape.head_dim(), shape.seq);
        let mut out = vec![0.0; shape.batch * t * d];
        let mut lse = vec![];
        for b in 0..shape.batch {
            for h in 0..shape.heads {
                let at =
                    |i: usize, section: usize, c: usize| qkv[(b * t + i) * 3 * d + section * d + h * dh + c];
                for i in 0..t {
                    let s: Vec<f64> = (0..=i)
                        .map(|j| {
                            (0..dh).map(|c| at(i, 0, c) * at(j, 1, c)).sum::<f64>() * f64::from(shape.scale)
                        })
                        .collect();
                    let total: f64 = s.iter().map(|s| s.exp()).sum();
                    lse.push(total.ln());
                    for (j, s) in s.iter().enumerate() {
                        let p = s.exp() / total * mask[((b * shape.heads + h) * t + i) * t + j];
                        for c in 0..dh {
                            out[(b * t + i) * d + h * dh + c] += p * at(j, 2, c);
                        }
                    }
                }
            }
        }
        (out, lse)
    }

    fn check(shape: &AttentionShape, seed: u64) {
        let (rows, d) = (shape.batch * shape.seq, shape.d_model);
        let (qkv, dout) = (random(rows * 3 * d, seed), random(rows * d, seed + 1));
        let r = on_all_threads(|| {
            let (mut out, mut lse) = (vec![9.0; rows * d], vec![9.0; rows * shape.heads]);
            attention_forward(shape, &qkv, &mut out, &mut lse);
            let mut dqkv = vec![9.0; qkv.len()];
            attention_backward(shape, &qkv, &out, &lse, &dout, &mut dqkv);
            vec![out, lse, dqkv]
        });
        let mask = mask_of(shape);
        let (out, lse) = reference(shape, &mask, &wide(&qkv));
        assert_close(&r[0], &out, 1e-5);
        assert_close(&r[1], &lse, 1e-5);
        for i in 0..8 {
            let i = (i * 7919 + seed as usize % 1000) % qkv.len();
            let slope = numerical_gradient(&qkv, i, 1e-5, |qkv| {
                reference(shape, &mask, qkv).0.iter().zip(&dout).map(|(o, &g)| o * f64::from(g)).sum()
            });
            let got = f64::from(r[2][i]);
            assert!(
                (got - slope).abs() <= 5e-5 * slope.abs().max(1.0),
                "{shape:?}, element {i}: {got} and {slope}"
            );
        }
    }

    fn shape(batch: usize, seq: usize, heads: usize, head_dim: usize, dropout: f32) -> AttentionShape {
        let d_model = heads * head_dim;
        AttentionShape {
            batch,
            seq,
            heads,
            d_model,
            scale: 1.0 / (head_dim as f32).sqrt(),
            dropout,
            seed: 42,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn equals_the_reference_and_its_slopes(
            batch in 1usize..3, seq in 1usize..70, heads in 1usize..4, head_dim in 1usize..40, drop: bool, seed in 0u64..1 << 40,
        ) {
            check(&shape(batch, seq, heads, head_dim, if drop { 0.3 } else { 0.0 }), seed);
        }

        #[test]
        fn cached_queries_equal_the_last_rows_of_the_whole(
            batch in 1usize..3, len in 1usize..60, heads in 1usize..4, head_dim in 1usize..40, new in 1usize..20, spare in 0usize..9, seed in 0u64..1 << 40,
        ) {
            let n_new = new.min(len);
            let whole = shape(batch, len, heads, head_dim, 0.0);
            let d = whole.d_model;
            let qkv = random(batch * len * 3 * d, seed);
            let capacity = len + spare;
            let mut caches = [vec![f32::NAN; batch * heads * capacity * head_dim], vec![f32::NAN; batch * heads * capacity * head_dim]];
            let mut q = vec![];
            for b in 0..batch {
                for h in 0..heads {
                    for i in 0..len {
                        let row = |section: usize| &qkv[(b * len + i) * 3 * d + section * d + h * head_dim..][..head_dim];
                        for (section, cache) in caches.iter_mut().enumerate() {
                            cache[((b * heads + h) * capacity + i) * head_dim..][..head_dim].copy_from_slice(row(section + 1));
                        }
                        if i >= len - n_new {
                            q.extend_from_slice(row(0));
                        }
                    }
                }
            }
            let cached = CachedAttentionShape { batch, heads, head_dim, n_new, len, capacity, scale: whole.scale };
            let got = on_all_threads(|| {
                let mut out = vec![9.0; q.len()];
                attention_cached(&cached, &q, &caches[0], &caches[1], &mut out);
                vec![out]
            });
            let (out, _) = reference(&whole, &mask_of(&whole), &wide(&qkv));
            let mut want = vec![];
            for b in 0..batch {
                for h in 0..heads {
                    for i in len - n_new..len {
                        want.extend_from_slice(&out[(b * len + i) * d + h * head_dim..][..head_dim]);
                    }
                }
            }
            assert_close(&got[0], &want, 1e-5);
        }
    }

    #[test]
    fn long_sequences_cross_strips_and_tasks() {
        check(&shape(1, 260, 1, 16, 0.0), 1);
        check(&shape(1, 250, 1, 64, 0.1), 2);
        check(&shape(1, 1, 1, 1, 0.0), 3);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let shape = AttentionShape { scale: 400.0, ..shape(1, 40, 1, 8, 0.0) };
        let qkv = random(40 * 24, 5);
        let (mut out, mut lse) = (vec![0.0; 40 * 8], vec![0.0; 40]);
        attention_forward(&shape, &qkv, &mut out, &mut lse);
        assert!(out.iter().chain(&lse).all(|v| v.is_finite()));
    }
}
