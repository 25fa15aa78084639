//! libtorch's flash attention on the CPU.

use burn::tensor::ops::FloatTensor;
use burn_tch::TchTensor;
use tch::{Device, Tensor};

use super::{TorchBackend, take};
use crate::backend::{Heads, Saved, portable};
use crate::kv_cache::CachedSequence;

/// Where the fused kernel runs, keeps the projection, the output and the logarithm of each row's sum;
/// otherwise what the portable pass keeps.
pub(in crate::backend) fn attention_forward<B: TorchBackend>(
    qkv: FloatTensor<B>,
    heads: Heads,
    scale: f64,
    dropout: f64,
) -> (FloatTensor<B>, Saved<B>) {
    if !has_flash(&qkv, heads, dropout) {
        return portable::attention_forward::<B>(qkv, heads, scale, dropout);
    }
    let [query, key, value] = split_qkv(&qkv.tensor, heads);
    let (output, lse) = Tensor::internal_scaled_dot_product_flash_attention_for_cpu(
        &query,
        &key,
        &value,
        0.0,
        true,
        None::<Tensor>,
        scale,
    );
    let output = TchTensor::new(join_heads(&output));
    (output.clone(), vec![qkv, output, TchTensor::new(lse)])
}

pub(in crate::backend) fn attention_backward<B: TorchBackend>(
    saved: Saved<B>,
    heads: Heads,
    scale: f64,
    dropout: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    if !has_flash(&gradient, heads, dropout) {
        return portable::attention_backward::<B>(saved, heads, scale, dropout, gradient);
    }
    let [qkv, output, lse] = take(saved);
    let [query, key, value] = split_qkv(&qkv.tensor, heads);
    let (d_query, d_key, d_value) = Tensor::internal_scaled_dot_product_flash_attention_for_cpu_backward(
        &split_heads(&gradient.tensor, heads.n_heads),
        &query,
        &key,
        &value,
        &split_heads(&output.tensor, heads.n_heads),
        &lse.tensor,
        0.0,
        true,
        None::<Tensor>,
        scale,
    );
    TchTensor::new(Tensor::cat(&[d_query, d_key, d_value].map(|part| join_heads(&part)), 2))
}

/// Handles one new position, or as many new positions as there are keys; other cases use the portable
/// version.
pub(in crate::backend) fn cached_attention<B: TorchBackend>(
    query: FloatTensor<B>,
    caches: Vec<CachedSequence<B>>,
    scale: f64,
) -> FloatTensor<B> {
    let (new, n_heads) = (query.tensor.size()[2], query.tensor.size()[1]);
    if new != 1 && caches.iter().any(|cache| new != cache.filled as i64) {
        return portable::cached_attention::<B>(query, caches, scale);
    }
    let attend = |(row, cache): (usize, CachedSequence<B>)| {
        let [keys, values] = [cache.keys, cache.values].map(|buffer| {
            let buffer: TchTensor = buffer.into_primitive().tensor();
            buffer.tensor.narrow(2, 0, cache.filled as i64)
        });
        let shared = keys.size()[1] != n_heads;
        let query = query.tensor.narrow(0, row as i64, 1);
        let causal = new > 1;
        let mask = None::<Tensor>;
        Tensor::scaled_dot_product_attention(&query, &keys, &values, mask, 0.0, causal, scale, shared)
    };
    let outputs: Vec<Tensor> = caches.into_iter().enumerate().map(attend).collect();
    TchTensor::new(Tensor::cat(&outputs, 0))
}

/// Whether the fused kernel computes what is asked for; its backward pass is asked the same.
fn has_flash(tensor: &TchTensor, heads: Heads, dropout: f64) -> bool {
    tensor.tensor.device() == Device::Cpu && dropout == 0.0 && heads.group() == 1
}

/// `[batch, seq, 3 * n_heads * head_dim]` to queries, keys and values, each `[batch, n_heads, seq,
/// head_dim]`: views, not copies.
fn split_qkv(qkv: &Tensor, heads: Heads) -> [Tensor; 3] {
    let size = qkv.size();
    let (n_heads, head_dim) = (heads.n_heads as i64, heads.head_dim as i64);
    // The kernels step through the last axis one by one.
    let parts = qkv.contiguous().reshape([size[0], size[1], 3, n_heads, head_dim]);
    [0, 1, 2].map(|part| parts.select(2, part).transpose(1, 2))
}

/// `[batch, seq, d_model] → [batch, n_heads, seq, head_dim]`, a view.
fn split_heads(joined: &Tensor, n_heads: usize) -> Tensor {
    let size = joined.size();
    joined.contiguous().reshape([size[0], size[1], n_heads as i64, size[2] / n_heads as i64]).transpose(1, 2)
}

/// `[batch, n_heads, seq, head_dim] → [batch, seq, d_model]`.
fn join_heads(heads: &Tensor) -> Tensor {
    let size = heads.size();
    heads.transpose(1, 2).reshape([size[0], size[2], -1])
}
