//! Rotary positions on a joint projection of queries, keys and values.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use super::{from_primitive, into_primitive, widen};
use crate::backend::{Backend, Heads};

/// `(a cos - b sin, b cos + a sin)` for the pairs `(a, b)` of features of each query and key.
pub(in crate::backend) fn rotary<B: Backend>(
    qkv: FloatTensor<B>,
    heads: Heads,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
) -> FloatTensor<B> {
    let Heads { n_heads, n_kv_heads, head_dim } = heads;
    let qkv: Tensor<B, 3> = from_primitive(qkv);
    let ([batch, seq, width], dtype) = (qkv.dims(), qkv.dtype());
    let [cos, sin] = [cos, sin].map(|angles| {
        let angles: Tensor<B, 3> = from_primitive(angles);
        angles.unsqueeze_dim::<4>(2) // [batch or 1, seq, 1, head_dim / 2]
    });
    let (turning, half) = (n_heads + n_kv_heads, head_dim / 2);
    let all = qkv.reshape([batch, seq, turning + n_kv_heads, head_dim]);
    let part = |first| widen(all.clone().narrow(2, 0, turning).narrow(3, first, half));
    let (first, second) = (part(0), part(half)); // [batch, seq, turning, head_dim / 2]
    let turned = [first.clone() * cos.clone() - second.clone() * sin.clone(), second * cos + first * sin];
    let turned = Tensor::cat(turned.to_vec(), 3).cast(dtype); // [batch, seq, turning, head_dim]
    let values = all.narrow(2, turning, n_kv_heads);
    into_primitive(Tensor::cat(vec![turned, values], 2).reshape([batch, seq, width]))
}
