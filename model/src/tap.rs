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

use burn::tensor::Tensor;

use crate::{Backend, Site};

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
