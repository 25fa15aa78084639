//! Language-model head and cross-entropy as one operation, a chunk of positions at a time.

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{IndexingUpdateOp, Int, Shape, Tensor, TensorMetadata};

use super::matmul::matmul;
use super::{rows, unrows, unwrap, wrap};
use crate::backend::{Backend, HeadGradients};

/// Most logits held at once, in elements: 64 MiB of f32.
const CHUNK_LOGITS: usize = 1 << 24;

/// `hidden · weightᵀ`, on two axes: batched, the weight would be copied for every sequence.
pub(in crate::backend) fn head<B: Backend>(hidden: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let shape = hidden.shape();
    unrows(matmul(rows::<B>(hidden), wrap::<B, 2>(weight).transpose()), &shape)
}

/// The mean of `logsumexp(logits) - logits[target]` over all positions.
pub(in crate::backend) fn head_cross_entropy<B: Backend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
) -> FloatTensor<B> {
    let (hidden, weight, targets) = (rows::<B>(hidden), wrap::<B, 2>(weight), column::<B>(targets));
    let [positions, _] = hidden.dims();
    let mut total = Tensor::<B, 1>::zeros([1], &hidden.device());
    for chunk in chunks(positions, &weight) {
        let targets = targets.clone().slice([chunk.clone()]); // [chunk, 1]
        let logits = matmul(hidden.clone().slice([chunk]), weight.clone().transpose()); // [chunk, vocab]
        total = total + Softmax::of(logits, targets).loss;
    }
    unwrap(total / positions as f64)
}

/// With `p = softmax(logits)`: `dlogits = (p - onehot(target)) / positions`, `dhidden = dlogits W`,
/// `dW = Σ dlogitsᵀ hidden`.
pub(in crate::backend) fn head_cross_entropy_with_gradients<B: Backend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
) -> HeadGradients<B> {
    let shape = hidden.shape();
    let (hidden, weight, targets) = (rows::<B>(hidden), wrap::<B, 2>(weight), column::<B>(targets));
    let [positions, _] = hidden.dims();
    let mut total = Tensor::<B, 1>::zeros([1], &hidden.device());
    let mut d_weight: Option<Tensor<B, 2>> = None;
    let mut d_hidden = Vec::new();
    for chunk in chunks(positions, &weight) {
        let targets = targets.clone().slice([chunk.clone()]); // [chunk, 1]
        let hidden = hidden.clone().slice([chunk]); // [chunk, d_model]
        let logits = matmul(hidden.clone(), weight.clone().transpose()); // [chunk, vocab]
        let softmax = Softmax::of(logits, targets.clone());
        total = total + softmax.loss;

        let minus_one = Tensor::full(targets.shape(), -1.0, &targets.device());
        let d_logits = softmax.probabilities.scatter(1, targets, minus_one, IndexingUpdateOp::Add);
        let d_logits = d_logits / positions as f64;
        d_hidden.push(matmul(d_logits.clone(), weight.clone())); // [chunk, d_model]
        let contribution = matmul(d_logits.transpose(), hidden); // [vocab, d_model]
        d_weight = Some(match d_weight {
            Some(sum) => sum + contribution,
            None => contribution,
        });
    }
    HeadGradients {
        loss: unwrap(total / positions as f64),
        hidden: unrows(Tensor::cat(d_hidden, 0), &shape),
        weight: unwrap(d_weight.expect("a batch has at least one position")),
    }
}

/// Probabilities `[chunk, vocab]` and the summed loss `[1]` of a chunk of logits.
struct Softmax<B: Backend> {
    probabilities: Tensor<B, 2>,
    loss: Tensor<B, 1>,
}

impl<B: Backend> Softmax<B> {
    fn of(logits: Tensor<B, 2>, targets: Tensor<B, 2, Int>) -> Self {
        let shifted = logits.clone() - logits.max_dim(1); // largest is 0: exp cannot overflow
        let target = shifted.clone().gather(1, targets); // [chunk, 1]
        let exponentials = shifted.exp();
        let sum = exponentials.clone().sum_dim(1); // [chunk, 1]
        let loss = (sum.clone().log() - target).sum();
        Self { probabilities: exponentials / sum, loss }
    }
}

/// Any shape of targets as `[positions, 1]`.
fn column<B: Backend>(targets: IntTensor<B>) -> Tensor<B, 2, Int> {
    let positions = targets.shape().num_elements();
    Tensor::from_primitive(B::int_reshape(targets, Shape::new([positions, 1])))
}

/// Ranges of positions whose logits fit in one chunk.
fn chunks<B: Backend>(
    positions: usize,
    weight: &Tensor<B, 2>,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    let [vocab, _] = weight.dims();
    let step = (CHUNK_LOGITS / vocab).max(1);
    (0..positions).step_by(step).map(move |start| start..(start + step).min(positions))
}
