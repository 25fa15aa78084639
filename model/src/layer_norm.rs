//! Layer normalisation: each position's vector is brought to mean 0 and variance 1, then rescaled.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::{Backend, backend};

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

    /// # Shapes
    ///
    /// - input: `[batch, seq, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(&self, input: Tensor<B, 3>) -> Tensor<B, 3> {
        backend::layer_norm(input, self.weight.val(), self.bias.as_ref().map(Param::val), self.epsilon)
    }
}
