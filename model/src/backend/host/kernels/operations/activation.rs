//! The nonlinearities on whole buffers: what follows a linear map that could not apply them itself.

use super::machine::activation::{self, specialise};
use super::machine::parallel::{ELEMENTWISE_BLOCK, for_each_chunk};
use super::machine::simd::{Simd, dispatch, map, map2};
use crate::Activation;

/// Replaces every element by its activation.
pub(super) fn forward(kind: Activation, x: &mut [f32]) {
    let work = x.len() * 8;
    for_each_chunk(x, ELEMENTWISE_BLOCK, work, |_, x| dispatch!(forward_block(kind, x)));
}

#[inline(always)]
fn forward_block<S: Simd>(simd: S, kind: Activation, x: &mut [f32]) {
    specialise!(kind => map(
        simd,
        x,
        #[inline(always)]
        |x| activation::value(kind, x),
    ));
}

/// The gradient through an activation: `grad[i] *= activation'(pre[i])`, in place.
pub(super) fn backward(kind: Activation, grad: &mut [f32], pre: &[f32]) {
    assert_eq!(grad.len(), pre.len(), "gradient and pre-activation differ in length");
    let work = grad.len() * 8;
    for_each_chunk(grad, ELEMENTWISE_BLOCK, work, |i, grad| {
        let pre = &pre[i * ELEMENTWISE_BLOCK..][..grad.len()];
        dispatch!(backward_block(kind, grad, pre));
    });
}

#[inline(always)]
fn backward_block<S: Simd>(simd: S, kind: Activation, grad: &mut [f32], pre: &[f32]) {
    specialise!(kind => map2(
        simd,
        grad,
        pre,
        #[inline(always)]
        |grad, x| grad * activation::derivative(kind, x),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::testing::{
        assert_close, numerical_gradient, on_all_threads, random, wide,
    };
    use proptest::prelude::*;

    const ALL: [Activation; 5] =
        [Activation::GeluTanh, Activation::Gelu, Activation::Relu, Activation::Relu2, Activation::Silu];

    fn reference(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::GeluTanh => {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }
            Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt())),
            Activation::Relu => x.max(0.0),
            Activation::Relu2 => x.max(0.0).powi(2),
            Activation::Silu => x / (1.0 + (-x).exp()),
        }
    }

    proptest! {
        #[test]
        fn equals_the_reference_and_its_slope(len in 1usize..300, seed: u64) {
            let x: Vec<f32> = random(len, seed).iter().map(|x| x * 6.0).collect();
            let dy = random(len, seed ^ 1);
            for activation in ALL {
                let result = on_all_threads(|| {
                    let (mut y, mut dx) = (x.clone(), dy.clone());
                    forward(activation, &mut y);
                    backward(activation, &mut dx, &x);
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
        for activation in ALL {
            let (mut y, mut dx) = ([f32::NAN; 9], [1.0; 9]);
            forward(activation, &mut y);
            backward(activation, &mut dx, &[f32::NAN; 9]);
            assert!(y.iter().chain(&dx).all(|v| v.is_nan()), "{activation:?}");
        }
    }
}
