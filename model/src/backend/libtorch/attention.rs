//! libtorch's fused attention: one kernel on the CPU, others on NVIDIA GPUs, which hold no matrix of scores.

use burn::tensor::ops::FloatTensor;
use burn_tch::TchTensor;
use tch::{Device, Tensor};

use super::{TorchBackend, aten, take};
use crate::backend::{Heads, Saved, portable};
use crate::kv_cache::CachedSequence;

/// Where a fused kernel runs, keeps the projection, the output, the logarithm of each row's sum and, on a GPU, the
/// random state; otherwise what the portable pass keeps.
pub(in crate::backend) fn attention_forward<B: TorchBackend>(
    qkv: FloatTensor<B>,
    heads: Heads,
    scale: f64,
    dropout: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let (output, kept) = match Fused::of(&qkv.tensor, heads, dropout) {
        None => return portable::attention_forward::<B>(qkv, heads, scale, dropout),
        Some(Fused::Cpu) => {
            let [query, key, value] = split_qkv(&qkv.tensor, heads);
            let mask = None::<Tensor>;
            let (output, lse) = Tensor::internal_scaled_dot_product_flash_attention_for_cpu(
                &query, &key, &value, 0.0, true, mask, scale,
            );
            (output, vec![lse])
        }
        Some(Fused::Cuda) => {
            let [output, kept @ ..] = aten::attention(&split_qkv(&qkv.tensor, heads), scale, dropout);
            (output, kept.into())
        }
    };
    // Saved is a clone of what is handed out, or Burn might overwrite the memory that both share.
    let output = TchTensor::new(join_heads(&output));
    let kept = kept.into_iter().map(TchTensor::new);
    (output.clone(), [qkv, output].into_iter().chain(kept).collect())
}

pub(in crate::backend) fn attention_backward<B: TorchBackend>(
    saved: Saved<B>,
    heads: Heads,
    scale: f64,
    dropout: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let d_output = split_heads(&gradient.tensor, heads.n_heads);
    let gradients = match Fused::of(&gradient.tensor, heads, dropout) {
        None => return portable::attention_backward::<B>(saved, heads, scale, dropout, gradient),
        Some(Fused::Cpu) => {
            let [qkv, output, lse] = take(saved).map(|saved: TchTensor| saved.tensor);
            let [query, key, value] = split_qkv(&qkv, heads);
            let mask = None::<Tensor>;
            Tensor::internal_scaled_dot_product_flash_attention_for_cpu_backward(
                &d_output,
                &query,
                &key,
                &value,
                &split_heads(&output, heads.n_heads),
                &lse,
                0.0,
                true,
                mask,
                scale,
            )
            .into()
        }
        Some(Fused::Cuda) => {
            let [qkv, output, kept @ ..] = take::<5>(saved).map(|saved: TchTensor| saved.tensor);
            let [lse, seed, offset] = kept;
            let forward = [split_heads(&output, heads.n_heads), lse, seed, offset];
            aten::attention_backward(&d_output, &split_qkv(&qkv, heads), &forward, scale, dropout)
        }
    };
    TchTensor::new(Tensor::cat(&gradients.map(|part| join_heads(&part)), 2))
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

/// Where a fused kernel runs.
enum Fused {
    Cpu,
    Cuda,
}

impl Fused {
    /// The kernel that computes what is asked for; a backward pass is asked the same as its forward pass.
    fn of(tensor: &Tensor, heads: Heads, dropout: f64) -> Option<Self> {
        match tensor.device() {
            _ if heads.group() > 1 => None,
            Device::Cpu if dropout == 0.0 => Some(Self::Cpu),
            // Its kernels read eight numbers at a time, and hold a whole head on the chip.
            Device::Cuda(_) if heads.head_dim.is_multiple_of(8) && heads.head_dim <= 256 => Some(Self::Cuda),
            _ => None,
        }
    }
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
