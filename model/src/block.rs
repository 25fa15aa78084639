//! One transformer block: attention, then the feed-forward network, each added to the residual stream.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::kv_cache::LayerCache;
use crate::linear::Initializer;
use crate::{Attention, Backend, FeedForward, GptConfig, LayerNorm};

/// `x + attn(ln_1(x))`, then `x + mlp(ln_2(x))`: the norms come first ("pre-norm"), so the residual stream itself
/// is never rescaled and gradients reach the first block unhindered.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// Normalises what attention reads.
    pub ln_1: LayerNorm<B>,
    /// Moves information between positions.
    pub attn: Attention<B>,
    /// Normalises what the feed-forward network reads.
    pub ln_2: LayerNorm<B>,
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
        let layer_norm = || LayerNorm::new(config.d_model, config.bias, config.layer_norm_epsilon, device);
        Self {
            ln_1: layer_norm(),
            attn: Attention::new(config, layer, initializer, device),
            ln_2: layer_norm(),
            mlp: FeedForward::new(config, initializer, device),
        }
    }

    /// # Shapes
    ///
    /// - input: `[batch, seq, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(&self, input: Tensor<B, 3>) -> Tensor<B, 3> {
        let attended = self.attn.forward(self.ln_1.forward(input.clone()));
        let residual = input + attended;
        let transformed = self.mlp.forward(self.ln_2.forward(residual.clone()));
        residual + transformed
    }

    /// [`forward`](Self::forward) for the positions that follow those in the cache.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, new, d_model]`
    /// - output: `[batch, new, d_model]`
    pub fn forward_cached(&self, input: Tensor<B, 3>, cache: &mut LayerCache<B>) -> Tensor<B, 3> {
        let attended = self.attn.forward_cached(self.ln_1.forward(input.clone()), cache);
        let residual = input + attended;
        let transformed = self.mlp.forward(self.ln_2.forward(residual.clone()));
        residual + transformed
    }
}
