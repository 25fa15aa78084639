//! The operations on a differentiating backend: forward on the inner one, with what the backward pass will read.

use burn::tensor::backend::AutodiffBackend as BurnAutodiffBackend;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::ops::{Backward as _, OpsKind};

use super::backward::{
    Attention, Blend, Dropout, Embedding, Gate, HeadCrossEntropy, LayerNorm, Linear, RmsNorm, Rotary,
    SegmentAttention,
};
use crate::backend::{Backend, Heads, Wanted, portable};
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
        let [input, weighs] = [&hidden, &weight].map(|tensor| !tensor.node.requirement.is_none());
        let wanted = Wanted { input, weight: weighs, bias: false };
        let (hidden, weight) = (hidden.primitive, weight.primitive);
        match prepared.stateful() {
            OpsKind::Tracked(node) => {
                let gradients =
                    B::head_cross_entropy_with_gradients(hidden, weight, targets, softcap, wanted);
                node.finish((gradients.hidden, gradients.weight), gradients.loss)
            }
            OpsKind::UnTracked(node) => node.finish(B::head_cross_entropy(hidden, weight, targets, softcap)),
        }
    }
}
