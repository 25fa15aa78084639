//! Taps: seeing, and changing, what passes through a model while it computes.
//!
//! Every forward pass takes a [`Tap`]. [`NoTap`] compiles to nothing. Others record activations, replace them with those of
//! another text, steer the residual stream, or collect vectors for a sparse autoencoder.
//!
//! Layers are fused: queries times keys, the mask and the softmax never exist as tensors of their own. A tap that watches
//! [everything](Watch::Everything) opens them: each layer then runs its formula, which stands in the layer's own file, and shows
//! every value on the way.
//!
//! ```
//! use burn::tensor::{Int, Tensor};
//! use kiln_model::{Backend, GptConfig, Site, Tap, Watch};
//!
//! /// Keeps what the first head of the first block attends to.
//! struct FirstHead<B: Backend>(Option<Tensor<B, 2>>);
//!
//! impl<B: Backend> Tap<B> for FirstHead<B> {
//!     fn watches(&self) -> Watch {
//!         Watch::Everything
//!     }
//!
//!     fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
//!         if site == Site::Pattern(0) {
//!             let [_, _, query, key] = value.dims()[..].try_into().expect("[batch, n_heads, query, key]");
//!             self.0 = Some(value.clone().slice([0..1, 0..1]).reshape([query, key]));
//!         }
//!         value
//!     }
//! }
//!
//! type B = burn_ndarray::NdArray;
//! let device = Default::default();
//! let config = GptConfig { vocab_size: 65, context_length: 32, ..GptConfig::new(2, 2, 16) };
//! let model = config.init::<B>(1337, &device)?;
//! let tokens = Tensor::<B, 2, Int>::from_ints([[1, 2, 3]], &device);
//! let mut tap = FirstHead(None);
//! model.forward_tapped(tokens, None, &mut tap);
//!
//! // The first position sees only itself.
//! let pattern = tap.0.expect("the pass went by").into_data().to_vec::<f32>().expect("f32");
//! assert_eq!(pattern[..3], [1.0, 0.0, 0.0]);
//! # Ok::<(), kiln_model::Error>(())
//! ```

use std::fmt;

use burn::tensor::Tensor;

use crate::Backend;

/// Sees the values of a forward pass, and may replace them.
pub trait Tap<B: Backend> {
    /// How much of the pass it wants to see.
    fn watches(&self) -> Watch;

    /// Takes the value at a site and gives what the pass goes on with: the same tensor, or another one of its shape.
    ///
    /// A clone of a tensor shares its memory, and later operations do not write into memory that is shared.
    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D>;
}

/// How much of a forward pass a [`Tap`] wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nothing: the fastest operations run.
    Nothing,
    /// The residual stream and what each layer adds to it. The layers themselves stay fused, and as fast.
    Stream,
    /// Every [`Site`]: the layers run their formulas.
    Everything,
}

/// Watches nothing and changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTap;

impl<B: Backend> Tap<B> for NoTap {
    #[inline(always)]
    fn watches(&self) -> Watch {
        Watch::Nothing
    }

    #[inline(always)]
    fn at<const D: usize>(&mut self, _site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        value
    }
}

/// A place in the forward pass. Blocks are counted from zero; [`Display`](fmt::Display) writes the name that
/// TransformerLens gives the place, `blocks.0.attn.hook_pattern`.
///
/// Those marked "everything" are only shown to a tap that [watches](Tap::watches) everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Site {
    /// Token embeddings, behind their norm where there is one, `[batch, seq, d_model]`.
    Embed,
    /// Position embeddings, `[batch, seq, d_model]`, or with one sequence for all of the batch.
    PosEmbed,
    /// The residual stream that enters a block, `[batch, seq, d_model]`.
    ResidPre(usize),
    /// Everything: queries, `[batch, n_heads, seq, head_dim]`.
    Query(usize),
    /// Everything: keys of the new positions, `[batch, n_kv_heads, seq, head_dim]`.
    Key(usize),
    /// Everything: values of the new positions, `[batch, n_kv_heads, seq, head_dim]`.
    Value(usize),
    /// Everything: scores, scaled and masked, `[batch, n_heads, query, key]`.
    AttnScores(usize),
    /// Everything: attention weights, `[batch, n_heads, query, key]`; each row sums to 1.
    Pattern(usize),
    /// Everything: the values as each head mixed them, `[batch, n_heads, seq, head_dim]`.
    Mixed(usize),
    /// What attention adds to the stream, `[batch, seq, d_model]`.
    AttnOut(usize),
    /// The residual stream between attention and feed-forward network, `[batch, seq, d_model]`.
    ResidMid(usize),
    /// Everything: the hidden layer before its activation, `[batch, seq, d_ff]`.
    MlpPre(usize),
    /// Everything: the features that a gate lets pass, before it does, `[batch, seq, d_ff]`; where there is a gate,
    /// [`MlpPre`](Self::MlpPre) is the gate before its activation.
    MlpPreLinear(usize),
    /// Everything: the hidden layer after its activation and its gate, `[batch, seq, d_ff]`.
    MlpPost(usize),
    /// What the feed-forward network adds to the stream, `[batch, seq, d_model]`.
    MlpOut(usize),
    /// The residual stream that leaves a block, `[batch, seq, d_model]`.
    ResidPost(usize),
    /// Everything: the standard deviation that a norm divides by, `[batch, seq, 1]`.
    NormScale(NormSite),
    /// Everything: what a norm makes of its input before its own scale and offset, `[batch, seq, d_model]`.
    Normalized(NormSite),
}

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormSite {
    /// That of each token's vector, where there is one.
    Embed,
    /// The one before attention.
    Ln1(usize),
    /// The one before the feed-forward network.
    Ln2(usize),
    /// That of each head's queries, where there is one: over `head_dim` features, `[batch, n_heads, seq, head_dim]`.
    Query(usize),
    /// That of each head's keys, where there is one: over `head_dim` features, `[batch, n_kv_heads, seq, head_dim]`.
    Key(usize),
    /// The one before the head.
    Final,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embed => write!(f, "hook_embed"),
            Self::PosEmbed => write!(f, "hook_pos_embed"),
            Self::ResidPre(layer) => write!(f, "blocks.{layer}.hook_resid_pre"),
            Self::Query(layer) => write!(f, "blocks.{layer}.attn.hook_q"),
            Self::Key(layer) => write!(f, "blocks.{layer}.attn.hook_k"),
            Self::Value(layer) => write!(f, "blocks.{layer}.attn.hook_v"),
            Self::AttnScores(layer) => write!(f, "blocks.{layer}.attn.hook_attn_scores"),
            Self::Pattern(layer) => write!(f, "blocks.{layer}.attn.hook_pattern"),
            Self::Mixed(layer) => write!(f, "blocks.{layer}.attn.hook_z"),
            Self::AttnOut(layer) => write!(f, "blocks.{layer}.hook_attn_out"),
            Self::ResidMid(layer) => write!(f, "blocks.{layer}.hook_resid_mid"),
            Self::MlpPre(layer) => write!(f, "blocks.{layer}.mlp.hook_pre"),
            Self::MlpPreLinear(layer) => write!(f, "blocks.{layer}.mlp.hook_pre_linear"),
            Self::MlpPost(layer) => write!(f, "blocks.{layer}.mlp.hook_post"),
            Self::MlpOut(layer) => write!(f, "blocks.{layer}.hook_mlp_out"),
            Self::ResidPost(layer) => write!(f, "blocks.{layer}.hook_resid_post"),
            Self::NormScale(norm) => write!(f, "{norm}.hook_scale"),
            Self::Normalized(norm) => write!(f, "{norm}.hook_normalized"),
        }
    }
}

impl fmt::Display for NormSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embed => write!(f, "embed.ln"),
            Self::Ln1(layer) => write!(f, "blocks.{layer}.ln1"),
            Self::Ln2(layer) => write!(f, "blocks.{layer}.ln2"),
            Self::Query(layer) => write!(f, "blocks.{layer}.attn.q_norm"),
            Self::Key(layer) => write!(f, "blocks.{layer}.attn.k_norm"),
            Self::Final => write!(f, "ln_final"),
        }
    }
}
