//! The nonlinearities of the feed-forward layer and their derivatives, on one vector.
//!
//! gelu_tanh(x) = x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))), gelu(x) = x/2·(1 + erf(x/√2)),
//! relu(x) = max(x, 0), relu2(x) = max(x, 0)², silu(x) = x/(1 + e⁻ˣ).

use super::math;
use super::simd::{Lanes, Simd};
use crate::Activation;

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// Evaluates an expression in which the variable `$kind` is a constant: a loop over vectors would choose the activation anew for
/// each, and take three times as long.
macro_rules! specialise {
    ($kind:ident => $expression:expr) => {
        specialise!($kind => $expression, GeluTanh, Gelu, Relu, Relu2, Silu)
    };
    ($kind:ident => $expression:expr, $($variant:ident),*) => {
        match $kind {
            $($crate::Activation::$variant => {
                let $kind = $crate::Activation::$variant;
                $expression
            })*
        }
    };
}
pub(crate) use specialise;

/// `activation(x)`.
#[inline(always)]
pub(crate) fn value<S: Simd>(activation: Activation, x: Lanes<S>) -> Lanes<S> {
    match activation {
        Activation::GeluTanh => {
            // (1 + tanh u)/2 is sigmoid(2u), which keeps its relative accuracy in the negative tail.
            let u = (x * x).mul_add(x.like(2.0 * SQRT_2_OVER_PI * CUBIC), x.like(2.0 * SQRT_2_OVER_PI)) * x;
            x * math::sigmoid(u)
        }
        Activation::Gelu => {
            let phi = math::erf(x * x.like(std::f32::consts::FRAC_1_SQRT_2));
            let half = x * x.like(0.5);
            half.mul_add(phi, half)
        }
        Activation::Relu => x.keep_nan(x.max(x.like(0.0))),
        Activation::Relu2 => {
            let positive = x.max(x.like(0.0));
            x.keep_nan(positive * positive)
        }
        Activation::Silu => x * math::sigmoid(x),
    }
}

/// The derivative of [`value`].
#[inline(always)]
pub(crate) fn derivative<S: Simd>(activation: Activation, x: Lanes<S>) -> Lanes<S> {
    let one = x.like(1.0);
    match activation {
        Activation::GeluTanh => {
            let square = x * x;
            let u = square.mul_add(x.like(2.0 * SQRT_2_OVER_PI * CUBIC), x.like(2.0 * SQRT_2_OVER_PI)) * x;
            let slope = square.mul_add(x.like(6.0 * SQRT_2_OVER_PI * CUBIC), x.like(2.0 * SQRT_2_OVER_PI));
            let s = math::sigmoid(u);
            (x * slope * (one - s)).mul_add(s, s)
        }
        Activation::Gelu => {
            let phi = math::erf(x * x.like(std::f32::consts::FRAC_1_SQRT_2));
            let density = math::exp(x * x * x.like(-0.5)) * x.like(0.398_942_3);
            x.mul_add(density, phi.mul_add(x.like(0.5), x.like(0.5)))
        }
        Activation::Relu => x.keep_nan(x.like(0.0).if_less(x, one, x.like(0.0))),
        Activation::Relu2 => x.keep_nan(x.max(x.like(0.0)) * x.like(2.0)),
        Activation::Silu => {
            let s = math::sigmoid(x);
            (x * (one - s)).mul_add(s, s)
        }
    }
}
