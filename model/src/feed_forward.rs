//! Position-wise feed-forward network: what a block does with each position on its own.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::linear::Initializer;
use crate::{Activation, Backend, FeedForwardKind, GptConfig, Linear, Site, Tap, Watch, backend};

/// `y = activation(x W_fc + b_fc) W_proj + b_proj`, with a hidden layer wider than the residual stream; where there is a gate,
/// `y = (activation(x W_gate + b_gate) · (x W_fc + b_fc)) W_proj + b_proj`.
#[derive(Module, Debug)]
pub struct FeedForward<B: Backend> {
    /// `d_model → d_ff`
    pub c_fc: Linear<B>,
    /// `d_model → d_ff`: how much of each hidden feature passes.
    pub c_gate: Option<Linear<B>>,
    /// `d_ff → d_model`, back onto the residual stream.
    pub c_proj: Linear<B>,
    dropout: f64,
    #[module(skip)]
    activation: Activation,
}

impl<B: Backend> FeedForward<B> {
    pub(crate) fn new(config: &GptConfig, initializer: &mut Initializer, device: &B::Device) -> Self {
        let (d_model, d_ff, bias) = (config.d_model, config.d_ff, config.bias.feed_forward);
        let residual_scale = config.residual_init_scale();
        let gated = config.feed_forward == FeedForwardKind::Gated;
        let mut expanding = || Linear::new([d_model, d_ff], bias, 1.0, initializer, device);
        Self {
            c_fc: expanding(),
            c_gate: gated.then(expanding),
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
            self.formula(input, layer, tap)
        } else if let Some(c_gate) = &self.c_gate {
            let (gate, expanded) = (c_gate.forward(input.clone()), self.c_fc.forward(input));
            backend::gate(gate, expanded, self.activation)
        } else {
            self.c_fc.forward_activated(input, self.activation)
        }; // [batch, seq, d_ff]
        let contracted = self.c_proj.forward(hidden); // [batch, seq, d_model]
        backend::dropout(contracted, self.dropout)
    }

    /// The hidden layer, step by step: `[batch, seq, d_model] → [batch, seq, d_ff]`.
    fn formula(&self, input: Tensor<B, 3>, layer: usize, tap: &mut impl Tap<B>) -> Tensor<B, 3> {
        let Some(c_gate) = &self.c_gate else {
            let expanded = tap.at(Site::MlpPre(layer), self.c_fc.forward(input)); // [batch, seq, d_ff]
            return tap.at(Site::MlpPost(layer), self.activation.apply(expanded)); // [batch, seq, d_ff]
        };
        let gate = tap.at(Site::MlpPre(layer), c_gate.forward(input.clone())); // [batch, seq, d_ff]
        let expanded = tap.at(Site::MlpPreLinear(layer), self.c_fc.forward(input)); // [batch, seq, d_ff]
        tap.at(Site::MlpPost(layer), self.activation.apply(gate) * expanded) // [batch, seq, d_ff]
    }
}
