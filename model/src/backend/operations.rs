//! The trait: each operation's meaning, and its portable default.

use burn::tensor::ops::{FloatTensor, IntTensor};

use super::{
    AdamWStep, AffineGradients, HeadGradients, Heads, MuonStep, PackedWeight, Saved, Wanted, portable,
};
use crate::kv_cache::CachedSequence;
use crate::precision::{Channels, Precision};
use crate::{Activation, ComputePrecision};

/// A Burn backend with the operations of a GPT.
///
/// An operation computes in the type of its input, beside which weights may be f32: factors of products are rounded to
/// it, sums of norms and softmax and the loss are f32, and a gradient has the type of what it is the gradient of.
///
/// A backend of your own needs one line; overrides are optional:
///
/// ```ignore
/// impl kiln_model::Backend for MyBurnBackend {}
/// ```
pub trait Backend: burn::tensor::backend::Backend {
    /// Prepares `device` for training in this precision; `false` if it cannot.
    fn set_compute_precision(precision: ComputePrecision, device: &Self::Device) -> bool {
        portable::set_compute_precision::<Self>(precision, device)
    }

    /// The rows of a table that ids name, differentiable.
    ///
    /// # Shapes
    ///
    /// - weight: `[rows, d_model]`
    /// - ids: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    fn embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        portable::embedding::<Self>(weight, ids)
    }

    /// The backward pass of [`embedding`](Self::embedding), plus `others`: the gradient that the table has from other uses.
    fn embedding_backward(
        weight: FloatTensor<Self>,
        ids: IntTensor<Self>,
        gradient: FloatTensor<Self>,
        others: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        portable::embedding_backward::<Self>(weight, ids, gradient, others)
    }

    /// Zeroes elements with this probability and scales the others by `1 / (1 - probability)`, differentiable.
    fn dropout(input: FloatTensor<Self>, probability: f64) -> FloatTensor<Self> {
        Self::dropout_forward(input, probability).0
    }

    /// The forward pass of [`dropout`](Self::dropout), with what its backward pass needs.
    fn dropout_forward(input: FloatTensor<Self>, probability: f64) -> (FloatTensor<Self>, Saved<Self>) {
        portable::dropout_forward::<Self>(input, probability)
    }

    /// The backward pass of [`dropout`](Self::dropout): the same elements are dropped from the gradient.
    fn dropout_backward(
        saved: Saved<Self>,
        probability: f64,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::dropout_backward::<Self>(saved, probability, gradient)
    }

    /// Layer norm over the last axis, differentiable: `(x - mean) · rstd · weight + bias`.
    ///
    /// # Shapes
    ///
    /// - input, output: `[.., d_model]`
    /// - weight, bias: `[d_model]`
    fn layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::layer_norm_forward(input, weight, bias, epsilon).0
    }

    /// The forward pass of [`layer_norm`](Self::layer_norm), with what its backward pass needs.
    fn layer_norm_forward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, Saved<Self>) {
        portable::layer_norm_forward::<Self>(input, weight, bias, epsilon)
    }

    /// The backward pass of [`layer_norm`](Self::layer_norm); the input's gradient includes `others`, that of its other uses.
    fn layer_norm_backward(
        saved: Saved<Self>,
        weight: FloatTensor<Self>,
        wanted: Wanted,
        gradient: FloatTensor<Self>,
        others: Option<FloatTensor<Self>>,
    ) -> AffineGradients<Self> {
        portable::layer_norm_backward::<Self>(saved, weight, wanted, gradient, others)
    }

    /// RMS norm over the last axis, differentiable: `x · rrms · weight`.
    ///
    /// # Shapes
    ///
    /// - input, output: `[.., features]`
    /// - weight: `[features]`
    fn rms_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        Self::rms_norm_forward(input, weight, epsilon).0
    }

    /// The forward pass of [`rms_norm`](Self::rms_norm), with what its backward pass needs.
    fn rms_norm_forward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, Saved<Self>) {
        portable::rms_norm_forward::<Self>(input, weight, epsilon)
    }

    /// The backward pass of [`rms_norm`](Self::rms_norm); `others` as in [`layer_norm_backward`](Self::layer_norm_backward).
    fn rms_norm_backward(
        saved: Saved<Self>,
        weight: FloatTensor<Self>,
        wanted: Wanted,
        gradient: FloatTensor<Self>,
        others: Option<FloatTensor<Self>>,
    ) -> AffineGradients<Self> {
        portable::rms_norm_backward::<Self>(saved, weight, wanted, gradient, others)
    }

    /// Turns queries and keys in the joint projection by the angles of their positions, differentiable: the features `i` and
    /// `i + head_dim / 2` of a head are a pair. Values stay. With `-sin` for `sin` it is its own backward pass.
    ///
    /// # Shapes
    ///
    /// - qkv, output: as in [`attention`](Self::attention)
    /// - cos, sin: `[batch or 1, seq, head_dim / 2]`
    fn rotary(
        qkv: FloatTensor<Self>,
        heads: Heads,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::rotary::<Self>(qkv, heads, cos, sin)
    }

    /// `activation(gate) · expanded`, element by element, differentiable.
    fn gate(
        gate: FloatTensor<Self>,
        expanded: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        portable::gate::<Self>(gate, expanded, activation)
    }

    /// The backward pass of [`gate`](Self::gate): the gradients of `gate` and of `expanded`.
    fn gate_backward(
        gate: FloatTensor<Self>,
        expanded: FloatTensor<Self>,
        activation: Activation,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        portable::gate_backward::<Self>(gate, expanded, activation, gradient)
    }

    /// `w_0 x_0 + w_1 x_1`, differentiable.
    ///
    /// # Shapes
    ///
    /// - inputs, output: all alike
    /// - weights: `[1]` each
    fn blend(inputs: [FloatTensor<Self>; 2], weights: [FloatTensor<Self>; 2]) -> FloatTensor<Self> {
        portable::blend::<Self>(inputs, weights)
    }

    /// The backward pass of [`blend`](Self::blend): the gradients of both inputs, and of both weights.
    fn blend_backward(
        inputs: [FloatTensor<Self>; 2],
        weights: [FloatTensor<Self>; 2],
        gradient: FloatTensor<Self>,
    ) -> [[FloatTensor<Self>; 2]; 2] {
        portable::blend_backward::<Self>(inputs, weights, gradient)
    }

    /// `activation(input · weight + bias)`, differentiable.
    ///
    /// # Shapes
    ///
    /// - input: `[.., d_in]`
    /// - weight: `[d_in, d_out]`
    /// - bias: `[d_out]`
    /// - output: `[.., d_out]`
    fn linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        Self::linear_forward(input, weight, bias, activation).0
    }

    /// The forward pass of [`linear`](Self::linear), with what its backward pass needs.
    fn linear_forward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Option<Activation>,
    ) -> (FloatTensor<Self>, Saved<Self>) {
        portable::linear_forward::<Self>(input, weight, bias, activation)
    }

    /// The backward pass of [`linear`](Self::linear).
    fn linear_backward(
        saved: Saved<Self>,
        weight: FloatTensor<Self>,
        wanted: Wanted,
        activation: Option<Activation>,
        gradient: FloatTensor<Self>,
    ) -> AffineGradients<Self> {
        portable::linear_backward::<Self>(saved, weight, wanted, activation, gradient)
    }

    /// Causal self-attention of all heads on the joint projection, differentiable; `dropout` is the probability of dropping an
    /// attention weight.
    ///
    /// Queries, keys and values come in one tensor because one linear map makes them: apart, the gradients of the three would
    /// have to be copied together for that map's backward pass.
    ///
    /// # Shapes
    ///
    /// - qkv: `[batch, seq, (n_heads + 2 * n_kv_heads) * head_dim]`, queries, keys, values; heads side by side in each
    /// - output: `[batch, seq, n_heads * head_dim]`
    fn attention(qkv: FloatTensor<Self>, heads: Heads, scale: f64, dropout: f64) -> FloatTensor<Self> {
        Self::attention_forward(qkv, heads, scale, dropout).0
    }

    /// [`attention`](Self::attention) within each of several sequences that lie one behind the other in one row, differentiable.
    ///
    /// # Shapes
    ///
    /// - qkv: `[1, Σ lengths, (n_heads + 2 * n_kv_heads) * head_dim]`
    /// - output: `[1, Σ lengths, n_heads * head_dim]`
    fn segment_attention(
        qkv: FloatTensor<Self>,
        heads: Heads,
        scale: f64,
        dropout: f64,
        lengths: &[usize],
    ) -> FloatTensor<Self> {
        portable::segment_attention_forward::<Self>(qkv, heads, scale, dropout, lengths).0
    }

    /// The forward pass of [`attention`](Self::attention), with what its backward pass needs.
    fn attention_forward(
        qkv: FloatTensor<Self>,
        heads: Heads,
        scale: f64,
        dropout: f64,
    ) -> (FloatTensor<Self>, Saved<Self>) {
        portable::attention_forward::<Self>(qkv, heads, scale, dropout)
    }

    /// The backward pass of [`attention`](Self::attention): the gradient of `qkv`.
    fn attention_backward(
        saved: Saved<Self>,
        heads: Heads,
        scale: f64,
        dropout: f64,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::attention_backward::<Self>(saved, heads, scale, dropout, gradient)
    }

    /// Attention of new positions to all positions of their sequence up to and including themselves, for
    /// generation. The sequences have caches of their own, which may be filled to different lengths.
    ///
    /// # Shapes
    ///
    /// - query: `[batch, n_heads, new, head_dim]`, the last `new` positions of each sequence
    /// - caches: one for each sequence, with the new positions already in it
    /// - output: `[batch, n_heads, new, head_dim]`
    fn cached_attention(
        query: FloatTensor<Self>,
        caches: Vec<CachedSequence<Self>>,
        scale: f64,
    ) -> FloatTensor<Self> {
        portable::cached_attention::<Self>(query, caches, scale)
    }

    /// Language-model head, differentiable: `hidden · weightᵀ`, or with a softcap `c · tanh(hidden · weightᵀ / c)`.
    ///
    /// # Shapes
    ///
    /// - hidden: `[.., d_model]`
    /// - weight: `[vocab, d_model]`
    /// - output: logits, `[.., vocab]`
    fn head(hidden: FloatTensor<Self>, weight: FloatTensor<Self>, softcap: Option<f64>) -> FloatTensor<Self> {
        portable::head::<Self>(hidden, weight, softcap)
    }

    /// [`head`](Self::head) and loss in one, differentiable: the mean of `-ln softmax(logits)[target]` over the targets
    /// that count. Logits exist for a few positions at a time only.
    ///
    /// A negative target is ignored: it adds nothing to the loss, its position has no gradient, and the mean is over the
    /// others. If all are ignored, the loss is 0 and so is every gradient.
    ///
    /// # Shapes
    ///
    /// - hidden, weight: as in [`head`](Self::head)
    /// - targets: as many as there are hidden vectors
    /// - output: `[1]`
    fn head_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> FloatTensor<Self> {
        portable::head_cross_entropy::<Self>(hidden, weight, targets, softcap)
    }

    /// [`head_cross_entropy`](Self::head_cross_entropy) with those of its gradients that are `wanted`, made while each chunk of
    /// logits is at hand.
    fn head_cross_entropy_with_gradients(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
        wanted: Wanted,
    ) -> HeadGradients<Self> {
        portable::head_cross_entropy_with_gradients::<Self>(hidden, weight, targets, softcap, wanted)
    }

    /// The matrix of a linear map as inference reads it fastest; `None` if this backend lacks the precision.
    fn pack(
        weight: FloatTensor<Self>,
        channels: Channels,
        precision: Precision,
    ) -> Option<PackedWeight<Self>> {
        portable::pack::<Self>(weight, channels, precision)
    }

    /// [`embedding`](Self::embedding) from a [packed](Self::pack) table.
    fn packed_embedding(weight: PackedWeight<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        <Self as Backend>::embedding(portable::unpack::<Self>(weight), ids)
    }

    /// [`linear`](Self::linear) with a [packed](Self::pack) weight.
    fn packed_linear(
        input: FloatTensor<Self>,
        weight: PackedWeight<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        <Self as Backend>::linear(input, portable::unpack::<Self>(weight), bias, activation)
    }

    /// [`head`](Self::head) with a [packed](Self::pack) weight.
    fn packed_head(
        hidden: FloatTensor<Self>,
        weight: PackedWeight<Self>,
        softcap: Option<f64>,
    ) -> FloatTensor<Self> {
        Self::head(hidden, portable::unpack::<Self>(weight), softcap)
    }

    /// [`head_cross_entropy`](Self::head_cross_entropy) with a [packed](Self::pack) weight.
    fn packed_head_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: PackedWeight<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> FloatTensor<Self> {
        Self::head_cross_entropy(hidden, portable::unpack::<Self>(weight), targets, softcap)
    }

    /// `tensor · factor`, in the type of the tensor, for a factor of shape `[1]`.
    fn scaled(tensor: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::scaled::<Self>(tensor, factor)
    }

    /// `Σ x²`, `[1]`: what clipping by the global norm adds up.
    fn sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::sum_of_squares::<Self>(tensor)
    }

    /// One AdamW update of tensors of one shape; returns the new parameter, first and second moment.
    fn adamw_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first_moment: FloatTensor<Self>,
        second_moment: FloatTensor<Self>,
        step: AdamWStep,
    ) -> [FloatTensor<Self>; 3] {
        portable::adamw_step::<Self>(parameter, gradient, first_moment, second_moment, step)
    }

    /// One Muon update of matrices `[d_in, d_out]`; returns the new parameter and momentum.
    fn muon_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        momentum: FloatTensor<Self>,
        step: MuonStep<'_>,
    ) -> [FloatTensor<Self>; 2] {
        portable::muon_step::<Self>(parameter, gradient, momentum, step)
    }
}
