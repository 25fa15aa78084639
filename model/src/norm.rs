//! Norms: each position's vector is brought to one size, then rescaled.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::{Backend, GptConfig, NormKind, NormSite, Site, Tap, Watch, backend};

/// Over the features of each position, [one of](NormKind)
///
/// - layer norm, `y = (x - mean(x)) / √(var(x) + ε) · weight + bias` (<https://arxiv.org/abs/1607.06450>); the variance is the
///   biased one;
/// - RMS norm, `y = x / √(mean(x²) + ε) · weight` (<https://arxiv.org/abs/1910.07467>).
#[derive(Module, Debug)]
pub struct Norm<B: Backend> {
    /// `[features]`, starts at one.
    pub weight: Param<Tensor<B, 1>>,
    /// `[features]`, starts at zero; an RMS norm has none.
    pub bias: Option<Param<Tensor<B, 1>>>,
    epsilon: f64,
    #[module(skip)]
    kind: NormKind,
}

impl<B: Backend> Norm<B> {
    /// A norm of the residual stream.
    pub(crate) fn new(config: &GptConfig, device: &B::Device) -> Self {
        let bias = config.norm_bias().then(|| Param::from_tensor(Tensor::zeros([config.d_model], device)));
        Self { bias, kind: config.norm, ..Self::rms(config.d_model, config.norm_epsilon, device) }
    }

    /// An RMS norm of so many features.
    pub(crate) fn rms(features: usize, epsilon: f64, device: &B::Device) -> Self {
        let weight = Param::from_tensor(Tensor::ones([features], device));
        Self { weight, bias: None, epsilon, kind: NormKind::RmsNorm }
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
        self.fused(input)
    }

    /// The whole norm as one operation: `[.., features] → [.., features]`.
    pub(crate) fn fused<const D: usize>(&self, input: Tensor<B, D>) -> Tensor<B, D> {
        let weight = self.weight.val();
        match self.kind {
            NormKind::LayerNorm => {
                backend::layer_norm(input, weight, self.bias.as_ref().map(Param::val), self.epsilon)
            }
            NormKind::RmsNorm => backend::rms_norm(input, weight, self.epsilon),
        }
    }

    /// Step by step what [`forward`](Self::forward) computes in one operation.
    pub(crate) fn formula<const D: usize>(
        &self,
        input: Tensor<B, D>,
        site: NormSite,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, D> {
        let centred = match self.kind {
            NormKind::LayerNorm => input.clone() - input.mean_dim(D - 1), // [batch, seq, d_model]
            NormKind::RmsNorm => input,
        };
        let output = scaled(centred, self.epsilon, site, tap) * self.weight.val().unsqueeze(); // [batch, seq, d_model]
        match &self.bias {
            Some(bias) => output + bias.val().unsqueeze(),
            None => output,
        }
    }
}

/// `x / √(mean(x²) + ε)`: an RMS norm without a weight.
///
/// # Shapes
///
/// - input, output: `[batch, seq, features]`
pub(crate) fn unweighted_rms_norm<B: Backend>(
    input: Tensor<B, 3>,
    epsilon: f64,
    site: NormSite,
    tap: &mut impl Tap<B>,
) -> Tensor<B, 3> {
    if tap.watches() == Watch::Everything {
        return scaled(input, epsilon, site, tap);
    }
    let [_, _, features] = input.dims();
    let ones = Tensor::ones([features], (&input.device(), input.dtype()));
    backend::rms_norm(input, ones, epsilon)
}

/// Each vector divided by the root of its mean square, step by step.
fn scaled<B: Backend, const D: usize>(
    centred: Tensor<B, D>,
    epsilon: f64,
    site: NormSite,
    tap: &mut impl Tap<B>,
) -> Tensor<B, D> {
    let variance = centred.clone().square().mean_dim(D - 1); // [batch, seq, 1]
    let scale = tap.at(Site::NormScale(site), (variance + epsilon).sqrt()); // [batch, seq, 1]
    tap.at(Site::Normalized(site), backend::divide(centred, scale)) // [batch, seq, d_model]
}
