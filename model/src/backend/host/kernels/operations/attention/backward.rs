//! Causal multi-head attention, backward.
//!
//! With P recomputed as e^{scale·q·k − lse} and D = Σ dO·O for each row: dV = Pᵀ·dO, dP = dO·Vᵀ, dS =
//! scale·P∘(dP − D), dQ = dS·K, dK = dSᵀ·Q. Under dropout with mask m/(1 − p), dV uses P∘m/(1 − p) and dP is
//! masked the same way; D stays what it is. Heads that share keys and values add to the same dK and dV, one
//! after the other.

use super::super::dropout::Mask;
use super::super::machine::math;
use super::super::machine::microkernel::{Dst, Lhs, MAX_TILE_WIDTH, Rhs, Start, row_tile, with_tile};
use super::super::machine::parallel::{SharedMut, for_each};
use super::super::machine::simd::{self, Lanes, Simd, dispatch};
use super::super::machine::workspace::with_scratch;
use super::AttentionShape;
use super::forward::{Rows, STRIP, mask_tail, panels_of_columns, panels_of_rows, times_panels};

/// What the forward pass read and made.
#[derive(Clone, Copy)]
pub(super) struct Saved<'a> {
    pub(super) qkv: &'a [f32],
    pub(super) out: &'a [f32],
    pub(super) lse: &'a [f32],
}

/// The gradient of the joint projection `[batch, seq, q | k | v]` from that of the output.
pub(super) fn backward(shape: &AttentionShape, saved: Saved, dout: &[f32], dqkv: &mut [f32]) {
    shape.check(saved.qkv, saved.out, saved.lse);
    assert_eq!(dout.len(), saved.out.len(), "output gradient of {shape:?}");
    assert_eq!(dqkv.len(), saved.qkv.len(), "projection gradient of {shape:?}");
    let dqkv = SharedMut::new(dqkv);
    let keys = shape.seq.next_multiple_of(MAX_TILE_WIDTH);
    let width = shape.heads.head_dim.next_multiple_of(MAX_TILE_WIDTH);
    let scratch = 2 * keys * shape.heads.head_dim + 3 * keys * width + 2 * STRIP * keys;
    let (kv_heads, group) = (shape.heads.n_kv_heads, shape.heads.group());
    for_each(shape.batch * kv_heads, shape.work(), |pair| {
        let b = pair / kv_heads;
        for member in 0..group {
            let index = pair % kv_heads * group + member;
            let head = Head::new(shape, saved, dout, b, index);
            with_scratch(scratch, |scratch| {
                // SAFETY: the columns of this key head, and of the query heads that share it, belong to this
                // task alone, in all rows of sequence b.
                unsafe {
                    let grads = shape.offsets(b, index).map(|offset| dqkv.at(offset));
                    dispatch!(run(&head, grads, scratch));
                }
            });
        }
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
    /// Whether dK and dV already hold what the heads before this one added.
    accumulate: bool,
}

impl<'a> Head<'a> {
    /// Query head `index` of sequence `b`.
    fn new(shape: &AttentionShape, saved: Saved<'a>, dout: &'a [f32], b: usize, index: usize) -> Self {
        let [q, k, v] = shape.rows(saved.qkv, b, index);
        let first = (b * shape.heads.n_heads + index) * shape.seq;
        Self {
            q,
            k,
            v,
            out: shape.output_rows(saved.out, b, index),
            dout: shape.output_rows(dout, b, index),
            lse: &saved.lse[first..][..shape.seq],
            seq: shape.seq,
            head_dim: shape.heads.head_dim,
            stride: shape.heads.qkv_width(),
            scale: shape.scale,
            mask: Mask::new(shape.dropout, shape.seed),
            mask_row: first as u64,
            accumulate: !index.is_multiple_of(shape.heads.group()),
        }
    }
}

#[inline(always)]
unsafe fn run<S: Simd>(simd: S, head: &Head, grads: [*mut f32; 3], scratch: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { with_tile!(run_tiled::<S>(simd, head, grads, scratch)) }
}

#[inline(always)]
unsafe fn run_tiled<S: Simd, const MR: usize, const NV: usize>(
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
    panels_of_columns(simd, head.k, seq, dh, nr, k_columns);
    panels_of_columns(simd, head.v, seq, dh, nr, v_columns);
    panels_of_rows(simd, head.k, seq, dh, nr, k_rows);
    panels_of_rows(simd, head.q, seq, dh, nr, q_rows);
    panels_of_rows(simd, head.dout, seq, dh, nr, dout_rows);
    for s0 in (0..seq).step_by(STRIP) {
        let s1 = (s0 + STRIP).min(seq);
        for i in (s0..s1).step_by(MR) {
            let height = MR.min(s1 - i);
            let p = &mut p_strip[(i - s0) * ld..][..height * ld];
            let ds = &mut ds_strip[(i - s0) * ld..][..height * ld];
            score_gradients::<S, MR, NV>(simd, head, (i, height), [k_columns, v_columns], p, ds, ld);
            // SAFETY: `height` rows of dS, and this head's rows of dQ.
            unsafe { query_gradients::<S, MR, NV>(simd, head, (i, height), ds, ld, k_rows, dq) };
        }
        // SAFETY: the strips hold rows s0 .. s1, and dK and dV are this head's.
        unsafe {
            add_keys::<S, MR, NV>(simd, head, (s0, s1), p_strip, ld, dout_rows, dv);
            add_keys::<S, MR, NV>(simd, head, (s0, s1), ds_strip, ld, q_rows, dk);
        }
    }
}

/// P (as dV needs it) and dS of `height` rows from row i on.
#[inline(always)]
fn score_gradients<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    head: &Head,
    (i, height): (usize, usize),
    [k_columns, v_columns]: [&[f32]; 2],
    p: &mut [f32],
    ds: &mut [f32],
    ld: usize,
) {
    let (dh, visible) = (head.head_dim, i + height);
    let q = Lhs { ptr: head.q.row(i, dh).as_ptr(), row: head.q.stride, k: 1 };
    let dout = Lhs { ptr: head.dout.row(i, dh).as_ptr(), row: head.dout.stride, k: 1 };
    // SAFETY: `height` rows of Q and dO, panels of `dh` steps, and `height` rows of `ld` in both strips.
    unsafe {
        let dst = Dst { ptr: p.as_mut_ptr(), row: ld };
        times_panels::<S, MR, NV>(simd, (height, visible), dh, q, k_columns, dst);
        let dst = Dst { ptr: ds.as_mut_ptr(), row: ld };
        times_panels::<S, MR, NV>(simd, (height, visible), dh, dout, v_columns, dst);
    }
    for r in 0..height {
        score_gradient(simd, head, i + r, visible, &mut p[r * ld..][..ld], &mut ds[r * ld..][..ld]);
    }
}

/// dQ = dS·K for `height` rows from row i on.
///
/// # Safety
/// `ds` holds `height` rows of `ld`; `dq` is writable for the head's rows, by this thread alone.
#[inline(always)]
unsafe fn query_gradients<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    head: &Head,
    (i, height): (usize, usize),
    ds: &[f32],
    ld: usize,
    k_rows: &[f32],
    dq: *mut f32,
) {
    let (nr, dh, visible) = (NV * S::F32_LANES, head.head_dim, i + height);
    let lhs = Lhs { ptr: ds.as_ptr(), row: ld, k: 1 };
    for (j, panel) in (0..dh).step_by(nr).zip(k_rows.chunks(head.seq * nr)) {
        let rhs = Rhs { ptr: panel.as_ptr(), k: nr };
        // SAFETY: the caller's promise, and a panel of `seq` steps.
        unsafe {
            let dst = Dst { ptr: dq.add(i * head.stride + j), row: head.stride };
            row_tile::<S, MR, NV>(simd, (height, nr.min(dh - j)), visible, lhs, rhs, dst, Start::Zero);
        }
    }
}

/// Turns one row of q·k and of dO·v into P (as dV needs it) and dS, with zeros past the diagonal up to
/// `visible`.
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

/// `grad[key] += Σ over the strip's rows of strip[row, key]·rows[row]`, for the keys that the strip's rows
/// see.
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
        let start = if key >= s0 && !head.accumulate { Start::Zero } else { Start::Keep };
        for (j, panel) in (0..dh).step_by(nr).zip(rows.chunks(head.seq * nr)) {
            let rhs = Rhs { ptr: panel[first * nr..].as_ptr(), k: nr };
            // SAFETY: s1 − first rows of the strip and of the panel, and `height` rows of the gradient.
            unsafe {
                let dst = Dst { ptr: grad.add(key * head.stride + j), row: head.stride };
                row_tile::<S, MR, NV>(simd, (height, nr.min(dh - j)), s1 - first, lhs, rhs, dst, start);
            }
        }
    }
}
