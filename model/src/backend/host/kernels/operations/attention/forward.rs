//! Causal multi-head attention, forward.
//!
//! For each head: S = scale·Q·Kᵀ, P = softmax of the row's first (row + 1) scores, O = dropout(P)·V. The
//! log-sum-exp of each row of S is kept for the backward pass. Scores exist for a strip of [`STRIP`] rows of
//! one head at a time, and only up to the diagonal, rounded up to a register tile.

use super::super::dropout::Mask;
use super::super::machine::math;
use super::super::machine::microkernel::{Dst, Lhs, MAX_TILE_WIDTH, Rhs, Start, row_tile, with_tile};
use super::super::machine::panels::copy_row;
use super::super::machine::parallel::{SharedMut, for_each};
use super::super::machine::simd::{self, Lanes, Simd, dispatch, map};
use super::super::machine::transpose::interleave;
use super::super::machine::workspace::with_scratch;
use super::AttentionShape;

/// Rows of scores that exist at a time: a multiple of every tile height, so tiles of rows and of keys line
/// up.
pub(super) const STRIP: usize = 48;
/// Rows of queries in one task; a multiple of [`STRIP`].
const TASK_ROWS: usize = 240;

/// One head's rows of a matrix: row i is `width` elements at `offset + i·stride`.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) data: &'a [f32],
    pub(super) offset: usize,
    pub(super) stride: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(super) fn row(self, i: usize, width: usize) -> &'a [f32] {
        &self.data[self.offset + i * self.stride..][..width]
    }
}

/// Causal self-attention on the joint projection `[batch, seq, q | k | v]`, heads side by side in each
/// section.
///
/// Writes the output `[batch, seq, n_heads * head_dim]` and the log-sum-exp of the scores `[batch, n_heads,
/// seq]`.
pub(super) fn forward(shape: &AttentionShape, qkv: &[f32], out: &mut [f32], lse: &mut [f32]) {
    shape.check(qkv, out, lse);
    let (n_heads, head_dim, seq) = (shape.heads.n_heads, shape.heads.head_dim, shape.seq);
    let mask = Mask::new(shape.dropout, shape.seed);
    let parts = seq.div_ceil(TASK_ROWS);
    let (out, lse) = (SharedMut::new(out), SharedMut::new(lse));
    for_each(shape.batch * n_heads * parts, shape.work(), |task| {
        // The last rows of a sequence, which have most keys, go first: the tasks at the end are then the
        // small ones.
        let (pair, part) = (task / parts, parts - 1 - task % parts);
        let (b, head) = (pair / n_heads, pair % n_heads);
        let [q, k, v] = shape.rows(qkv, b, head);
        let rows = (part * TASK_ROWS, ((part + 1) * TASK_ROWS).min(seq));
        let mask_row = (pair * seq) as u64;
        let scale = shape.scale;
        let task = Head { q, k, v, head_dim, rows, past: 0, scale, mask, mask_row };
        let stride = shape.heads.width();
        // SAFETY: row i of this head's output and of its log-sum-exp belong to the one task that has (b,
        // head) and row i.
        unsafe {
            let out = out.at(b * seq * stride + head * head_dim);
            task.run(Sink { out, stride, lse: Some(lse.at(pair * seq)) });
        }
    });
}

/// The attention of some query rows of one head over all keys up to each row's own position.
pub(super) struct Head<'a> {
    pub(super) q: Rows<'a>,
    pub(super) k: Rows<'a>,
    pub(super) v: Rows<'a>,
    pub(super) head_dim: usize,
    /// Query rows to compute.
    pub(super) rows: (usize, usize),
    /// Keys before the first query's own: row i sees keys `..= past + i`.
    pub(super) past: usize,
    pub(super) scale: f32,
    pub(super) mask: Option<Mask>,
    /// Number of query row 0 in the dropout mask.
    pub(super) mask_row: u64,
}

/// Where a head's result goes: output row i at `i·stride`, log-sum-exp i at `i`.
#[derive(Clone, Copy)]
pub(super) struct Sink {
    pub(super) out: *mut f32,
    pub(super) stride: usize,
    pub(super) lse: Option<*mut f32>,
}

impl Head<'_> {
    /// # Safety
    /// `sink` is writable for the head's rows, by this thread alone.
    pub(super) unsafe fn run(&self, sink: Sink) {
        let keys = (self.past + self.rows.1).next_multiple_of(MAX_TILE_WIDTH);
        let width = self.head_dim.next_multiple_of(MAX_TILE_WIDTH);
        with_scratch(keys * self.head_dim + keys * width + STRIP * keys, |scratch| {
            let (k_panels, scratch) = scratch.split_at_mut(keys * self.head_dim);
            let (v_panels, strip) = scratch.split_at_mut(keys * width);
            // SAFETY: the caller's promise.
            unsafe { dispatch!(run(self, sink, k_panels, v_panels, strip)) };
        });
    }
}

#[inline(always)]
unsafe fn run<S: Simd>(
    simd: S,
    head: &Head,
    sink: Sink,
    k_panels: &mut [f32],
    v_panels: &mut [f32],
    strip: &mut [f32],
) {
    // SAFETY: the caller's promise.
    unsafe { with_tile!(run_tiled::<S>(simd, head, sink, k_panels, v_panels, strip)) }
}

#[inline(always)]
unsafe fn run_tiled<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    head: &Head,
    sink: Sink,
    k_panels: &mut [f32],
    v_panels: &mut [f32],
    strip: &mut [f32],
) {
    let nr = NV * S::F32_LANES;
    let dh = head.head_dim;
    let keys = head.past + head.rows.1;
    panels_of_columns(simd, head.k, keys, dh, nr, k_panels);
    panels_of_rows(simd, head.v, keys, dh, nr, v_panels);
    let ld = keys.next_multiple_of(nr);
    for s0 in (head.rows.0..head.rows.1).step_by(STRIP) {
        let s1 = (s0 + STRIP).min(head.rows.1);
        for i in (s0..s1).step_by(MR) {
            let height = MR.min(s1 - i);
            let visible = head.past + i + height;
            let scores = &mut strip[(i - s0) * ld..][..height * ld];
            let lhs = Lhs { ptr: head.q.row(i, dh).as_ptr(), row: head.q.stride, k: 1 };
            let dst = Dst { ptr: scores.as_mut_ptr(), row: ld };
            // SAFETY: `height` query rows, panels of `dh` steps, and `height` rows of `ld` scores.
            unsafe { times_panels::<S, MR, NV>(simd, (height, visible), dh, lhs, k_panels, dst) };
            let mut totals = [1.0; MR];
            for (r, total) in totals[..height].iter_mut().enumerate() {
                // SAFETY: one element for each row of the sink.
                let lse = unsafe { sink.lse.map(|lse| &mut *lse.add(i + r)) };
                *total = weights_of_row(simd, head, i + r, visible, &mut scores[r * ld..][..ld], lse);
            }
            let lhs = Lhs { ptr: scores.as_ptr(), row: ld, k: 1 };
            // SAFETY: `height` rows of scores, panels of `keys` steps, and as many rows of the sink from row
            // i on.
            unsafe {
                let dst = Dst { ptr: sink.out.add(i * sink.stride), row: sink.stride };
                mix_values::<S, MR, NV>(simd, &totals[..height], (visible, keys), lhs, v_panels, dst, dh);
            }
        }
    }
}

/// Turns one row of scores into weights, still to be divided by the sum that is returned, with zeros past the
/// diagonal up to `visible`.
#[inline(always)]
fn weights_of_row<S: Simd>(
    simd: S,
    head: &Head,
    i: usize,
    visible: usize,
    row: &mut [f32],
    lse: Option<&mut f32>,
) -> f32 {
    let whole = mask_tail::<S>(row, head.past + i + 1, visible);
    let (total, log_sum) = softmax(simd, &mut row[..whole], head.scale);
    if let Some(mask) = head.mask {
        mask.row(head.mask_row + i as u64).apply(simd, 0, mask.scale, &mut row[..whole]);
    }
    if let Some(lse) = lse {
        *lse = log_sum;
    }
    total
}

/// `dst` = the values of `visible` keys, mixed by the weights of some rows, over each row's total.
///
/// # Safety
/// `weights` is readable for a row of `visible` for each total, `dst` is writable for as many rows of `dh`.
#[inline(always)]
unsafe fn mix_values<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    totals: &[f32],
    (visible, keys): (usize, usize),
    weights: Lhs,
    v_panels: &[f32],
    dst: Dst,
    dh: usize,
) {
    let nr = NV * S::F32_LANES;
    for (j, panel) in (0..dh).step_by(nr).zip(v_panels.chunks(keys * nr)) {
        let rhs = Rhs { ptr: panel.as_ptr(), k: nr };
        // SAFETY: the caller's promise, and a panel of `keys` steps.
        unsafe {
            let dst = Dst { ptr: dst.ptr.add(j), row: dst.row };
            let columns = nr.min(dh - j);
            row_tile::<S, MR, NV>(simd, (totals.len(), columns), visible, weights, rhs, dst, Start::Zero);
        }
    }
    for (r, &total) in totals.iter().enumerate() {
        // SAFETY: row r of the caller's.
        let out = unsafe { std::slice::from_raw_parts_mut(dst.ptr.add(r * dst.row), dh) };
        let factor = Lanes::splat(simd, 1.0 / total);
        map(
            simd,
            out,
            #[inline(always)]
            |o| o * factor,
        );
    }
}

/// Prepares a row of scores for passes over whole vectors: −∞ from `seen` to the end of its vector, which the
/// exponential turns into zeros, and zeros from there to `visible`. Returns where the vector ends.
#[inline(always)]
pub(super) fn mask_tail<S: Simd>(row: &mut [f32], seen: usize, visible: usize) -> usize {
    let whole = seen.next_multiple_of(S::F32_LANES);
    for score in &mut row[seen..whole] {
        *score = f32::NEG_INFINITY;
    }
    for score in row.get_mut(whole..visible).into_iter().flatten() {
        *score = 0.0;
    }
    whole
}

/// `dst[height × columns, rounded up to panels] = lhs · panels`, each panel `[k][nr]`.
///
/// # Safety
/// `lhs` is readable for `height` rows of `k` elements, and `dst` is writable for `height` rows, whose
/// distance is a multiple of the panel width.
#[inline(always)]
pub(super) unsafe fn times_panels<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    (height, columns): (usize, usize),
    k: usize,
    lhs: Lhs,
    panels: &[f32],
    dst: Dst,
) {
    let nr = NV * S::F32_LANES;
    for (j, panel) in (0..columns).step_by(nr).zip(panels.chunks(k * nr)) {
        let rhs = Rhs { ptr: panel.as_ptr(), k: nr };
        // SAFETY: the caller's promise; `panels` is a slice, so a whole panel is readable.
        unsafe {
            let dst = Dst { ptr: dst.ptr.add(j), row: dst.row };
            row_tile::<S, MR, NV>(simd, (height, nr), k, lhs, rhs, dst, Start::Zero);
        }
    }
}

/// Replaces scores, a whole number of vectors, by e^{scale·(score − max)}; returns their sum and the
/// log-sum-exp of the scaled scores.
#[inline(always)]
fn softmax<S: Simd>(simd: S, scores: &mut [f32], scale: f32) -> (f32, f32) {
    let top = simd::max(simd, scores);
    let (factor, shift) = (Lanes::splat(simd, scale), Lanes::splat(simd, -top * scale));
    let (vectors, rest) = S::as_mut_simd_f32s(scores);
    debug_assert!(rest.is_empty(), "scores come in whole vectors");
    let mut total = Lanes::splat(simd, 0.0);
    for v in vectors {
        let e = math::exp(Lanes::new(simd, *v).mul_add(factor, shift));
        total = total + e;
        *v = e.v;
    }
    let total = total.sum();
    (total, top * scale + total.ln())
}

/// Rows 0 .. `rows` as panels of `nr` columns, `[column panel][row][nr]`, padded with zeros.
#[inline(always)]
pub(super) fn panels_of_rows<S: Simd>(
    simd: S,
    source: Rows,
    rows: usize,
    width: usize,
    nr: usize,
    out: &mut [f32],
) {
    for (j, panel) in (0..width).step_by(nr).zip(out.chunks_mut(rows * nr)) {
        let columns = nr.min(width - j);
        for (i, out) in panel.chunks_exact_mut(nr).enumerate() {
            copy_row(simd, &source.row(i, width)[j..j + columns], out);
        }
    }
}

/// The transpose of rows 0 .. `rows` as panels of `nr` columns, `[row panel][width][nr]`, padded with zeros.
#[inline(always)]
pub(super) fn panels_of_columns<S: Simd>(
    simd: S,
    source: Rows,
    rows: usize,
    width: usize,
    nr: usize,
    out: &mut [f32],
) {
    for (i, panel) in (0..rows).step_by(nr).zip(out.chunks_mut(width * nr)) {
        let from = &source.data[source.offset + i * source.stride..];
        interleave(simd, from, source.stride, nr.min(rows - i), width, nr, panel);
    }
}
