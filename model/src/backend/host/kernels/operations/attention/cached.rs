//! Causal attention of new positions over each sequence's cache, for generation.
//!
//! Query i of the new ones stands at position `filled − new + i` and sees every cached key up to its own; the
//! last query sees them all.

use super::super::machine::math;
use super::super::machine::parallel::{SharedMut, for_each};
use super::super::machine::simd::{self, Lanes, Simd, dispatch, map};
use super::super::machine::workspace::with_scratch;
use super::forward::{Head, Rows, Sink};

/// Queries from which the tiled kernel of training is worth its copies of the cache.
const MIN_TILED: usize = 8;

/// The queries of every sequence, `[batch, n_heads, new, head_dim]`.
#[derive(Clone, Copy)]
pub(super) struct CachedQueries<'a> {
    pub(super) values: &'a [f32],
    pub(super) n_heads: usize,
    /// Queries of each sequence.
    pub(super) new: usize,
    pub(super) head_dim: usize,
    /// Factor of the scores, as a rule 1/√(head width).
    pub(super) scale: f32,
}

/// The cache of one sequence.
#[derive(Clone, Copy)]
pub(super) struct KeysAndValues<'a> {
    /// `[n_kv_heads, capacity, head_dim]`
    pub(super) keys: &'a [f32],
    /// `[n_kv_heads, capacity, head_dim]`
    pub(super) values: &'a [f32],
    pub(super) n_kv_heads: usize,
    pub(super) capacity: usize,
    /// Positions that count, those of the queries included.
    pub(super) filled: usize,
}

impl CachedQueries<'_> {
    fn check(&self, sequences: &[KeysAndValues], out: &[f32]) {
        let Self { n_heads, new, head_dim, scale, .. } = *self;
        assert!(scale > 0.0, "the scale {scale} is not positive");
        let expected = sequences.len() * n_heads * new * head_dim;
        assert!(
            self.values.len() == expected && out.len() == expected,
            "queries or output of cached attention"
        );
        for one in sequences {
            let (filled, capacity, kv_heads) = (one.filled, one.capacity, one.n_kv_heads);
            assert!(new <= filled && filled <= capacity, "{new} of {filled} positions, room for {capacity}");
            assert!(kv_heads > 0 && n_heads.is_multiple_of(kv_heads), "{n_heads} heads on {kv_heads}");
            assert_eq!(one.keys.len(), kv_heads * capacity * head_dim, "cached keys");
            assert_eq!(one.values.len(), one.keys.len(), "cached values");
        }
    }
}

/// The output `[batch, n_heads, new, head_dim]`, all sequences and heads in one loop.
pub(super) fn forward(queries: &CachedQueries, sequences: &[KeysAndValues], out: &mut [f32]) {
    queries.check(sequences, out);
    let CachedQueries { n_heads, new, head_dim, .. } = *queries;
    let keys: usize = sequences.iter().map(|one| one.filled).sum();
    let out = SharedMut::new(out);
    for_each(sequences.len() * n_heads, n_heads * new * keys * head_dim * 2, |pair| {
        let one = &sequences[pair / n_heads];
        let kv_head = pair % n_heads / (n_heads / one.n_kv_heads);
        let rows = |data, first: usize| Rows { data, offset: first * head_dim, stride: head_dim };
        let head = Head {
            q: rows(queries.values, pair * new),
            k: rows(one.keys, kv_head * one.capacity),
            v: rows(one.values, kv_head * one.capacity),
            head_dim,
            rows: (0, new),
            past: one.filled - new,
            scale: queries.scale,
            mask: None,
            mask_row: 0,
        };
        // SAFETY: the `new · head_dim` outputs of this pair of sequence and head belong to this task alone.
        unsafe {
            let first = out.at(pair * new * head_dim);
            if new >= MIN_TILED {
                head.run(Sink { out: first, stride: head_dim, lse: None });
            } else {
                let out = std::slice::from_raw_parts_mut(first, new * head_dim);
                with_scratch(one.filled, |scores| dispatch!(few_rows(&head, scores, out)));
            }
        }
    });
}

/// Vectors of an output that are summed side by side in registers.
const SIDE_BY_SIDE: usize = 4;

/// Streams keys and values once for each query.
#[inline(always)]
fn few_rows<S: Simd>(simd: S, head: &Head, scores: &mut [f32], out: &mut [f32]) {
    let dh = head.head_dim;
    for (i, out) in out.chunks_exact_mut(dh).enumerate() {
        let q = head.q.row(i, dh);
        let scores = &mut scores[..=head.past + i];
        for (j, score) in scores.iter_mut().enumerate() {
            *score = simd::dot(simd, q, head.k.row(j, dh)) * head.scale;
        }
        let top = Lanes::splat(simd, simd::max(simd, scores));
        map(
            simd,
            scores,
            #[inline(always)]
            |s| math::exp(s - top),
        );
        let factor = Lanes::splat(simd, 1.0 / simd::sum(simd, scores));
        map(
            simd,
            scores,
            #[inline(always)]
            |s| s * factor,
        );
        let (vectors, rest) = S::as_mut_simd_f32s(out);
        let (blocks, last) = vectors.as_chunks_mut::<SIDE_BY_SIDE>();
        let mut first = 0;
        for block in blocks {
            weighted_sum(simd, head, scores, first, block);
            first += SIDE_BY_SIDE * S::F32_LANES;
        }
        for vector in last {
            weighted_sum(simd, head, scores, first, std::array::from_mut(vector));
            first += S::F32_LANES;
        }
        if !rest.is_empty() {
            let mut sum = Lanes::splat(simd, 0.0);
            for (j, weight) in scores.iter().enumerate() {
                let v = Lanes::load(simd, &head.v.row(j, dh)[first..]);
                sum = v.mul_add(Lanes::splat(simd, *weight), sum);
            }
            simd.partial_store_f32s(rest, sum.v);
        }
    }
}

/// The sum of the values' vectors from element `first` on, each times its weight.
#[inline(always)]
fn weighted_sum<S: Simd, const N: usize>(
    simd: S,
    head: &Head,
    weights: &[f32],
    first: usize,
    out: &mut [S::f32s; N],
) {
    let mut sums = [Lanes::splat(simd, 0.0); N];
    for (j, weight) in weights.iter().enumerate() {
        let weight = Lanes::splat(simd, *weight);
        let row = S::as_simd_f32s(&head.v.row(j, head.head_dim)[first..first + N * S::F32_LANES]).0;
        for (sum, v) in sums.iter_mut().zip(row) {
            *sum = Lanes::new(simd, *v).mul_add(weight, *sum);
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = sum.v;
    }
}
