//! The nonlinearity of the feed-forward network.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

/// Nonlinearity of the feed-forward network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// `0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, GPT-2's form of GELU.
    #[default]
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluTanh,
    /// `x Φ(x)`, the exact GELU (<https://arxiv.org/abs/1606.08415>).
    #[serde(rename = "gelu")]
    Gelu,
    /// `max(x, 0)`.
    #[serde(rename = "relu")]
    Relu,
    /// `max(x, 0)²` (<https://arxiv.org/abs/2109.08668>).
    #[serde(rename = "relu2")]
    Relu2,
    /// `x σ(x)`, also called swish.
    #[serde(rename = "silu", alias = "swish")]
    Silu,
}

/// Weight of the cubic term in GELU's tanh form.
const CUBIC: f64 = 0.044715;

impl Activation {
    /// `activation(x)`, element by element.
    pub fn apply<B: Backend, const D: usize>(self, x: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::GeluTanh => x.clone() * (tanh_argument(x).tanh() + 1.0) * 0.5,
            Self::Gelu => x.clone() * normal_cdf(x),
            Self::Relu => relu(x),
            Self::Relu2 => relu(x).square(),
            Self::Silu => x.clone() * sigmoid(x),
        }
    }

    /// `d activation(x) / dx`, element by element.
    pub fn derivative<B: Backend, const D: usize>(self, x: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            // With t = tanh(u): (1 + t) / 2 + x (1 - t²) u' / 2.
            Self::GeluTanh => {
                let tanh = tanh_argument(x.clone()).tanh();
                let slope = (x.clone().square() * (3.0 * CUBIC) + 1.0) * (2.0 / PI).sqrt();
                let sech2 = tanh.clone().square().neg() + 1.0;
                (x * slope * sech2 + tanh + 1.0) * 0.5
            }
            // Φ(x) + x φ(x).
            Self::Gelu => {
                let density = (x.clone().square() * -0.5).exp() * (0.5 / PI).sqrt();
                normal_cdf(x.clone()) + x * density
            }
            Self::Relu => x.clone().greater_elem(0.0).float().cast(x.dtype()),
            Self::Relu2 => relu(x) * 2.0,
            // σ (1 + x (1 - σ)).
            Self::Silu => {
                let sigmoid = sigmoid(x.clone());
                (x * (sigmoid.clone().neg() + 1.0) + 1.0) * sigmoid
            }
        }
    }
}

/// `σ(x) = (1 + tanh(x / 2)) / 2`, which cannot overflow.
fn sigmoid<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    ((x * 0.5).tanh() + 1.0) * 0.5
}

/// `√(2/π) (x + 0.044715 x³)`.
fn tanh_argument<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    let slope = (2.0 / PI).sqrt();
    (x.clone().square() * (slope * CUBIC) + slope) * x
}

/// Φ, the distribution function of the standard normal.
fn normal_cdf<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    ((x * FRAC_1_SQRT_2).erf() + 1.0) * 0.5
}
