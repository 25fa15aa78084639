//! One transformer block: attention, then the feed-forward network, each added to the residual stream.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::kv_cache::LayerCache;
use crate::linear::Initializer;
use crate::{Attention, Backend, FeedForward, GptConfig, Norm, NormSite, Place, Site, Tap};

/// `x + attn(ln_1(x))`, then `x + mlp(ln_2(x))`: the norms come first ("pre-norm"), so the residual stream itself
/// is never rescaled and gradients reach the first block unhindered.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// Normalises what attention reads.
    pub ln_1: Norm<B>,
    /// Moves information between positions.
    pub attn: Attention<B>,
    /// Normalises what the feed-forward network reads.
    pub ln_2: Norm<B>,
    /// Transforms each position.
    pub mlp: FeedForward<B>,
}

impl<B: Backend> Block<B> {
    /// Block number `layer`, counted from zero.
    pub(crate) fn new(
        config: &GptConfig,
        layer: usize,
        initializer: &mut Initializer,
        device: &B::Device,
    ) -> Self {
        Self {
            ln_1: Norm::new(config, device),
            attn: Attention::new(config, layer, initializer, device),
            ln_2: Norm::new(config, device),
            mlp: FeedForward::new(config, initializer, device),
        }
    }

    /// `layer` says which block this is to the tap; with a cache, `input` holds the positions that follow the cached ones.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(
        &self,
        input: Tensor<B, 3>,
        layer: usize,
        place: &Place<B>,
        cache: Option<&mut LayerCache<B>>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let input = tap.at(Site::ResidPre(layer), input); // [batch, seq, d_model], as is everything here
        let normalised = self.ln_1.forward(input.clone(), NormSite::Ln1(layer), tap);
        let attended = self.attn.forward(normalised, layer, place, cache, tap);
        let attended = tap.at(Site::AttnOut(layer), attended);
        let residual = tap.at(Site::ResidMid(layer), input + attended);
        let normalised = self.ln_2.forward(residual.clone(), NormSite::Ln2(layer), tap);
        let transformed = self.mlp.forward(normalised, layer, tap);
        let transformed = tap.at(Site::MlpOut(layer), transformed);
        tap.at(Site::ResidPost(layer), residual + transformed)
    }
}
