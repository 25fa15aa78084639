//! Causal attention with the score matrix of every head held at once.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Bool, Tensor};

use super::dropout::scaled_mask;
use super::matmul::matmul;
use super::{unwrap, wrap};
use crate::backend::{Backend, Saved};

/// Stands for `-∞`: no score comes near it, and `exp` takes it to zero on every device, also on those whose shaders
/// do without infinities.
const MASKED: f64 = -1e30;

/// Keeps `qkv`, the probabilities and, with dropout, the mask that scaled them.
pub(in crate::backend) fn causal_attention_forward<B: Backend>(
    qkv: FloatTensor<B>,
    n_heads: usize,
    scale: f64,
    dropout: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let [query, key, value] = split_heads::<B>(wrap(qkv.clone()), n_heads);
    let probabilities = causal_softmax(query, key, scale); // [batch, n_heads, seq, seq]
    let mut saved = vec![qkv, unwrap(probabilities.clone())];
    let mut weights = probabilities;
    if dropout > 0.0 {
        let mask = scaled_mask(&weights, dropout);
        saved.push(unwrap(mask.clone()));
        weights = weights * mask;
    }
    (unwrap(join_heads(matmul(weights, value))), saved)
}

/// With `P` the probabilities and `dP = dO Vᵀ`: `dS = P (dP - Σ dP P)`, `dQ = dS K`, `dK = dSᵀ Q`, `dV = Pᵀ dO`.
pub(in crate::backend) fn causal_attention_backward<B: Backend>(
    saved: Saved<B>,
    n_heads: usize,
    scale: f64,
    _dropout: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let mut saved = saved.into_iter();
    let mut next = || saved.next();
    let qkv = next().expect("causal_attention_forward saved its input");
    let probabilities: Tensor<B, 4> = wrap(next().expect("causal_attention_forward saved its probabilities"));
    let mask: Option<Tensor<B, 4>> = next().map(wrap);

    let [query, key, value] = split_heads::<B>(wrap(qkv), n_heads);
    let gradient: Tensor<B, 3> = wrap(gradient);
    let [batch, seq, d_model] = gradient.dims();
    let gradient = gradient.reshape([batch, seq, n_heads, d_model / n_heads]).swap_dims(1, 2);

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
    unwrap(Tensor::cat([d_query, d_key, d_value].map(join_heads).to_vec(), 2))
}

/// Attends from the last positions to all; scores above the bottom-right diagonal are masked.
pub(in crate::backend) fn cached_attention<B: Backend>(
    query: FloatTensor<B>,
    keys: FloatTensor<B>,
    values: FloatTensor<B>,
    filled: usize,
    scale: f64,
) -> FloatTensor<B> {
    let [keys, values] = [keys, values].map(|buffer| wrap::<B, 4>(buffer).narrow(2, 0, filled));
    unwrap(matmul(causal_softmax::<B>(wrap(query), keys, scale), values))
}

/// Row-wise softmax of `Q Kᵀ · scale` over the keys that each query may see; queries are the last positions.
///
/// - query: `[batch, n_heads, new, head_dim]`
/// - key: `[batch, n_heads, seq, head_dim]`
/// - output: `[batch, n_heads, new, seq]`
fn causal_softmax<B: Backend>(query: Tensor<B, 4>, key: Tensor<B, 4>, scale: f64) -> Tensor<B, 4> {
    let [_, _, new, _] = query.dims();
    let [_, _, seq, _] = key.dims();
    // Not `query * scale`: to burn-tch 0.21 a tensor with swapped axes is its only owner, and may be scaled in place,
    // together with the saved `qkv` whose memory it shares.
    let mut scores = matmul(query, key.swap_dims(2, 3)) * scale; // [batch, n_heads, new, seq]
    if new > 1 {
        // True above the diagonal that ends in the last corner: key `j` is hidden from query `i` if it comes later.
        let hidden = Tensor::<B, 2, Bool>::tril_mask([new, seq], (seq - new) as i64, &scores.device());
        scores = scores.mask_fill(hidden.unsqueeze(), MASKED);
    }
    burn::tensor::activation::softmax(scores, 3)
}

/// `[batch, seq, 3 * d_model]` to queries, keys and values, each `[batch, n_heads, seq, head_dim]`.
fn split_heads<B: Backend>(qkv: Tensor<B, 3>, n_heads: usize) -> [Tensor<B, 4>; 3] {
    let [batch, seq, width] = qkv.dims();
    let d_model = width / 3;
    [0, 1, 2].map(|part| {
        let part = qkv.clone().narrow(2, part * d_model, d_model);
        part.reshape([batch, seq, n_heads, d_model / n_heads]).swap_dims(1, 2)
    })
}

/// `[batch, n_heads, seq, head_dim] → [batch, seq, d_model]`.
fn join_heads<B: Backend>(heads: Tensor<B, 4>) -> Tensor<B, 3> {
    let [batch, n_heads, seq, head_dim] = heads.dims();
    heads.swap_dims(1, 2).reshape([batch, seq, n_heads * head_dim])
}
