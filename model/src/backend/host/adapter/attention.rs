//! Causal attention, within a sequence and over a cache.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

use super::dropout::{draw_seed, join_seed};
use super::tensor::{buffer, take, with_last};
use crate::backend::Saved;
use crate::backend::host::HostMemory;
use crate::backend::host::kernels::{self, AttentionShape, CachedAttentionShape};

fn attention_shape(qkv: &Shape, n_heads: usize, scale: f64, dropout: f64, seed: u64) -> AttentionShape {
    let [batch, seq, width] = [0, 1, 2].map(|axis| qkv[axis]);
    let (scale, dropout) = (scale as f32, dropout as f32);
    AttentionShape { batch, seq, heads: n_heads, d_model: width / 3, scale, dropout, seed }
}

/// Saves the projection, the output and the logarithm of each row's sum; with dropout, also the mask's seed in two
/// halves that f32 holds exactly.
pub(in crate::backend) fn causal_attention_forward<B: HostMemory>(
    qkv: FloatTensor<B>,
    n_heads: usize,
    scale: f64,
    dropout: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = qkv.shape();
    let seed = if dropout > 0.0 { draw_seed::<B>(&qkv) } else { [0.0; 2] };
    let sizes = attention_shape(&shape, n_heads, scale, dropout, join_seed(&seed));
    let mut output = buffer(sizes.batch * sizes.seq * sizes.d_model);
    let mut lse = buffer(sizes.batch * sizes.heads * sizes.seq);
    kernels::attention_forward(&sizes, &B::values(&qkv), &mut output, &mut lse);
    let output = B::tensor(output, with_last(&shape, sizes.d_model));
    let lse = B::tensor(lse, Shape::new([sizes.batch, sizes.heads, sizes.seq]));
    let seed = B::tensor(seed.to_vec(), Shape::new([2]));
    (output.clone(), vec![qkv, output, lse, seed])
}

pub(in crate::backend) fn causal_attention_backward<B: HostMemory>(
    saved: Saved<B>,
    n_heads: usize,
    scale: f64,
    dropout: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let [qkv, output, lse, seed] = take::<B, 4>(saved);
    let shape = qkv.shape();
    let sizes = attention_shape(&shape, n_heads, scale, dropout, join_seed(&B::values(&seed)));
    let mut d_qkv = buffer(shape.num_elements());
    kernels::attention_backward(
        &sizes,
        &B::values(&qkv),
        &B::values(&output),
        &B::values(&lse),
        &B::values(&gradient),
        &mut d_qkv,
    );
    B::tensor(d_qkv, shape)
}

pub(in crate::backend) fn cached_attention<B: HostMemory>(
    query: FloatTensor<B>,
    keys: FloatTensor<B>,
    values: FloatTensor<B>,
    filled: usize,
    scale: f64,
) -> FloatTensor<B> {
    let shape = query.shape();
    let [batch, heads, n_new, head_dim] = [0, 1, 2, 3].map(|axis| shape[axis]);
    let (len, capacity, scale) = (filled, keys.shape()[2], scale as f32);
    let sizes = CachedAttentionShape { batch, heads, head_dim, n_new, len, capacity, scale };
    let mut output = buffer(shape.num_elements());
    kernels::attention_cached(
        &sizes,
        &B::values(&query),
        &B::values(&keys),
        &B::values(&values),
        &mut output,
    );
    B::tensor(output, shape)
}
