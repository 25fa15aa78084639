//! Causal attention of new tokens over a key-value cache, for generation.
//!
//! Query i of `n_new` stands at position `len − n_new + i` and sees every cached key up to its own (the last query sees them all).

use super::attention::{Head, Rows, Sink};
use super::math;
use super::parallel::{SharedMut, for_each};
use super::simd::{self, Lanes, Simd, dispatch, map, map2};
use super::workspace::with_scratch;

/// Queries from which the tiled kernel of training pays for packing the cache.
const MIN_TILED: usize = 8;

/// Sizes of attention over a cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CachedAttentionShape {
    /// Sequences in the batch.
    pub batch: usize,
    /// Heads.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Queries of each sequence.
    pub n_new: usize,
    /// Valid positions in the cache, those of the queries included.
    pub len: usize,
    /// Positions for which the cache has room.
    pub capacity: usize,
    /// Factor of the scores, as a rule 1/√(head width).
    pub scale: f32,
}

/// Output `[batch, heads, n_new, head_dim]` of queries of that shape over caches `[batch, heads, capacity, head_dim]`.
pub fn attention_cached(
    shape: &CachedAttentionShape,
    q: &[f32],
    k_cache: &[f32],
    v_cache: &[f32],
    out: &mut [f32],
) {
    let CachedAttentionShape { batch, heads, head_dim, n_new, len, capacity, scale } = *shape;
    assert!(n_new <= len && len <= capacity && scale > 0.0, "impossible sizes: {shape:?}");
    assert!(
        q.len() == batch * heads * n_new * head_dim && out.len() == q.len(),
        "queries or output of {shape:?}"
    );
    assert_eq!(k_cache.len(), batch * heads * capacity * head_dim, "key cache of {shape:?}");
    assert_eq!(v_cache.len(), k_cache.len(), "value cache of {shape:?}");
    let out = SharedMut::new(out);
    for_each(batch * heads, batch * heads * n_new * len * head_dim * 2, |pair| {
        let rows =
            |data, per_head: usize| Rows { data, offset: pair * per_head * head_dim, stride: head_dim };
        let head = Head {
            q: rows(q, n_new),
            k: rows(k_cache, capacity),
            v: rows(v_cache, capacity),
            head_dim,
            rows: (0, n_new),
            past: len - n_new,
            scale,
            mask: None,
            mask_row: 0,
        };
        // SAFETY: the `n_new · head_dim` outputs of this pair of sequence and head belong to this task alone.
        unsafe {
            let first = out.at(pair * n_new * head_dim);
            if n_new >= MIN_TILED {
                head.run(Sink { out: first, stride: head_dim, lse: None });
            } else {
                let out = std::slice::from_raw_parts_mut(first, n_new * head_dim);
                with_scratch(len, |scores| dispatch!(few_rows(&head, scores, out)));
            }
        }
    });
}

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
        let factor = 1.0 / simd::sum(simd, scores);
        out.fill(0.0);
        for (j, &weight) in scores.iter().enumerate() {
            let weight = Lanes::splat(simd, weight * factor);
            map2(
                simd,
                out,
                head.v.row(j, dh),
                #[inline(always)]
                |sum, v| v.mul_add(weight, sum),
            );
        }
    }
}
