//! The backward passes. A parent that needs no gradient has no node: what is frozen costs nothing.

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use burn_autodiff::{Autodiff, NodeId};

use crate::Activation;
use crate::backend::{AffineGradients, Backend, Heads, Saved, Wanted, portable};

#[derive(Debug)]
pub(super) struct Embedding;

impl<B: Backend> Backward<B, 1> for Embedding {
    /// The table and the ids.
    type State = (FloatTensor<B>, IntTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (weight, ids) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        // A head that shares the table has left a gradient for all of it, while this one has a few rows.
        let others = taken::<B, _>(gradients, &gradient, &ops.parents[0], |tensor, node| tensor.node = node);
        let [parent] = ops.parents.map(|parent| parent.map(|node| node.id));
        let ours = <B as Backend>::embedding_backward(weight, ids, gradient, others);
        register::<B>(gradients, parent, ours);
    }
}

#[derive(Debug)]
pub(super) struct Dropout;

impl<B: Backend> Backward<B, 1> for Dropout {
    /// What the forward pass saved, and the probability.
    type State = (Saved<B>, f64);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (saved, probability) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let [input] = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B>(gradients, input, B::dropout_backward(saved, probability, gradient));
    }
}

#[derive(Debug)]
pub(super) struct LayerNorm;

impl<B: Backend> Backward<B, 3> for LayerNorm {
    /// What the forward pass saved, the weight, and whether there is a bias.
    type State = (Saved<B>, FloatTensor<B>, bool);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (saved, weight, has_bias) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let wanted = wanted(&ops.parents, has_bias);
        // That of the residual stream, which goes past the norm, is there.
        let others = taken::<B, _>(gradients, &gradient, &ops.parents[0], |tensor, node| tensor.node = node);
        let ours = B::layer_norm_backward(saved, weight, wanted, gradient, others);
        register_affine(gradients, ops.parents.map(|parent| parent.map(|node| node.id)), ours);
    }
}

#[derive(Debug)]
pub(super) struct RmsNorm;

impl<B: Backend> Backward<B, 2> for RmsNorm {
    /// What the forward pass saved, and the weight.
    type State = (Saved<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (saved, weight) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let others = taken::<B, _>(gradients, &gradient, &ops.parents[0], |tensor, node| tensor.node = node);
        let wanted = wanted(&ops.parents, false);
        let ours = B::rms_norm_backward(saved, weight, wanted, gradient, others);
        let [input, weight] = ops.parents.map(|parent| parent.map(|node| node.id));
        register_affine(gradients, [input, weight, None], ours);
    }
}

#[derive(Debug)]
pub(super) struct Rotary;

impl<B: Backend> Backward<B, 1> for Rotary {
    /// The heads, cosines and sines.
    type State = (Heads, FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (heads, cos, sin) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let [qkv] = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B>(gradients, qkv, <B as Backend>::rotary(gradient, heads, cos, B::float_neg(sin)));
    }
}

#[derive(Debug)]
pub(super) struct Gate;

impl<B: Backend> Backward<B, 2> for Gate {
    /// Both factors, and the activation.
    type State = (FloatTensor<B>, FloatTensor<B>, Activation);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (gate, expanded, activation) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let ours = B::gate_backward(gate, expanded, activation, gradient);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        for (parent, ours) in parents.into_iter().zip(ours) {
            register::<B>(gradients, parent, ours);
        }
    }
}

#[derive(Debug)]
pub(super) struct Blend;

impl<B: Backend> Backward<B, 4> for Blend {
    /// Both inputs and both weights.
    type State = [[FloatTensor<B>; 2]; 2];

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [inputs, weights] = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let ours = B::blend_backward(inputs, weights, gradient);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        for (parent, ours) in parents.into_iter().zip(ours.into_iter().flatten()) {
            register::<B>(gradients, parent, ours);
        }
    }
}

#[derive(Debug)]
pub(super) struct Linear;

impl<B: Backend> Backward<B, 3> for Linear {
    /// What the forward pass saved, the weight, whether there is a bias, and the activation.
    type State = (Saved<B>, FloatTensor<B>, bool, Option<Activation>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (saved, weight, has_bias, activation) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let wanted = wanted(&ops.parents, has_bias);
        let ours = B::linear_backward(saved, weight, wanted, activation, gradient);
        register_affine(gradients, ops.parents.map(|parent| parent.map(|node| node.id)), ours);
    }
}

#[derive(Debug)]
pub(super) struct Attention;

impl<B: Backend> Backward<B, 1> for Attention {
    /// What the forward pass saved, the heads, the scale and the dropout.
    type State = (Saved<B>, Heads, f64, f64);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (saved, heads, scale, dropout) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let ours = B::attention_backward(saved, heads, scale, dropout, gradient);
        let [qkv] = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B>(gradients, qkv, ours);
    }
}

#[derive(Debug)]
pub(super) struct SegmentAttention;

impl<B: Backend> Backward<B, 1> for SegmentAttention {
    /// What the forward pass saved of each sequence, their lengths, the heads, the scale and the dropout.
    type State = (Vec<Saved<B>>, Vec<usize>, Heads, f64, f64);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (saved, lengths, heads, scale, dropout) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let ours =
            portable::segment_attention_backward::<B>(saved, heads, scale, dropout, &lengths, gradient);
        let [qkv] = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B>(gradients, qkv, ours);
    }
}

#[derive(Debug)]
pub(super) struct HeadCrossEntropy;

impl<B: Backend> Backward<B, 2> for HeadCrossEntropy {
    /// The gradients of the hidden vectors and of the weight, as far as they are wanted, made with the loss.
    type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let upstream = gradients.consume::<B>(&ops.node); // [1]
        let (hidden, weight) = ops.state;
        let scaled = |ours: Option<FloatTensor<B>>| ours.map(|ours| B::scaled(ours, upstream.clone()));
        let ours = AffineGradients::<B> { input: scaled(hidden), weight: scaled(weight), bias: None };
        let [hidden, weight] = ops.parents.map(|parent| parent.map(|node| node.id));
        register_affine(gradients, [hidden, weight, None], ours);
    }
}

fn register<B: Backend>(gradients: &mut Gradients, parent: Option<NodeId>, gradient: FloatTensor<B>) {
    if let Some(parent) = parent {
        gradients.register::<B>(parent, gradient);
    }
}

/// Takes out the gradient that a node has so far, so that an operation adds to it in a pass that it makes anyway. Burn finds it
/// by a tensor: `any`, at which `put` puts the node, whose type has no name here.
fn taken<B: Backend, N: Clone>(
    gradients: &mut Gradients,
    any: &FloatTensor<B>,
    node: &Option<N>,
    put: impl FnOnce(&mut FloatTensor<Autodiff<B>>, N),
) -> Option<FloatTensor<B>> {
    let mut tensor = FloatTensor::<Autodiff<B>>::new(any.clone());
    put(&mut tensor, node.clone()?);
    gradients.remove::<B>(&tensor)
}

/// Which of input, weight and bias need a gradient. Without a bias, the third parent stands in for one.
fn wanted<N, const PARENTS: usize>(parents: &[Option<N>; PARENTS], has_bias: bool) -> Wanted {
    let is_wanted = |index: usize| parents.get(index).is_some_and(Option::is_some);
    Wanted { input: is_wanted(0), weight: is_wanted(1), bias: has_bias && is_wanted(2) }
}

/// The gradients of an input, its weight and its bias.
fn register_affine<B: Backend>(
    gradients: &mut Gradients,
    parents: [Option<NodeId>; 3],
    AffineGradients { input, weight, bias }: AffineGradients<B>,
) {
    for (parent, ours) in parents.into_iter().zip([input, weight, bias]) {
        if let Some(ours) = ours {
            register::<B>(gradients, parent, ours);
        }
    }
}
