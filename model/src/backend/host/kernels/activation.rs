//! Pointwise non-linearities of the feed-forward layer and their derivatives.
//!
//! gelu_tanh(x) = x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))), gelu(x) = x/2·(1 + erf(x/√2)), relu(x) = max(x, 0),
//! silu(x) = x/(1 + e⁻ˣ).

use super::math;
use super::parallel::{ELEMENTWISE_BLOCK, for_each_chunk};
use super::simd::{Lanes, Simd, dispatch, map, map2};
use crate::Activation;

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// act(x).
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
        Activation::Silu => x * math::sigmoid(x),
    }
}

/// act′(x).
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
        Activation::Silu => {
            let s = math::sigmoid(x);
            (x * (one - s)).mul_add(s, s)
        }
    }
}

/// Replaces every element by its activation.
pub fn activation_forward(activation: Activation, x: &mut [f32]) {
    let work = x.len() * 8;
    for_each_chunk(x, ELEMENTWISE_BLOCK, work, |_, x| dispatch!(forward_block(activation, x)));
}

#[inline(always)]
fn forward_block<S: Simd>(simd: S, activation: Activation, x: &mut [f32]) {
    map(
        simd,
        x,
        #[inline(always)]
        |x| value(activation, x),
    );
}

/// The gradient through an activation: `grad[i] *= act′(pre[i])`, in place.
pub fn activation_backward(activation: Activation, grad: &mut [f32], pre: &[f32]) {
    assert_eq!(grad.len(), pre.len(), "gradient and pre-activation differ in length");
    let work = grad.len() * 8;
    for_each_chunk(grad, ELEMENTWISE_BLOCK, work, |i, grad| {
        let pre = &pre[i * ELEMENTWISE_BLOCK..][..grad.len()];
        dispatch!(backward_block(activation, grad, pre));
    });
}

#[inline(always)]
fn backward_block<S: Simd>(simd: S, activation: Activation, grad: &mut [f32], pre: &[f32]) {
    map2(
        simd,
        grad,
        pre,
        #[inline(always)]
        |grad, x| grad * derivative(activation, x),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::testing::{
        assert_close, numerical_gradient, on_all_threads, random, wide,
    };
    use proptest::prelude::*;

    fn reference(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::GeluTanh => {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }
            Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt())),
            Activation::Relu => x.max(0.0),
            Activation::Silu => x / (1.0 + (-x).exp()),
        }
    }

    proptest! {
        #[test]
        fn equals_the_reference_and_its_slope(len in 1usize..300, seed: u64) {
            let x: Vec<f32> = random(len, seed).iter().map(|x| x * 6.0).collect();
            let dy = random(len, seed ^ 1);
            for activation in [Activation::GeluTanh, Activation::Gelu, Activation::Relu, Activation::Silu] {
                let result = on_all_threads(|| {
                    let (mut y, mut dx) = (x.clone(), dy.clone());
                    activation_forward(activation, &mut y);
                    activation_backward(activation, &mut dx, &x);
                    vec![y, dx]
                });
                let want: Vec<f64> = wide(&x).iter().map(|&x| reference(activation, x)).collect();
                assert_close(&result[0], &want, 1e-6);
                let slope: Vec<f64> = (0..len)
                    .map(|i| f64::from(dy[i]) * numerical_gradient(&x, i, 1e-6, |x| reference(activation, x[i])))
                    .collect();
                assert_close(&result[1], &slope, 1e-5);
            }
        }
    }

    #[test]
    fn nan_propagates() {
        for activation in [Activation::GeluTanh, Activation::Gelu, Activation::Relu, Activation::Silu] {
            let (mut y, mut dx) = ([f32::NAN; 9], [1.0; 9]);
            activation_forward(activation, &mut y);
            activation_backward(activation, &mut dx, &[f32::NAN; 9]);
            assert!(y.iter().chain(&dx).all(|v| v.is_nan()), "{activation:?}");
        }
    }
}
