//! Causal multi-head attention, forward.
//!
//! For each head: S = scale·Q·Kᵀ, P = softmax of the row's first (row + 1) scores, O = dropout(P)·V. The log-sum-exp of each row of S is kept
//! for the backward pass. Scores exist for a strip of [`STRIP`] rows of one head at a time, and only up to the diagonal, rounded up to a register
//! tile.

use super::dropout::Mask;
use super::math;
use super::microkernel::{Dst, Lhs, Rhs, Start, row_tile, with_tile};
use super::pack::copy_row;
use super::parallel::{SharedMut, for_each};
use super::simd::{self, Lanes, Simd, dispatch, map};
use super::transpose::interleave;
use super::workspace::with_scratch;

/// Rows of scores that exist at a time: a multiple of every tile height, so tiles of rows and of keys line up.
pub(crate) const STRIP: usize = 48;
/// Rows of queries in one task; a multiple of [`STRIP`].
const TASK_ROWS: usize = 240;
/// Widest register tile, to which packed columns are rounded up.
pub(crate) const MAX_TILE_WIDTH: usize = 64;

/// Sizes of causal self-attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Sequences in the batch.
    pub batch: usize,
    /// Tokens in a sequence.
    pub seq: usize,
    /// Heads.
    pub heads: usize,
    /// Width of the model: heads × head width.
    pub d_model: usize,
    /// Factor of the scores, as a rule 1/√(head width).
    pub scale: f32,
    /// Probability with which an attention weight is dropped.
    pub dropout: f32,
    /// Seed of the dropout mask.
    pub seed: u64,
}

impl AttentionShape {
    /// Width of a head.
    pub(crate) fn head_dim(&self) -> usize {
        self.d_model / self.heads.max(1)
    }

    pub(crate) fn check(&self, qkv: &[f32], out: &[f32], lse: &[f32]) {
        assert!(
            self.heads > 0 && self.d_model.is_multiple_of(self.heads),
            "{self:?}: width is not a multiple of the heads"
        );
        assert!(self.scale > 0.0, "{self:?}: scale is not positive");
        assert_eq!(qkv.len(), self.batch * self.seq * 3 * self.d_model, "projection of {self:?}");
        assert_eq!(out.len(), self.batch * self.seq * self.d_model, "output of {self:?}");
        assert_eq!(lse.len(), self.batch * self.heads * self.seq, "log-sum-exp of {self:?}");
    }
}

/// One head's rows of a matrix: row i is `width` elements at `offset + i·stride`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) offset: usize,
    pub(crate) stride: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(crate) fn row(self, i: usize, width: usize) -> &'a [f32] {
        &self.data[self.offset + i * self.stride..][..width]
    }
}

/// Causal self-attention on the fused projection `[batch, seq, q | k | v]`.
///
/// Writes the output `[batch, seq, d_model]` and the log-sum-exp of the scores `[batch, heads, seq]`.
pub fn attention_forward(shape: &AttentionShape, qkv: &[f32], out: &mut [f32], lse: &mut [f32]) {
    shape.check(qkv, out, lse);
    let (d, dh, seq) = (shape.d_model, shape.head_dim(), shape.seq);
    let mask = Mask::new(shape.dropout, shape.seed);
    let parts = seq.div_ceil(TASK_ROWS);
    let (out, lse) = (SharedMut::new(out), SharedMut::new(lse));
    let work = shape.batch * shape.heads * seq * seq * dh;
    for_each(shape.batch * shape.heads * parts, work, |task| {
        // The last rows of a sequence, which have most keys, go first: the tasks at the end are then the small ones.
        let (pair, part) = (task / parts, parts - 1 - task % parts);
        let (b, h) = (pair / shape.heads, pair % shape.heads);
        let of = |section: usize| Rows {
            data: qkv,
            offset: b * seq * 3 * d + section * d + h * dh,
            stride: 3 * d,
        };
        let rows = (part * TASK_ROWS, ((part + 1) * TASK_ROWS).min(seq));
        let head = Head {
            q: of(0),
            k: of(1),
            v: of(2),
            head_dim: dh,
            rows,
            past: 0,
            scale: shape.scale,
            mask,
            mask_row: (pair * seq) as u64,
        };
        // SAFETY: row i of this head's output and of its log-sum-exp belong to the one task that has (b, h) and row i.
        unsafe {
            let sink = Sink { out: out.at(b * seq * d + h * dh), stride: d, lse: Some(lse.at(pair * seq)) };
            head.run(sink);
        }
    });
}

/// The attention of some query rows of one head over all keys up to each row's own position.
pub(crate) struct Head<'a> {
    pub(crate) q: Rows<'a>,
    pub(crate) k: Rows<'a>,
    pub(crate) v: Rows<'a>,
    pub(crate) head_dim: usize,
    /// Query rows to compute.
    pub(crate) rows: (usize, usize),
    /// Keys before the first query's own: row i sees keys `..= past + i`.
    pub(crate) past: usize,
    pub(crate) scale: f32,
    pub(crate) mask: Option<Mask>,
    /// Number of query row 0 in the dropout mask.
    pub(crate) mask_row: u64,
}

/// Where a head's result goes: output row i at `i·stride`, log-sum-exp i at `i`.
#[derive(Clone, Copy)]
pub(crate) struct Sink {
    pub(crate) out: *mut f32,
    pub(crate) stride: usize,
    pub(crate) lse: Option<*mut f32>,
}

impl Head<'_> {
    /// # Safety
    /// `sink` is writable for the head's rows, by this thread alone.
    pub(crate) unsafe fn run(&self, sink: Sink) {
        let keys = (self.past + self.rows.1).next_multiple_of(MAX_TILE_WIDTH);
        let width = self.head_dim.next_multiple_of(MAX_TILE_WIDTH);
        with_scratch(keys * self.head_dim + keys * width + STRIP * keys, |scratch| {
            let (k_pack, scratch) = scratch.split_at_mut(keys * self.head_dim);
            let (v_pack, strip) = scratch.split_at_mut(keys * width);
            // SAFETY: the caller's promise.
            unsafe { dispatch!(forward(self, sink, k_pack, v_pack, strip)) };
        });
    }
}

#[inline(always)]
unsafe fn forward<S: Simd>(
    simd: S,
    head: &Head,
    sink: Sink,
    k_pack: &mut [f32],
    v_pack: &mut [f32],
    strip: &mut [f32],
) {
    // SAFETY: the caller's promise.
    unsafe { with_tile!(forward_tiled::<S>(simd, head, sink, k_pack, v_pack, strip)) }
}

#[inline(always)]
unsafe fn forward_tiled<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    head: &Head,
    sink: Sink,
    k_pack: &mut [f32],
    v_pack: &mut [f32],
    strip: &mut [f32],
) {
    let nr = NV * S::F32_LANES;
    let dh = head.head_dim;
    let keys = head.past + head.rows.1;
    pack_columns(simd, head.k, keys, dh, nr, k_pack);
    pack_rows(simd, head.v, keys, dh, nr, v_pack);
    let ld = keys.next_multiple_of(nr);
    for s0 in (head.rows.0..head.rows.1).step_by(STRIP) {
        let s1 = (s0 + STRIP).min(head.rows.1);
        for i in (s0..s1).step_by(MR) {
            let height = MR.min(s1 - i);
            let visible = head.past + i + height;
            let scores = &mut strip[(i - s0) * ld..][..height * ld];
            let lhs = Lhs { ptr: head.q.row(i, dh).as_ptr(), row: head.q.stride, k: 1 };
            // SAFETY: `height` query rows, packed panels of `dh` steps, and `height` rows of `ld` scores.
            unsafe {
                times_panels::<S, MR, NV>(simd, height, visible, dh, lhs, k_pack, scores.as_mut_ptr(), ld)
            };
            let mut factors = [1.0; MR];
            for (r, factor) in factors[..height].iter_mut().enumerate() {
                let row = &mut scores[r * ld..][..ld];
                let seen = head.past + i + r + 1;
                let whole = mask_tail::<S>(row, seen, visible);
                let (total, lse) = softmax(simd, &mut row[..whole], head.scale);
                *factor = 1.0 / total;
                if let Some(mask) = head.mask {
                    mask.row(head.mask_row + (i + r) as u64).apply(simd, 0, mask.scale, &mut row[..whole]);
                }
                if let Some(out) = sink.lse {
                    // SAFETY: one element for each row of the sink.
                    unsafe { *out.add(i + r) = lse };
                }
            }
            let lhs = Lhs { ptr: scores.as_ptr(), row: ld, k: 1 };
            for (j, panel) in (0..dh).step_by(nr).zip(v_pack.chunks(keys * nr)) {
                let rhs = Rhs { ptr: panel.as_ptr(), k: nr };
                // SAFETY: `height` rows of scores, a panel of `keys` steps, and the rows of the sink.
                unsafe {
                    let dst = Dst { ptr: sink.out.add(i * sink.stride + j), row: sink.stride };
                    row_tile::<S, MR, NV>(simd, height, nr.min(dh - j), visible, lhs, rhs, dst, Start::Zero);
                }
            }
            for (r, &factor) in factors[..height].iter().enumerate() {
                // SAFETY: one row of the sink.
                let out = unsafe { std::slice::from_raw_parts_mut(sink.out.add((i + r) * sink.stride), dh) };
                let factor = Lanes::splat(simd, factor);
                map(
                    simd,
                    out,
                    #[inline(always)]
                    |o| o * factor,
                );
            }
        }
    }
}

/// Prepares a row of scores for passes over whole vectors: −∞ from `seen` to the end of its vector, which the exponential turns into zeros, and zeros from
/// there to `visible`. Returns where the vector ends.
#[inline(always)]
pub(crate) fn mask_tail<S: Simd>(row: &mut [f32], seen: usize, visible: usize) -> usize {
    let whole = seen.next_multiple_of(S::F32_LANES);
    for score in &mut row[seen..whole] {
        *score = f32::NEG_INFINITY;
    }
    for score in row.get_mut(whole..visible).into_iter().flatten() {
        *score = 0.0;
    }
    whole
}

/// `out[height × columns, rounded up to panels] = lhs · panels`, each panel `[k][nr]`.
///
/// # Safety
/// `lhs` is readable for `height` rows of `k` elements, `out` is writable for `height` rows of `ld`, a multiple of the panel width.
#[inline(always)]
pub(crate) unsafe fn times_panels<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    height: usize,
    columns: usize,
    k: usize,
    lhs: Lhs,
    panels: &[f32],
    out: *mut f32,
    ld: usize,
) {
    let nr = NV * S::F32_LANES;
    for (j, panel) in (0..columns).step_by(nr).zip(panels.chunks(k * nr)) {
        let rhs = Rhs { ptr: panel.as_ptr(), k: nr };
        // SAFETY: the caller's promise; `panels` is a slice, so a whole panel is readable.
        unsafe {
            let dst = Dst { ptr: out.add(j), row: ld };
            row_tile::<S, MR, NV>(simd, height, nr, k, lhs, rhs, dst, Start::Zero);
        }
    }
}

/// Replaces scores, a whole number of vectors, by e^{scale·(score − max)}; returns their sum and the log-sum-exp of the scaled scores.
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
pub(crate) fn pack_rows<S: Simd>(
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
pub(crate) fn pack_columns<S: Simd>(
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
