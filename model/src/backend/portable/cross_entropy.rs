//! Language-model head and cross-entropy as one operation, a chunk of positions at a time.

use std::ops::Range;

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, IndexingUpdateOp, Int, Shape, Tensor, TensorMetadata};

use super::matmul::matmul;
use super::{from_primitive, into_primitive, rows, unrows, wide, widen};
use crate::backend::{Backend, CHUNK_LOGITS, HeadGradients, Wanted};

/// `hidden · weightᵀ`, on two axes: batched, the weight would be copied for every sequence. With a cap, `cap · tanh(logits /
/// cap)`.
pub(in crate::backend) fn head<B: Backend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    let shape = hidden.shape();
    let logits = matmul(rows::<B>(hidden), from_primitive::<B, 2>(weight).transpose());
    unrows(capped(logits, softcap), &shape)
}

fn capped<B: Backend>(logits: Tensor<B, 2>, softcap: Option<f64>) -> Tensor<B, 2> {
    match softcap {
        None => logits,
        Some(cap) => (logits / cap).tanh() * cap,
    }
}

/// The mean of `logsumexp(logits) - logits[target]` over the targets that count.
pub(in crate::backend) fn head_cross_entropy<B: Backend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    let (hidden, weight) = (rows::<B>(hidden), from_primitive::<B, 2>(weight));
    let (weight, wide) = (weight.cast(hidden.dtype()), wide(hidden.dtype()));
    let targets = Targets::new(targets, wide);
    let [positions, _] = hidden.dims();
    let mut loss = Tensor::<B, 1>::zeros([1], (&hidden.device(), wide));
    for chunk in chunks(positions, &weight) {
        let targets = targets.slice(chunk.clone());
        let logits = matmul(hidden.clone().slice([chunk]), weight.clone().transpose()); // [chunk, vocab]
        loss = loss + Softmax::of(capped(widen(logits), softcap), &targets).loss;
    }
    into_primitive(loss)
}

/// With `p = softmax(logits)` and `share` of each position in the mean: `dlogits = (p - onehot(target)) ·
/// share`, `dhidden = dlogits W`, `dW = Σ dlogitsᵀ hidden`. The share goes to the small factor of each
/// product. A cap on logits multiplies `dlogits` by its slope, `1 - (logits / cap)²`.
pub(in crate::backend) fn head_cross_entropy_with_gradients<B: Backend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
    wanted: Wanted,
) -> HeadGradients<B> {
    let shape = hidden.shape();
    let (hidden, weight) = (rows::<B>(hidden), from_primitive::<B, 2>(weight));
    let (own, narrow, wide) = (weight.dtype(), hidden.dtype(), wide(hidden.dtype()));
    let weight = weight.cast(narrow);
    let targets = Targets::new(targets, wide);
    let [positions, _] = hidden.dims();
    let mut loss = Tensor::<B, 1>::zeros([1], (&hidden.device(), wide));
    let mut d_weight: Option<Tensor<B, 2>> = None;
    let mut d_hidden = Vec::new();
    for chunk in chunks(positions, &weight) {
        let targets = targets.slice(chunk.clone());
        let hidden = hidden.clone().slice([chunk]); // [chunk, d_model]
        let logits = matmul(hidden.clone(), weight.clone().transpose()); // [chunk, vocab]
        let logits = capped(widen(logits), softcap);
        let slope = softcap.map(|cap| (logits.clone() / cap).square().neg() + 1.0); // [chunk, vocab]
        let softmax = Softmax::of(logits, &targets);
        loss = loss + softmax.loss;

        let minus_one = targets.share.full_like(-1.0);
        let mut d_logits = softmax.probabilities.scatter(1, targets.index, minus_one, IndexingUpdateOp::Add);
        if let Some(slope) = slope {
            d_logits = d_logits * slope;
        }
        let (d_logits, share) = (d_logits.cast(narrow), targets.share.cast(narrow));
        if wanted.input {
            d_hidden.push(matmul(d_logits.clone(), weight.clone()) * share.clone()); // [chunk, d_model]
        }
        if !wanted.weight {
            continue;
        }
        let contribution = matmul(d_logits.transpose(), hidden * share).cast(own); // [vocab, d_model]
        d_weight = Some(match d_weight {
            Some(sum) => sum + contribution,
            None => contribution,
        });
    }
    HeadGradients {
        loss: into_primitive(loss),
        hidden: wanted.input.then(|| unrows(Tensor::cat(d_hidden, 0), &shape)),
        weight: d_weight.map(into_primitive),
    }
}

/// The targets of some positions, and how much each counts.
struct Targets<B: Backend> {
    /// The target; for one that is ignored, 0, so that it can be looked up. `[positions, 1]`
    index: Tensor<B, 2, Int>,
    /// Weight in the mean: one over the number of targets that count, or 0. `[positions, 1]`
    share: Tensor<B, 2>,
}

impl<B: Backend> Targets<B> {
    /// From targets of any shape. They are counted on the device, which need not wait for the host.
    fn new(targets: IntTensor<B>, dtype: DType) -> Self {
        let positions = targets.shape().num_elements();
        let targets = B::int_reshape(targets, Shape::new([positions, 1]));
        let targets: Tensor<B, 2, Int> = Tensor::from_primitive(targets);
        let counts = targets.clone().greater_equal_elem(0).float().cast(dtype); // [positions, 1]
        let number = counts.clone().sum_dim(0).clamp_min(1.0); // [1, 1]
        Self { index: targets.clamp_min(0), share: counts / number }
    }

    fn slice(&self, range: Range<usize>) -> Self {
        let index = self.index.clone().slice([range.clone()]);
        Self { index, share: self.share.clone().slice([range]) }
    }
}

/// Probabilities `[chunk, vocab]` of a chunk of wide logits, and its part of the mean loss, `[1]`.
struct Softmax<B: Backend> {
    probabilities: Tensor<B, 2>,
    loss: Tensor<B, 1>,
}

impl<B: Backend> Softmax<B> {
    fn of(logits: Tensor<B, 2>, targets: &Targets<B>) -> Self {
        let shifted = logits.clone() - logits.max_dim(1); // largest is 0: exp cannot overflow
        let target = shifted.clone().gather(1, targets.index.clone()); // [chunk, 1]
        let exponentials = shifted.exp();
        let sum = exponentials.clone().sum_dim(1); // [chunk, 1]
        let loss = ((sum.clone().log() - target) * targets.share.clone()).sum();
        Self { probabilities: exponentials / sum, loss }
    }
}

/// Ranges of positions whose logits fit in one chunk.
fn chunks<B: Backend>(positions: usize, weight: &Tensor<B, 2>) -> impl Iterator<Item = Range<usize>> {
    let [vocab, _] = weight.dims();
    let step = (CHUNK_LOGITS / vocab).max(1);
    (0..positions).step_by(step).map(move |start| start..(start + step).min(positions))
}
