//! Dropout, whose mask is drawn anew each time.

use std::sync::{Mutex, PoisonError};

use burn::tensor::backend::Backend as BurnBackend;
use burn::tensor::{Tensor, TensorPrimitive};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{Backend, Heads};

use super::check::{Primitive, Reference, flat, shaped, tensor, values};

/// Backends draw from one stream of random numbers: a test that seeds it must not share it.
static ALONE: Mutex<()> = Mutex::new(());

type B = Autodiff<Reference>;

fn typed(primitive: Primitive<B>) -> Tensor<B, 3> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// Dropout is linear, so its gradient for an upstream gradient of ones is the mask that made the output.
#[test]
fn dropout_uses_the_same_mask_backward() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let input = (tensor::<B, 3>(&values(5, 480), [2, 30, 8]) + 2.0).detach().require_grad();
    let output = typed(B::dropout(input.clone().into_primitive().tensor(), 0.3));
    let gradients = output.clone().sum().backward();
    let mask = input.grad(&gradients).expect("tracked");
    let difference: f64 = (mask.clone() * input.inner() - output.inner()).abs().max().into_scalar();
    assert!(difference < 1e-12, "{difference}");
    let kept: f64 = mask.greater_elem(0.0).float().mean().into_scalar();
    // 480 draws: the share that is kept has a standard deviation of 0.021.
    assert!((kept - 0.7).abs() < 0.1, "{kept}");
}

/// With dropout the forward pass is random, but linear in the values: for a fixed mask, the gradient of the
/// values must reproduce the output.
#[test]
fn attention_dropout_uses_the_same_mask_backward() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (seq, n_heads, head_dim) = (16, 2, 4);
    let d_model = n_heads * head_dim;
    let qkv = tensor::<B, 3>(&values(6, seq * 3 * d_model), [1, seq, 3 * d_model]).require_grad();
    let heads = Heads { n_heads, n_kv_heads: n_heads, head_dim };
    let output = typed(<B as Backend>::attention(qkv.clone().into_primitive().tensor(), heads, 0.5, 0.4));
    let upstream = tensor::<B, 3>(&values(7, seq * d_model), [1, seq, d_model]);
    let total: f64 = (output.clone() * upstream.clone()).sum().into_scalar();
    let gradients = (output * upstream).sum().backward();
    let d_value = qkv.grad(&gradients).expect("tracked").narrow(2, 2 * d_model, d_model);
    let value = qkv.inner().narrow(2, 2 * d_model, d_model);
    let along: f64 = (d_value * value).sum().into_scalar();
    assert!((along - total).abs() < 1e-9 * total.abs(), "{along} differs from {total}");
}

/// With a mask of its own making a kernel cannot equal another backend; but on average it must change
/// nothing.
#[test]
fn attention_dropout_is_unbiased_and_seeded() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    type B = NdArray;
    let device = Default::default();
    let (seq, n_heads, head_dim) = (24, 2, 8);
    let qkv = tensor::<B, 1>(&values(3, seq * 3 * 16), [seq * 3 * 16]);
    let run = |dropout| {
        let heads = Heads { n_heads, n_kv_heads: n_heads, head_dim };
        let output = <B as Backend>::attention(shaped(&qkv, [1, seq, 48]), heads, 0.3, dropout);
        flat::<B>(output, seq * n_heads * head_dim)
    };
    B::seed(&device, 11);
    let first = run(0.3);
    B::seed(&device, 11);
    first.into_data().assert_eq(&run(0.3).into_data(), true);
    let draws = 4000;
    let mean = (1..draws).fold(run(0.3), |sum, _| sum + run(0.3)) / f64::from(draws);
    let error: f32 = (mean - run(0.0)).abs().max().into_scalar();
    // The first row keeps or drops its only weight: deviation 1.5 · √(0.3 / 0.7) / √4000 = 0.016; six of
    // those.
    assert!(error < 0.1, "{error}");
}
