//! Causal attention, within sequences and over their caches.

mod backward;
mod cached;
mod forward;
#[cfg(test)]
mod tests;

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

use self::cached::{CachedQueries, KeysAndValues};
use self::forward::Rows;
use super::dropout::{draw_seed, join_seed};
use super::tensor::{HostMemory, buffer, take, with_last};
use crate::backend::{Heads, Saved};
use crate::kv_cache::CachedSequence;

/// Saves the projection, the output and the logarithm of each row's sum; with dropout, also the mask's seed
/// in two halves that f32 holds exactly.
pub(in crate::backend) fn attention_forward<B: HostMemory>(
    qkv: FloatTensor<B>,
    heads: Heads,
    scale: f64,
    dropout: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = qkv.shape();
    let seed = if dropout > 0.0 { draw_seed::<B>(&qkv) } else { [0.0; 2] };
    let sizes = AttentionShape::new(&shape, heads, scale, dropout, join_seed(&seed));
    let mut output = buffer(sizes.outputs());
    let mut lse = buffer(sizes.queries());
    forward::forward(&sizes, &B::values(&qkv), &mut output, &mut lse);
    let output = B::tensor(output, with_last(&shape, heads.width()));
    let lse = B::tensor(lse, Shape::new([sizes.batch, heads.n_heads, sizes.seq]));
    let seed = B::tensor(seed.to_vec(), Shape::new([2]));
    (output.clone(), vec![qkv, output, lse, seed])
}

pub(in crate::backend) fn attention_backward<B: HostMemory>(
    saved: Saved<B>,
    heads: Heads,
    scale: f64,
    dropout: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let [qkv, output, lse, seed] = take::<B, 4>(saved);
    let shape = qkv.shape();
    let sizes = AttentionShape::new(&shape, heads, scale, dropout, join_seed(&B::values(&seed)));
    let mut d_qkv = buffer(shape.num_elements());
    let (qkv, output, lse) = (B::values(&qkv), B::values(&output), B::values(&lse));
    let saved = backward::Saved { qkv: &qkv, out: &output, lse: &lse };
    backward::backward(&sizes, saved, &B::values(&gradient), &mut d_qkv);
    B::tensor(d_qkv, shape)
}

/// All sequences and heads share one loop.
pub(in crate::backend) fn cached_attention<B: HostMemory>(
    query: FloatTensor<B>,
    caches: Vec<CachedSequence<B>>,
    scale: f64,
) -> FloatTensor<B> {
    let shape = query.shape();
    let [_, n_heads, new, head_dim] = [0, 1, 2, 3].map(|axis| shape[axis]);
    let caches: Vec<_> = caches
        .into_iter()
        .map(|one| (one.keys.into_primitive().tensor(), one.values.into_primitive().tensor(), one.filled))
        .collect();
    let buffers: Vec<_> =
        caches.iter().map(|(keys, values, _)| (B::values(keys), B::values(values))).collect();
    let sequences: Vec<_> = caches
        .iter()
        .zip(&buffers)
        .map(|((shaped, _, filled), (keys, values))| {
            let shape = shaped.shape();
            KeysAndValues { keys, values, n_kv_heads: shape[1], capacity: shape[2], filled: *filled }
        })
        .collect();
    let query = B::values(&query);
    let queries = CachedQueries { values: &query, n_heads, new, head_dim, scale: scale as f32 };
    let mut output = buffer(shape.num_elements());
    cached::forward(&queries, &sequences, &mut output);
    B::tensor(output, shape)
}

/// Sizes of causal self-attention.
#[derive(Clone, Copy, Debug, PartialEq)]
struct AttentionShape {
    /// Sequences in the batch.
    batch: usize,
    /// Positions of a sequence.
    seq: usize,
    heads: Heads,
    /// Factor of the scores, as a rule 1/√(head width).
    scale: f32,
    /// Probability of dropping an attention weight.
    dropout: f32,
    /// Seed of the dropout mask.
    seed: u64,
}

impl AttentionShape {
    /// For a projection of shape `[batch, seq, width]`.
    fn new(qkv: &Shape, heads: Heads, scale: f64, dropout: f64, seed: u64) -> Self {
        let [batch, seq, width] = [0, 1, 2].map(|axis| qkv[axis]);
        assert_eq!(width, heads.qkv_width(), "width of a projection for {heads:?}");
        Self { batch, seq, heads, scale: scale as f32, dropout: dropout as f32, seed }
    }

    /// Elements of the output.
    fn outputs(&self) -> usize {
        self.batch * self.seq * self.heads.width()
    }

    /// Rows of scores.
    fn queries(&self) -> usize {
        self.batch * self.heads.n_heads * self.seq
    }

    /// Elementary operations of one product of queries and keys.
    fn work(&self) -> usize {
        self.queries() * self.seq * self.heads.head_dim
    }

    fn check(&self, qkv: &[f32], out: &[f32], lse: &[f32]) {
        assert!(self.scale > 0.0, "{self:?}: scale is not positive");
        assert_eq!(qkv.len(), self.batch * self.seq * self.heads.qkv_width(), "projection of {self:?}");
        assert_eq!(out.len(), self.outputs(), "output of {self:?}");
        assert_eq!(lse.len(), self.queries(), "log-sum-exp of {self:?}");
    }

    /// Where the queries, keys and values of query head `head` of sequence `b` begin in the projection.
    fn offsets(&self, b: usize, head: usize) -> [usize; 3] {
        let Heads { n_heads, n_kv_heads, head_dim } = self.heads;
        let kv_head = head / self.heads.group();
        let first = b * self.seq * self.heads.qkv_width();
        [head, n_heads + kv_head, n_heads + n_kv_heads + kv_head].map(|slot| first + slot * head_dim)
    }

    /// The queries, keys and values of a query head, as rows of the projection.
    fn rows<'a>(&self, qkv: &'a [f32], b: usize, head: usize) -> [Rows<'a>; 3] {
        let stride = self.heads.qkv_width();
        self.offsets(b, head).map(|offset| Rows { data: qkv, offset, stride })
    }

    /// The result of a query head, as rows of a buffer of the output's shape.
    fn output_rows<'a>(&self, data: &'a [f32], b: usize, head: usize) -> Rows<'a> {
        let stride = self.heads.width();
        Rows { data, offset: b * self.seq * stride + head * self.heads.head_dim, stride }
    }
}
