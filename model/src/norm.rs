//! Layer normalisation: each position's vector is brought to mean 0 and variance 1, then rescaled.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::{Backend, NormSite, Site, Tap, Watch, backend};

/// `y = (x - mean(x)) / √(var(x) + ε) · weight + bias` over the features of each position
/// (<https://arxiv.org/abs/1607.06450>); the variance is the biased one.
#[derive(Module, Debug)]
pub struct LayerNorm<B: Backend> {
    /// `[d_model]`, starts at one.
    pub weight: Param<Tensor<B, 1>>,
    /// `[d_model]`, starts at zero.
    pub bias: Option<Param<Tensor<B, 1>>>,
    epsilon: f64,
}

impl<B: Backend> LayerNorm<B> {
    pub(crate) fn new(d_model: usize, bias: bool, epsilon: f64, device: &B::Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([d_model], device)),
            bias: bias.then(|| Param::from_tensor(Tensor::zeros([d_model], device))),
            epsilon,
        }
    }

    /// `site` says which norm this is to the tap.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(&self, input: Tensor<B, 3>, site: NormSite, tap: &mut impl Tap<B>) -> Tensor<B, 3> {
        if tap.watches() == Watch::Everything {
            return self.formula(input, site, tap);
        }
        backend::layer_norm(input, self.weight.val(), self.bias.as_ref().map(Param::val), self.epsilon)
    }

    /// Step by step what [`forward`](Self::forward) computes in one operation.
    fn formula(&self, input: Tensor<B, 3>, site: NormSite, tap: &mut impl Tap<B>) -> Tensor<B, 3> {
        let mean = input.clone().mean_dim(2); // [batch, seq, 1]
        let centred = input - mean; // [batch, seq, d_model]
        let variance = centred.clone().square().mean_dim(2); // [batch, seq, 1]
        let scale = tap.at(Site::NormScale(site), (variance + self.epsilon).sqrt()); // [batch, seq, 1]
        let normalized = tap.at(Site::Normalized(site), backend::divide(centred, scale)); // [batch, seq, d_model]
        let output = normalized * self.weight.val().unsqueeze(); // [batch, seq, d_model]
        match &self.bias {
            Some(bias) => output + bias.val().unsqueeze(),
            None => output,
        }
    }
}
