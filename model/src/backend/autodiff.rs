//! The operations on a differentiating backend: forward on the inner one, and our backward passes recorded.

use burn::tensor::backend::AutodiffBackend as BurnAutodiffBackend;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};

use super::{AffineGradients, Backend, Heads, Saved, portable};
use crate::{Activation, ComputePrecision};

/// A [`Backend`] that can differentiate, over an inner one that cannot: what training needs.
pub trait AutodiffBackend: Backend + BurnAutodiffBackend<InnerBackend: Backend> {}

impl<B> AutodiffBackend for B where B: Backend + BurnAutodiffBackend<InnerBackend: Backend> {}

impl<B: Backend, C: CheckpointStrategy> Backend for Autodiff<B, C> {
    fn set_compute_precision(precision: ComputePrecision, device: &Self::Device) -> bool {
        B::set_compute_precision(precision, device)
    }

    fn embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        let prepared = Embedding.prepare::<C>([weight.node.clone()]).compute_bound();
        let output = <B as Backend>::embedding(weight.primitive.clone(), ids.clone());
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish((weight.primitive, ids), output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn dropout(input: FloatTensor<Self>, probability: f64) -> FloatTensor<Self> {
        let prepared = Dropout.prepare::<C>([input.node.clone()]).compute_bound();
        let (output, saved) = B::dropout_forward(input.primitive, probability);
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish((saved, probability), output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        // A node has a fixed number of parents: without a bias, the weight stands in and gets nothing for it.
        let third = bias.as_ref().unwrap_or(&weight).node.clone();
        let has_bias = bias.is_some();
        let prepared =
            LayerNorm.prepare::<C>([input.node.clone(), weight.node.clone(), third]).compute_bound();
        let (output, saved) = B::layer_norm_forward(
            input.primitive,
            weight.primitive.clone(),
            bias.map(|bias| bias.primitive),
            epsilon,
        );
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish((saved, weight.primitive, has_bias), output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn rms_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        let prepared = RmsNorm.prepare::<C>([input.node.clone(), weight.node.clone()]).compute_bound();
        let (output, saved) = B::rms_norm_forward(input.primitive, weight.primitive.clone(), epsilon);
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish((saved, weight.primitive), output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn rotary(
        qkv: FloatTensor<Self>,
        heads: Heads,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let prepared = Rotary.prepare::<C>([qkv.node.clone()]).compute_bound();
        let (cos, sin) = (cos.primitive, sin.primitive);
        let output = <B as Backend>::rotary(qkv.primitive, heads, cos.clone(), sin.clone());
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish((heads, cos, sin), output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn gate(
        gate: FloatTensor<Self>,
        expanded: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let prepared = Gate.prepare::<C>([gate.node.clone(), expanded.node.clone()]).compute_bound();
        let (gate, expanded) = (gate.primitive, expanded.primitive);
        let output = <B as Backend>::gate(gate.clone(), expanded.clone(), activation);
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish((gate, expanded, activation), output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn blend(inputs: [FloatTensor<Self>; 2], weights: [FloatTensor<Self>; 2]) -> FloatTensor<Self> {
        let nodes = [&inputs[0], &inputs[1], &weights[0], &weights[1]].map(|tensor| tensor.node.clone());
        let prepared = Blend.prepare::<C>(nodes).compute_bound();
        let [inputs, weights] = [inputs, weights].map(|pair| pair.map(|tensor| tensor.primitive));
        let output = <B as Backend>::blend(inputs.clone(), weights.clone());
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish([inputs, weights], output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let third = bias.as_ref().unwrap_or(&weight).node.clone();
        let has_bias = bias.is_some();
        let prepared = Linear.prepare::<C>([input.node.clone(), weight.node.clone(), third]).compute_bound();
        let (output, saved) = B::linear_forward(
            input.primitive,
            weight.primitive.clone(),
            bias.map(|bias| bias.primitive),
            activation,
        );
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish((saved, weight.primitive, has_bias, activation), output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn attention(qkv: FloatTensor<Self>, heads: Heads, scale: f64, dropout: f64) -> FloatTensor<Self> {
        let prepared = Attention.prepare::<C>([qkv.node.clone()]).compute_bound();
        let (output, saved) = B::attention_forward(qkv.primitive, heads, scale, dropout);
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish((saved, heads, scale, dropout), output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn segment_attention(
        qkv: FloatTensor<Self>,
        heads: Heads,
        scale: f64,
        dropout: f64,
        lengths: &[usize],
    ) -> FloatTensor<Self> {
        let prepared = SegmentAttention.prepare::<C>([qkv.node.clone()]).compute_bound();
        let (output, saved) =
            portable::segment_attention_forward::<B>(qkv.primitive, heads, scale, dropout, lengths);
        match prepared.stateful() {
            OpsKind::Tracked(node) => node.finish((saved, lengths.to_vec(), heads, scale, dropout), output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn head_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> FloatTensor<Self> {
        let prepared =
            HeadCrossEntropy.prepare::<C>([hidden.node.clone(), weight.node.clone()]).compute_bound();
        let (hidden, weight) = (hidden.primitive, weight.primitive);
        match prepared.stateful() {
            OpsKind::Tracked(node) => {
                let gradients = B::head_cross_entropy_with_gradients(hidden, weight, targets, softcap);
                node.finish((gradients.hidden, gradients.weight), gradients.loss)
            }
            OpsKind::UnTracked(node) => node.finish(B::head_cross_entropy(hidden, weight, targets, softcap)),
        }
    }
}

#[derive(Debug)]
struct Embedding;

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
struct Dropout;

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
struct LayerNorm;

impl<B: Backend> Backward<B, 3> for LayerNorm {
    /// What the forward pass saved, the weight, and whether there is a bias.
    type State = (Saved<B>, FloatTensor<B>, bool);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (saved, weight, has_bias) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        // That of the residual stream, which goes past the norm, is there.
        let others = taken::<B, _>(gradients, &gradient, &ops.parents[0], |tensor, node| tensor.node = node);
        let ours = B::layer_norm_backward(saved, weight, has_bias, gradient, others);
        register_affine(gradients, ops.parents.map(|parent| parent.map(|node| node.id)), ours);
    }
}

#[derive(Debug)]
struct RmsNorm;

impl<B: Backend> Backward<B, 2> for RmsNorm {
    /// What the forward pass saved, and the weight.
    type State = (Saved<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (saved, weight) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let others = taken::<B, _>(gradients, &gradient, &ops.parents[0], |tensor, node| tensor.node = node);
        let ours = B::rms_norm_backward(saved, weight, gradient, others);
        let [input, weight] = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B>(gradients, input, ours.input);
        register::<B>(gradients, weight, ours.weight);
    }
}

#[derive(Debug)]
struct Rotary;

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
struct Gate;

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
struct Blend;

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
struct Linear;

impl<B: Backend> Backward<B, 3> for Linear {
    /// What the forward pass saved, the weight, whether there is a bias, and the activation.
    type State = (Saved<B>, FloatTensor<B>, bool, Option<Activation>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (saved, weight, has_bias, activation) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let ours = B::linear_backward(saved, weight, has_bias, activation, gradient);
        register_affine(gradients, ops.parents.map(|parent| parent.map(|node| node.id)), ours);
    }
}

#[derive(Debug)]
struct Attention;

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
struct SegmentAttention;

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
struct HeadCrossEntropy;

impl<B: Backend> Backward<B, 2> for HeadCrossEntropy {
    /// The gradients of the hidden vectors and of the weight, made with the loss.
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let upstream = gradients.consume::<B>(&ops.node); // [1]
        let [hidden, weight] = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B>(gradients, hidden, B::scaled(ops.state.0, upstream.clone()));
        register::<B>(gradients, weight, B::scaled(ops.state.1, upstream));
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

/// The gradients of an input, its weight and its bias.
fn register_affine<B: Backend>(
    gradients: &mut Gradients,
    [input, weight, bias]: [Option<NodeId>; 3],
    ours: AffineGradients<B>,
) {
    register::<B>(gradients, input, ours.input);
    register::<B>(gradients, weight, ours.weight);
    if let Some(ours) = ours.bias {
        register::<B>(gradients, bias, ours);
    }
}
