//! Causal attention with the score matrix of every head held at once.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Bool, Tensor};

use super::dropout::scaled_mask;
use super::matmul::matmul;
use super::{from_primitive, into_primitive};
use crate::backend::{Backend, Heads, Saved};
use crate::kv_cache::CachedSequence;

/// Stands for `-∞`: no score comes near it, and `exp` takes it to zero on every device, also on those whose
/// shaders do without infinities.
pub(crate) const MASKED: f64 = -1e30;

/// Keeps `qkv`, the probabilities and, with dropout, the mask that scaled them.
pub(in crate::backend) fn attention_forward<B: Backend>(
    qkv: FloatTensor<B>,
    heads: Heads,
    scale: f64,
    dropout: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let [query, key, value] = split_heads::<B>(from_primitive(qkv.clone()), heads);
    let probabilities = causal_softmax(query, key, scale); // [batch, n_heads, seq, seq]
    let mut saved = vec![qkv, into_primitive(probabilities.clone())];
    let mut weights = probabilities;
    if dropout > 0.0 {
        let mask = scaled_mask(&weights, dropout);
        saved.push(into_primitive(mask.clone()));
        weights = weights * mask;
    }
    (into_primitive(join_heads(matmul(weights, value))), saved)
}

/// With `P` the probabilities and `dP = dO Vᵀ`: `dS = P (dP - Σ dP P)`, `dQ = dS K`, `dK = dSᵀ Q`, `dV = Pᵀ
/// dO`.
pub(in crate::backend) fn attention_backward<B: Backend>(
    saved: Saved<B>,
    heads: Heads,
    scale: f64,
    _dropout: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let mut saved = saved.into_iter();
    let mut next = || saved.next();
    let qkv = next().expect("attention_forward saved its input");
    let probabilities: Tensor<B, 4> =
        from_primitive(next().expect("attention_forward saved its probabilities"));
    let mask: Option<Tensor<B, 4>> = next().map(from_primitive);

    let [query, key, value] = split_heads::<B>(from_primitive(qkv), heads);
    let gradient: Tensor<B, 3> = from_primitive(gradient);
    let [batch, seq, _] = gradient.dims();
    let gradient = gradient.reshape([batch, seq, heads.n_heads, heads.head_dim]).swap_dims(1, 2);

    let weights = match &mask {
        Some(mask) => probabilities.clone() * mask.clone(),
        None => probabilities.clone(),
    };
    let d_value = matmul(weights.swap_dims(2, 3), gradient.clone());
    let mut d_probabilities = matmul(gradient, value.swap_dims(2, 3));
    if let Some(mask) = mask {
        d_probabilities = d_probabilities * mask;
    }
    let mean = (d_probabilities.clone() * probabilities.clone()).sum_dim(3); // [batch, n_heads, seq, 1]
    let d_scores = probabilities * (d_probabilities - mean) * scale;
    let d_query = matmul(d_scores.clone(), key);
    let d_key = matmul(d_scores.swap_dims(2, 3), query);
    let [d_key, d_value] = [d_key, d_value].map(|repeated| add_groups(repeated, heads.group()));
    into_primitive(Tensor::cat([d_query, d_key, d_value].map(join_heads).to_vec(), 2))
}

/// Attends from the last positions of each sequence to all of it; scores above the bottom-right diagonal are
/// masked.
pub(in crate::backend) fn cached_attention<B: Backend>(
    query: FloatTensor<B>,
    caches: Vec<CachedSequence<B>>,
    scale: f64,
) -> FloatTensor<B> {
    let query: Tensor<B, 4> = from_primitive(query);
    let [_, n_heads, _, _] = query.dims();
    let outputs = caches.into_iter().enumerate().map(|(row, cache)| {
        let [keys, values] = [cache.keys, cache.values].map(|buffer| {
            let [_, n_kv_heads, _, _] = buffer.dims();
            repeat_groups(buffer.narrow(2, 0, cache.filled), n_heads / n_kv_heads)
        });
        let query = query.clone().narrow(0, row, 1); // [1, n_heads, new, head_dim]
        matmul(causal_softmax(query, keys, scale), values)
    });
    into_primitive(Tensor::cat(outputs.collect(), 0))
}

/// Row-wise softmax of `Q Kᵀ · scale` over the keys that each query may see; queries are the last positions.
///
/// - query: `[batch, n_heads, new, head_dim]`
/// - key: `[batch, n_heads, seq, head_dim]`
/// - output: `[batch, n_heads, new, seq]`
fn causal_softmax<B: Backend>(query: Tensor<B, 4>, key: Tensor<B, 4>, scale: f64) -> Tensor<B, 4> {
    let [_, _, new, _] = query.dims();
    let [_, _, seq, _] = key.dims();
    // Not `query * scale`: to burn-tch 0.21 a tensor with swapped axes is its only owner, and may be scaled
    // in place, together with the saved `qkv` whose memory it shares.
    let mut scores = matmul(query, key.swap_dims(2, 3)) * scale; // [batch, n_heads, new, seq]
    if new > 1 {
        // True above the diagonal that ends in the last corner: key `j` is hidden from query `i` if it comes
        // later.
        let hidden = Tensor::<B, 2, Bool>::tril_mask([new, seq], (seq - new) as i64, &scores.device());
        scores = scores.mask_fill(hidden.unsqueeze(), MASKED);
    }
    burn::tensor::activation::softmax(scores, 3)
}

/// `[batch, seq, (n_heads + 2 * n_kv_heads) * head_dim]` to queries, keys and values, each
/// `[batch, n_heads, seq, head_dim]`.
fn split_heads<B: Backend>(qkv: Tensor<B, 3>, heads: Heads) -> [Tensor<B, 4>; 3] {
    let Heads { n_heads, n_kv_heads, head_dim } = heads;
    let [batch, seq, _] = qkv.dims();
    let parts = [(0, n_heads), (n_heads, n_kv_heads), (n_heads + n_kv_heads, n_kv_heads)];
    parts.map(|(first, count)| {
        let part = qkv.clone().narrow(2, first * head_dim, count * head_dim);
        let part = part.reshape([batch, seq, count, head_dim]).swap_dims(1, 2);
        repeat_groups(part, n_heads / count)
    })
}

/// Every head `group` times in a row: `[batch, heads, seq, head_dim] → [batch, heads * group, seq,
/// head_dim]`.
fn repeat_groups<B: Backend>(heads: Tensor<B, 4>, group: usize) -> Tensor<B, 4> {
    if group == 1 {
        return heads;
    }
    let [batch, n_heads, seq, head_dim] = heads.dims();
    let repeated = heads.unsqueeze_dim::<5>(2).repeat_dim(2, group); // [batch, heads, group, seq, head_dim]
    repeated.reshape([batch, n_heads * group, seq, head_dim])
}

/// The gradient of [`repeat_groups`]: the sum over those that were the same head.
fn add_groups<B: Backend>(repeated: Tensor<B, 4>, group: usize) -> Tensor<B, 4> {
    if group == 1 {
        return repeated;
    }
    let [batch, n_heads, seq, head_dim] = repeated.dims();
    let grouped = repeated.reshape([batch, n_heads / group, group, seq, head_dim]);
    grouped.sum_dim(2).squeeze_dim::<4>(2)
}

/// `[batch, n_heads, seq, head_dim] → [batch, seq, n_heads * head_dim]`.
fn join_heads<B: Backend>(heads: Tensor<B, 4>) -> Tensor<B, 3> {
    let [batch, n_heads, seq, head_dim] = heads.dims();
    heads.swap_dims(1, 2).reshape([batch, seq, n_heads * head_dim])
}
