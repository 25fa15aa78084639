//! The nonlinearities and their derivatives.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;

use crate::Activation;

/// Weight of the cubic term in GELU's tanh form.
const CUBIC: f64 = 0.044715;

/// `activation(x)`, element by element.
pub(super) fn activate<B: Backend>(x: Tensor<B, 2>, activation: Activation) -> Tensor<B, 2> {
    match activation {
        Activation::GeluTanh => x.clone() * (tanh_argument(x).tanh() + 1.0) * 0.5,
        Activation::Gelu => x.clone() * normal_cdf(x),
        Activation::Relu => relu(x),
        Activation::Silu => x.clone() * sigmoid(x),
    }
}

/// `d activation(x) / dx`, element by element.
pub(super) fn derivative<B: Backend>(x: Tensor<B, 2>, activation: Activation) -> Tensor<B, 2> {
    match activation {
        // With t = tanh(u): (1 + t) / 2 + x (1 - t²) u' / 2.
        Activation::GeluTanh => {
            let tanh = tanh_argument(x.clone()).tanh();
            let slope = (x.clone().square() * (3.0 * CUBIC) + 1.0) * (2.0 / PI).sqrt();
            let sech2 = tanh.clone().square().neg() + 1.0;
            (x * slope * sech2 + tanh + 1.0) * 0.5
        }
        // Φ(x) + x φ(x).
        Activation::Gelu => {
            let density = (x.clone().square() * -0.5).exp() * (0.5 / PI).sqrt();
            normal_cdf(x.clone()) + x * density
        }
        Activation::Relu => x.greater_elem(0.0).float(),
        // σ (1 + x (1 - σ)).
        Activation::Silu => {
            let sigmoid = sigmoid(x.clone());
            (x * (sigmoid.clone().neg() + 1.0) + 1.0) * sigmoid
        }
    }
}

/// `σ(x) = (1 + tanh(x / 2)) / 2`, which cannot overflow.
fn sigmoid<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    ((x * 0.5).tanh() + 1.0) * 0.5
}

/// `√(2/π) (x + 0.044715 x³)`.
fn tanh_argument<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let slope = (2.0 / PI).sqrt();
    (x.clone().square() * (slope * CUBIC) + slope) * x
}

/// Φ, the distribution function of the standard normal.
fn normal_cdf<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    ((x * FRAC_1_SQRT_2).erf() + 1.0) * 0.5
}
