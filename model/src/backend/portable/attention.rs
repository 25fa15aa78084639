//! Causal attention, a block of queries at a time: the scores of all queries are never held at once.

use std::ops::Range;

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Bool, Tensor};

use super::dropout::scaled_mask;
use super::matmul::matmul;
use super::{from_primitive, into_primitive, widen};
use crate::backend::{Backend, Heads, Saved};
use crate::kv_cache::CachedSequence;

/// Most scores that are held at once, unless a block would have fewer queries than [`FEWEST_QUERIES`].
const BLOCK_SCORES: usize = 1 << 24;
const FEWEST_QUERIES: usize = 64;

/// Stands for `-∞`: no score comes near it, and `exp` takes it to zero on every device, also on those whose
/// shaders do without infinities.
pub(crate) const MASKED: f64 = -1e30;

/// Keeps `qkv`, the output, the logarithm of each row's sum of exponentials and, with dropout, each block's mask.
pub(in crate::backend) fn attention_forward<B: Backend>(
    qkv: FloatTensor<B>,
    heads: Heads,
    scale: f64,
    dropout: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let [query, key, value] = split_heads::<B>(from_primitive(qkv.clone()), heads);
    let dtype = query.dtype();
    let (mut outputs, mut sums, mut masks) = (Vec::new(), Vec::new(), Vec::new());
    for block in blocks(query.dims()) {
        let scores = causal_scores(&query, &key, scale, &block); // [batch, n_heads, block, end]
        let (mut weights, sum) = softmax(scores);
        if dropout > 0.0 {
            let mask = scaled_mask(&weights, dropout);
            masks.push(into_primitive(mask.clone()));
            weights = weights * mask;
        }
        outputs.push(matmul(weights.cast(dtype), value.clone().narrow(2, 0, block.end)));
        sums.push(sum);
    }
    let output = into_primitive(join_heads(Tensor::cat(outputs, 2)));
    let mut saved = vec![qkv, output.clone(), into_primitive(Tensor::cat(sums, 2))];
    saved.extend(masks);
    (output, saved)
}

/// With `P` the probabilities and `dP = dO Vᵀ`: `dS = P (dP - Σ dO O)`, `dQ = dS K`, `dK = dSᵀ Q`, `dV = Pᵀ dO`
/// (FlashAttention-2's form, <https://arxiv.org/abs/2307.08691>); `P` is computed anew.
pub(in crate::backend) fn attention_backward<B: Backend>(
    saved: Saved<B>,
    heads: Heads,
    scale: f64,
    _dropout: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let mut saved = saved.into_iter();
    let mut next = || saved.next().expect("attention_forward saved three tensors");
    let (qkv, output, sums): (_, _, Tensor<B, 4>) = (next(), next(), from_primitive(next()));
    let mut masks = saved.map(from_primitive::<B, 4>);

    let [query, key, value] = split_heads::<B>(from_primitive(qkv), heads);
    let gradient: Tensor<B, 3> = from_primitive(gradient);
    // Multiplied before axes are swapped: see `masked_scores`.
    let along = widen(gradient.clone()) * widen(from_primitive(output));
    let along = split(along, heads.n_heads).sum_dim(3); // [batch, n_heads, seq, 1]
    let gradient = split(gradient, heads.n_heads);
    let (dims, dtype) = (query.dims(), query.dtype());
    let (mut d_query, mut d_key, mut d_value) = (Vec::new(), Total::new(&key), Total::new(&value));
    for block in blocks(dims) {
        let rows = |tensor: &Tensor<B, 4>| tensor.clone().narrow(2, block.start, block.len());
        let [key, value] = [&key, &value].map(|tensor| tensor.clone().narrow(2, 0, block.end));
        let gradient = rows(&gradient); // [batch, n_heads, block, head_dim]
        let scores = causal_scores(&query, &key, scale, &block); // [batch, n_heads, block, end]
        let probabilities = (scores - rows(&sums)).exp();
        let mut weights = probabilities.clone();
        let mut d_probabilities = widen(matmul(gradient.clone(), value.swap_dims(2, 3)));
        if let Some(mask) = masks.next() {
            weights = weights * mask.clone();
            d_probabilities = d_probabilities * mask;
        }
        d_value.add(matmul(weights.cast(dtype).swap_dims(2, 3), gradient));
        let d_scores = (probabilities * (d_probabilities - rows(&along)) * scale).cast(dtype);
        d_query.push(matmul(d_scores.clone(), key));
        d_key.add(matmul(d_scores.swap_dims(2, 3), rows(&query)));
    }
    let [d_key, d_value] = [d_key, d_value].map(|total| add_groups(total.sum.cast(dtype), heads.group()));
    into_primitive(Tensor::cat([Tensor::cat(d_query, 2), d_key, d_value].map(join_heads).to_vec(), 2))
}

/// The queries of `[batch, n_heads, seq, head_dim]`, in order, in blocks whose scores may be held at once.
fn blocks([batch, n_heads, seq, _]: [usize; 4]) -> impl Iterator<Item = Range<usize>> {
    let most = (BLOCK_SCORES / (batch * n_heads * seq)).max(FEWEST_QUERIES);
    (0..seq).step_by(most).map(move |start| start..(start + most).min(seq))
}

/// Scores of a block of queries over the keys up to its end.
///
/// - query, key: `[batch, n_heads, seq, head_dim]`
/// - output: `[batch, n_heads, block, end]`
fn causal_scores<B: Backend>(
    query: &Tensor<B, 4>,
    key: &Tensor<B, 4>,
    scale: f64,
    block: &Range<usize>,
) -> Tensor<B, 4> {
    masked_scores(
        query.clone().narrow(2, block.start, block.len()),
        key.clone().narrow(2, 0, block.end),
        scale,
    )
}

/// Row-wise softmax, and the logarithm of each row's sum of exponentials: `[.., seq] → [.., seq], [.., 1]`.
fn softmax<B: Backend>(scores: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 4>) {
    let largest = scores.clone().max_dim(3);
    let exponentials = (scores - largest.clone()).exp();
    let sum = exponentials.clone().sum_dim(3);
    (exponentials / sum.clone(), sum.log() + largest)
}

/// A sum of gradients of the first positions, of more of them with each.
struct Total<B: Backend> {
    sum: Tensor<B, 4>,
}

impl<B: Backend> Total<B> {
    fn new(like: &Tensor<B, 4>) -> Self {
        Self { sum: widen(like.zeros_like()) }
    }

    fn add(&mut self, part: Tensor<B, 4>) {
        let ranges = part.dims().map(|len| 0..len);
        let sum = self.sum.clone().slice(ranges.clone()) + widen(part);
        self.sum = self.sum.clone().slice_assign(ranges, sum);
    }
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
        let dtype = query.dtype();
        matmul(softmax(masked_scores(query, keys, scale)).0.cast(dtype), values)
    });
    into_primitive(Tensor::cat(outputs.collect(), 0))
}

/// `Q Kᵀ · scale`, in f32 at least, with the keys that a query may not see masked; queries are the last positions.
///
/// - query: `[batch, n_heads, new, head_dim]`
/// - key: `[batch, n_heads, seq, head_dim]`
/// - output: `[batch, n_heads, new, seq]`
fn masked_scores<B: Backend>(query: Tensor<B, 4>, key: Tensor<B, 4>, scale: f64) -> Tensor<B, 4> {
    let [_, _, new, _] = query.dims();
    let [_, _, seq, _] = key.dims();
    // Not `query * scale`: to burn-tch 0.21 a tensor with swapped axes is its only owner, and may be scaled
    // in place, together with the saved `qkv` whose memory it shares.
    let scores = widen(matmul(query, key.swap_dims(2, 3))) * scale; // [batch, n_heads, new, seq]
    if new == 1 {
        return scores;
    }
    // True above the diagonal that ends in the last corner: key `j` is hidden from query `i` if it comes later.
    let hidden = Tensor::<B, 2, Bool>::tril_mask([new, seq], (seq - new) as i64, &scores.device());
    scores.mask_fill(hidden.unsqueeze(), MASKED)
}

/// `[batch, seq, (n_heads + 2 * n_kv_heads) * head_dim]` to queries, keys and values, each
/// `[batch, n_heads, seq, head_dim]`.
fn split_heads<B: Backend>(qkv: Tensor<B, 3>, heads: Heads) -> [Tensor<B, 4>; 3] {
    let Heads { n_heads, n_kv_heads, head_dim } = heads;
    let parts = [(0, n_heads), (n_heads, n_kv_heads), (n_heads + n_kv_heads, n_kv_heads)];
    parts.map(|(first, count)| {
        let part = split(qkv.clone().narrow(2, first * head_dim, count * head_dim), count);
        repeat_groups(part, n_heads / count)
    })
}

/// `[batch, seq, heads * head_dim] → [batch, heads, seq, head_dim]`.
fn split<B: Backend>(joined: Tensor<B, 3>, heads: usize) -> Tensor<B, 4> {
    let [batch, seq, width] = joined.dims();
    joined.reshape([batch, seq, heads, width / heads]).swap_dims(1, 2)
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
