//! Position-wise feed-forward network: what a block does with each position on its own.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::linear::Initializer;
use crate::{Activation, Backend, GptConfig, Linear, Site, Tap, Watch, backend};

/// `y = activation(x W_fc + b_fc) W_proj + b_proj`, with a hidden layer wider than the residual stream.
#[derive(Module, Debug)]
pub struct FeedForward<B: Backend> {
    /// `d_model → d_ff`
    pub c_fc: Linear<B>,
    /// `d_ff → d_model`, back onto the residual stream.
    pub c_proj: Linear<B>,
    dropout: f64,
    #[module(skip)]
    activation: Activation,
}

impl<B: Backend> FeedForward<B> {
    pub(crate) fn new(config: &GptConfig, initializer: &mut Initializer, device: &B::Device) -> Self {
        let GptConfig { d_model, d_ff, bias, .. } = *config;
        let residual_scale = (2.0 * config.n_layers as f64).powf(-0.5);
        Self {
            c_fc: Linear::new([d_model, d_ff], bias, 1.0, initializer, device),
            c_proj: Linear::new([d_ff, d_model], bias, residual_scale, initializer, device),
            dropout: config.dropout,
            activation: config.activation,
        }
    }

    pub(crate) fn set_dropout(&mut self, dropout: f64) {
        self.dropout = dropout;
    }

    /// `layer` says which block this is to the tap.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(&self, input: Tensor<B, 3>, layer: usize, tap: &mut impl Tap<B>) -> Tensor<B, 3> {
        let hidden = if tap.watches() == Watch::Everything {
            let expanded = tap.at(Site::MlpPre(layer), self.c_fc.forward(input)); // [batch, seq, d_ff]
            tap.at(Site::MlpPost(layer), self.activation.apply(expanded)) // [batch, seq, d_ff]
        } else {
            self.c_fc.forward_activated(input, self.activation) // [batch, seq, d_ff], both in one operation
        };
        let contracted = self.c_proj.forward(hidden); // [batch, seq, d_model]
        backend::dropout(contracted, self.dropout)
    }
}
