//! The operations in which a GPT spends its time, and who implements them.
//!
//! [`Backend`] adds a handful of operations to Burn's backend trait. Each has a portable default composed of Burn's
//! tensor operations, so any Burn backend becomes one of ours with an empty `impl`. A backend that can do better
//! overrides the `…_forward` and `…_backward` methods; [`burn_autodiff::Autodiff`] overrides the differentiable
//! entry points and records our backward passes instead of tracing through the forward ones.

mod autodiff;
mod devices;
#[cfg(feature = "host")]
#[cfg_attr(
    not(any(feature = "ndarray", feature = "flex")),
    allow(dead_code, unused_imports, reason = "libtorch borrows just a few of the kernels")
)]
mod host;
#[cfg(feature = "tch")]
mod libtorch;
mod ops;
mod portable;

use burn::tensor::TensorPrimitive;
use burn::tensor::backend::AutodiffBackend as BurnAutodiffBackend;
use burn::tensor::ops::{FloatTensor, IntTensor, ModuleOps};

use crate::Activation;
use crate::precision::{Channels, Precision};

pub(crate) use ops::{
    cached_attention, causal_attention, dropout, embedding, for_inference, head, head_cross_entropy,
    is_narrow, layer_norm, linear,
};
pub(crate) use portable::matmul;

/// What a forward pass keeps for its backward pass; only the backend that made it knows what it means.
pub type Saved<B> = Vec<FloatTensor<B>>;

/// Gradients of [`Backend::layer_norm`].
pub struct LayerNormGradients<B: Backend> {
    /// `[.., d_model]`
    pub input: FloatTensor<B>,
    /// `[d_model]`
    pub weight: FloatTensor<B>,
    /// `[d_model]`
    pub bias: Option<FloatTensor<B>>,
}

/// Gradients of [`Backend::linear`].
pub struct LinearGradients<B: Backend> {
    /// `[.., d_in]`
    pub input: FloatTensor<B>,
    /// `[d_in, d_out]`
    pub weight: FloatTensor<B>,
    /// `[d_out]`
    pub bias: Option<FloatTensor<B>>,
}

/// Loss and gradients of [`Backend::head_cross_entropy`].
pub struct HeadGradients<B: Backend> {
    /// Mean loss over the targets that count, in nats, `[1]`.
    pub loss: FloatTensor<B>,
    /// `[.., d_model]`
    pub hidden: FloatTensor<B>,
    /// `[vocab, d_model]`
    pub weight: FloatTensor<B>,
}

/// The numbers of one AdamW update (<https://arxiv.org/abs/1711.05101>).
#[derive(Clone, Copy, Debug)]
pub struct AdamWStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay; 0 for parameters that are not to decay.
    pub weight_decay: f64,
    /// Number of this update, counted from 1: corrects the bias of moments that start at zero.
    pub step: usize,
}

/// A Burn backend with the operations of a GPT.
///
/// # Example
///
/// A backend of your own needs one line; overrides are optional:
///
/// ```ignore
/// impl kiln_model::Backend for MyBurnBackend {}
/// ```
pub trait Backend: burn::tensor::backend::Backend {
    /// The rows of a table that ids name, differentiable.
    ///
    /// # Shapes
    ///
    /// - weight: `[rows, d_model]`
    /// - ids: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    fn embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::embedding(weight, ids)
    }

    /// The backward pass of [`embedding`](Self::embedding): the gradients of each row's uses, added up.
    fn embedding_backward(
        weight: FloatTensor<Self>,
        ids: IntTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::embedding_backward(weight, gradient, ids)
    }

    /// Zeroes elements with the given probability and scales the others by `1 / (1 - probability)`, differentiable.
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

    /// The backward pass of [`layer_norm`](Self::layer_norm).
    fn layer_norm_backward(
        saved: Saved<Self>,
        weight: FloatTensor<Self>,
        has_bias: bool,
        gradient: FloatTensor<Self>,
    ) -> LayerNormGradients<Self> {
        portable::layer_norm_backward::<Self>(saved, weight, has_bias, gradient)
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
        has_bias: bool,
        activation: Option<Activation>,
        gradient: FloatTensor<Self>,
    ) -> LinearGradients<Self> {
        portable::linear_backward::<Self>(saved, weight, has_bias, activation, gradient)
    }

    /// Causal self-attention of all heads on the joint projection, differentiable; `dropout` is the probability of
    /// dropping an attention weight.
    ///
    /// # Shapes
    ///
    /// - qkv: `[batch, seq, 3 * d_model]`, queries, keys, values; heads side by side in each
    /// - output: `[batch, seq, d_model]`
    fn causal_attention(
        qkv: FloatTensor<Self>,
        n_heads: usize,
        scale: f64,
        dropout: f64,
    ) -> FloatTensor<Self> {
        Self::causal_attention_forward(qkv, n_heads, scale, dropout).0
    }

    /// The forward pass of [`causal_attention`](Self::causal_attention), with what its backward pass needs.
    fn causal_attention_forward(
        qkv: FloatTensor<Self>,
        n_heads: usize,
        scale: f64,
        dropout: f64,
    ) -> (FloatTensor<Self>, Saved<Self>) {
        portable::causal_attention_forward::<Self>(qkv, n_heads, scale, dropout)
    }

    /// The backward pass of [`causal_attention`](Self::causal_attention): the gradient of `qkv`.
    fn causal_attention_backward(
        saved: Saved<Self>,
        n_heads: usize,
        scale: f64,
        dropout: f64,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::causal_attention_backward::<Self>(saved, n_heads, scale, dropout, gradient)
    }

    /// Attention of new positions to all positions up to and including themselves, for generation.
    ///
    /// # Shapes
    ///
    /// - query: `[batch, n_heads, new, head_dim]`, the last `new` positions
    /// - keys, values: `[batch, n_heads, capacity, head_dim]`, of whose positions the first `filled` count
    /// - output: `[batch, n_heads, new, head_dim]`
    fn cached_attention(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        filled: usize,
        scale: f64,
    ) -> FloatTensor<Self> {
        portable::cached_attention::<Self>(query, keys, values, filled, scale)
    }

    /// Language-model head, differentiable: `hidden · weightᵀ`.
    ///
    /// # Shapes
    ///
    /// - hidden: `[.., d_model]`
    /// - weight: `[vocab, d_model]`
    /// - output: logits, `[.., vocab]`
    fn head(hidden: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::head::<Self>(hidden, weight)
    }

    /// Language-model head and loss in one, differentiable: the mean of `-ln softmax(hidden · weightᵀ)[target]` over
    /// the targets that count. Logits exist for a few positions at a time only.
    ///
    /// A negative target is ignored: it adds nothing to the loss, its position has no gradient, and the mean is over
    /// the others. If all are ignored, the loss is 0 and so is every gradient.
    ///
    /// # Shapes
    ///
    /// - hidden: `[.., d_model]`
    /// - weight: `[vocab, d_model]`
    /// - targets: as many as there are hidden vectors
    /// - output: `[1]`
    fn head_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::head_cross_entropy::<Self>(hidden, weight, targets)
    }

    /// [`head_cross_entropy`](Self::head_cross_entropy) with its gradients, made in the same pass while each chunk
    /// of logits is at hand.
    fn head_cross_entropy_with_gradients(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> HeadGradients<Self> {
        portable::head_cross_entropy_with_gradients::<Self>(hidden, weight, targets)
    }

    /// The matrix of a linear map as inference reads it fastest; `None` where this backend cannot hold it so. In fewer
    /// bits than f32 only the `narrow_…` operations read it.
    fn for_inference(
        weight: FloatTensor<Self>,
        channels: Channels,
        precision: Precision,
    ) -> Option<TensorPrimitive<Self>> {
        portable::for_inference::<Self>(weight, channels, precision)
    }

    /// [`embedding`](Self::embedding) from a [narrow](Self::for_inference) table.
    fn narrow_embedding(weight: TensorPrimitive<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        <Self as Backend>::embedding(portable::widen::<Self>(weight), ids)
    }

    /// [`linear`](Self::linear) with a [narrow](Self::for_inference) weight.
    fn narrow_linear(
        input: FloatTensor<Self>,
        weight: TensorPrimitive<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        <Self as Backend>::linear(input, portable::widen::<Self>(weight), bias, activation)
    }

    /// [`head`](Self::head) with a [narrow](Self::for_inference) weight.
    fn narrow_head(hidden: FloatTensor<Self>, weight: TensorPrimitive<Self>) -> FloatTensor<Self> {
        Self::head(hidden, portable::widen::<Self>(weight))
    }

    /// [`head_cross_entropy`](Self::head_cross_entropy) with a [narrow](Self::for_inference) weight.
    fn narrow_head_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: TensorPrimitive<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::head_cross_entropy(hidden, portable::widen::<Self>(weight), targets)
    }

    /// `Σ x²`, `[1]`: what clipping by the global norm adds up.
    fn sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::sum_of_squares::<Self>(tensor)
    }

    /// One AdamW update; returns the new parameter, first and second moment.
    ///
    /// # Shapes
    ///
    /// - parameter, gradient, moments: all alike
    fn adamw_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first_moment: FloatTensor<Self>,
        second_moment: FloatTensor<Self>,
        step: AdamWStep,
    ) -> [FloatTensor<Self>; 3] {
        portable::adamw_step::<Self>(parameter, gradient, first_moment, second_moment, step)
    }
}

/// A [`Backend`] that can differentiate, over an inner one that cannot: what training needs.
pub trait AutodiffBackend: Backend + BurnAutodiffBackend<InnerBackend: Backend> {}

impl<B> AutodiffBackend for B where B: Backend + BurnAutodiffBackend<InnerBackend: Backend> {}
