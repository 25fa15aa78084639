//! libtorch's flash attention on the CPU.

use burn_tch::TchTensor;
use tch::{Device, Tensor};

use super::take;
use crate::backend::{Backend, portable};

/// On the CPU and without dropout, keeps the projection, the output and the logarithm of each row's sum; otherwise what the
/// portable pass keeps.
pub(in crate::backend) fn causal_attention_forward<B: Backend<FloatTensorPrimitive = TchTensor>>(
    qkv: TchTensor,
    n_heads: usize,
    scale: f64,
    dropout: f64,
) -> (TchTensor, Vec<TchTensor>) {
    if !has_flash(&qkv, dropout) {
        return portable::causal_attention_forward::<B>(qkv, n_heads, scale, dropout);
    }
    let [query, key, value] = split_heads(&qkv.tensor, n_heads);
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

pub(in crate::backend) fn causal_attention_backward<B: Backend<FloatTensorPrimitive = TchTensor>>(
    saved: Vec<TchTensor>,
    n_heads: usize,
    scale: f64,
    dropout: f64,
    gradient: TchTensor,
) -> TchTensor {
    if !has_flash(&gradient, dropout) {
        return portable::causal_attention_backward::<B>(saved, n_heads, scale, dropout, gradient);
    }
    let [qkv, output, lse] = take(saved);
    let [query, key, value] = split_heads(&qkv.tensor, n_heads);
    let (d_query, d_key, d_value) = Tensor::internal_scaled_dot_product_flash_attention_for_cpu_backward(
        &heads(&gradient.tensor, n_heads),
        &query,
        &key,
        &value,
        &heads(&output.tensor, n_heads),
        &lse.tensor,
        0.0,
        true,
        None::<Tensor>,
        scale,
    );
    TchTensor::new(Tensor::cat(&[d_query, d_key, d_value].map(|part| join_heads(&part)), 2))
}

/// One new position sees every key, as many as there are keys see those before them; anything between is portable.
pub(in crate::backend) fn cached_attention<B: Backend<FloatTensorPrimitive = TchTensor>>(
    query: TchTensor,
    keys: TchTensor,
    values: TchTensor,
    filled: usize,
    scale: f64,
) -> TchTensor {
    let new = query.tensor.size()[2];
    if new != 1 && new != filled as i64 {
        return portable::cached_attention::<B>(query, keys, values, filled, scale);
    }
    let [keys, values] = [keys, values].map(|buffer| buffer.tensor.narrow(2, 0, filled as i64));
    let causal = new > 1;
    TchTensor::new(Tensor::scaled_dot_product_attention(
        &query.tensor,
        &keys,
        &values,
        None::<Tensor>,
        0.0,
        causal,
        scale,
        false,
    ))
}

/// Whether the fused kernel computes what is asked for; its backward pass is asked the same.
fn has_flash(tensor: &TchTensor, dropout: f64) -> bool {
    tensor.tensor.device() == Device::Cpu && dropout == 0.0
}

/// `[batch, seq, 3 * d_model]` to queries, keys and values, each `[batch, n_heads, seq, head_dim]`: views, not copies.
fn split_heads(qkv: &Tensor, n_heads: usize) -> [Tensor; 3] {
    let size = qkv.size();
    // The kernels step through the last axis one by one.
    let parts =
        qkv.contiguous().reshape([size[0], size[1], 3, n_heads as i64, size[2] / (3 * n_heads as i64)]);
    [0, 1, 2].map(|part| parts.select(2, part).transpose(1, 2))
}

/// `[batch, seq, d_model] → [batch, n_heads, seq, head_dim]`, a view.
fn heads(joined: &Tensor, n_heads: usize) -> Tensor {
    let size = joined.size();
    joined.contiguous().reshape([size[0], size[1], n_heads as i64, size[2] / n_heads as i64]).transpose(1, 2)
}

/// `[batch, n_heads, seq, head_dim] → [batch, seq, d_model]`.
fn join_heads(heads: &Tensor) -> Tensor {
    let size = heads.size();
    heads.transpose(1, 2).reshape([size[0], size[2], -1])
}
