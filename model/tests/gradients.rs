//! Every hand-written backward pass against numerical differences of its forward pass, in f64, on random shapes.

use burn::tensor::{Distribution, Int, Tensor, TensorData, TensorPrimitive};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{Activation, Backend};
use proptest::prelude::*;

type Inner = NdArray<f64>;
type B = Autodiff<Inner>;
type Flat = Tensor<B, 1>;

/// Half-width of the difference quotient; its error is of the order of its square.
const STEP: f64 = 1e-5;
/// Quotients of f64 losses of order 1 are good to about 1e-10 / STEP.
const TOLERANCE: f64 = 1e-6;

/// `loss` maps the inputs (flat; it reshapes them) to a scalar; compares its gradients with difference quotients.
fn check(inputs: Vec<Vec<f64>>, loss: impl Fn(&[Flat]) -> Flat) -> Result<(), TestCaseError> {
    let device = Default::default();
    let tensors: Vec<Flat> = inputs
        .iter()
        .map(|values| Tensor::from_data(TensorData::from(values.as_slice()), &device).require_grad())
        .collect();
    let gradients = loss(&tensors).backward();

    let value = |inputs: &[Vec<f64>]| -> f64 {
        let tensors: Vec<Flat> = inputs
            .iter()
            .map(|values| Tensor::from_data(TensorData::from(values.as_slice()), &device))
            .collect();
        loss(&tensors).into_scalar()
    };
    for (index, tensor) in tensors.iter().enumerate() {
        let ours: Vec<f64> = tensor.grad(&gradients).expect("tracked").into_data().to_vec().expect("f64");
        for (element, ours) in ours.into_iter().enumerate() {
            let mut moved = inputs.clone();
            moved[index][element] += STEP;
            let above = value(&moved);
            moved[index][element] -= 2.0 * STEP;
            let quotient = (above - value(&moved)) / (2.0 * STEP);
            prop_assert!(
                (ours - quotient).abs() <= TOLERANCE * (1.0 + quotient.abs()),
                "input {index}, element {element}: backward {ours}, difference quotient {quotient}"
            );
        }
    }
    Ok(())
}

/// A scalar in which every element of `output` weighs differently.
fn weigh<const D: usize>(output: Tensor<B, D>) -> Flat {
    let elements = output.shape().num_elements();
    let weights = Tensor::<B, 1, Int>::arange(0..elements as i64, &output.device()).float();
    (output.reshape([elements]) * (weights * 0.7).sin()).sum()
}

fn primitive<const D: usize>(
    flat: &Flat,
    shape: [usize; D],
) -> <B as burn::tensor::backend::BackendTypes>::FloatTensorPrimitive {
    flat.clone().reshape(shape).into_primitive().tensor()
}

fn wrap<const D: usize>(
    primitive: <B as burn::tensor::backend::BackendTypes>::FloatTensorPrimitive,
) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// Values spread around zero, away from relu's corner.
fn values(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let value = (state >> 11) as f64 / (1u64 << 53) as f64 * 3.0 - 1.5;
            value + 0.01f64.copysign(value)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn embedding(batch in 1usize..3, seq in 1usize..5, rows in 1usize..5, d_model in 1usize..4, seed: u64) {
        check(vec![values(seed, rows * d_model)], |tensors| {
            let ids: Vec<i64> = (0..batch * seq).map(|i| ((seed as usize).wrapping_add(i * 3) % rows) as i64).collect();
            let ids = TensorData::new(ids, [batch, seq]);
            let ids = Tensor::<B, 2, Int>::from_data(ids, &Default::default());
            weigh(wrap::<3>(<B as Backend>::embedding(primitive(&tensors[0], [rows, d_model]), ids.into_primitive())))
        })?;
    }

    #[test]
    fn layer_norm(batch in 1usize..3, seq in 1usize..4, d_model in 2usize..7, bias: bool, seed: u64) {
        let inputs = vec![values(seed, batch * seq * d_model), values(seed ^ 1, d_model), values(seed ^ 2, d_model)];
        check(inputs, |tensors| {
            let bias = bias.then(|| primitive(&tensors[2], [d_model]));
            let input = primitive(&tensors[0], [batch, seq, d_model]);
            let output = wrap::<3>(<B as Backend>::layer_norm(input, primitive(&tensors[1], [d_model]), bias, 1e-5));
            // The bias takes part even where the operation has none, so that it has a gradient to compare.
            weigh(output) + tensors[2].clone().sum()
        })?;
    }

    #[test]
    fn linear(
        batch in 1usize..3, seq in 1usize..3, d_in in 1usize..5, d_out in 1usize..5, bias: bool, seed: u64,
        activation in prop_oneof![
            Just(None),
            Just(Some(Activation::GeluTanh)),
            Just(Some(Activation::Gelu)),
            Just(Some(Activation::Relu)),
            Just(Some(Activation::Silu)),
        ],
    ) {
        let inputs = vec![values(seed, batch * seq * d_in), values(seed ^ 1, d_in * d_out), values(seed ^ 2, d_out)];
        check(inputs, |tensors| {
            let bias = bias.then(|| primitive(&tensors[2], [d_out]));
            let input = primitive(&tensors[0], [batch, seq, d_in]);
            let weight = primitive(&tensors[1], [d_in, d_out]);
            weigh(wrap::<3>(<B as Backend>::linear(input, weight, bias, activation))) + tensors[2].clone().sum()
        })?;
    }

    #[test]
    fn causal_attention(batch in 1usize..3, seq in 1usize..5, n_heads in 1usize..3, head_dim in 1usize..4, seed: u64) {
        let width = 3 * n_heads * head_dim;
        check(vec![values(seed, batch * seq * width)], |tensors| {
            let qkv = primitive(&tensors[0], [batch, seq, width]);
            weigh(wrap::<3>(B::causal_attention(qkv, n_heads, 0.6, 0.0)))
        })?;
    }

    #[test]
    fn head_cross_entropy(batch in 1usize..3, seq in 1usize..4, d_model in 1usize..5, vocab in 1usize..7, seed: u64) {
        let inputs = vec![values(seed, batch * seq * d_model), values(seed ^ 1, vocab * d_model)];
        check(inputs, |tensors| {
            let targets: Vec<i64> = (0..batch * seq).map(|i| ((seed as usize).wrapping_add(i * 5) % vocab) as i64).collect();
            let targets = Tensor::<B, 1, Int>::from_data(TensorData::from(targets.as_slice()), &Default::default());
            let hidden = primitive(&tensors[0], [batch, seq, d_model]);
            let weight = primitive(&tensors[1], [vocab, d_model]);
            // Scaled, so that an upstream gradient other than one is tried.
            wrap::<1>(B::head_cross_entropy(hidden, weight, targets.into_primitive())) * 1.7
        })?;
    }
}

/// Dropout is linear, so its gradient for an upstream gradient of ones is the mask that made the output.
#[test]
fn dropout_uses_the_same_mask_backward() {
    let device = Default::default();
    let input =
        (Tensor::<B, 3>::random([2, 30, 8], Distribution::Default, &device) + 0.5).detach().require_grad();
    let output = wrap::<3>(B::dropout(input.clone().into_primitive().tensor(), 0.3));
    let gradients = output.clone().sum().backward();
    let mask = input.grad(&gradients).expect("tracked");
    let difference: f64 = (mask.clone() * input.inner() - output.inner()).abs().max().into_scalar();
    assert!(difference < 1e-12, "{difference}");
    let kept: f64 = mask.greater_elem(0.0).float().mean().into_scalar();
    // 480 draws: the share that is kept has a standard deviation of 0.021.
    assert!((kept - 0.7).abs() < 0.1, "{kept}");
}

/// With dropout the forward pass is random, but linear in the values: for a fixed mask, the gradient of the values
/// must reproduce the output.
#[test]
fn attention_dropout_uses_the_same_mask_backward() {
    let device = Default::default();
    let (seq, n_heads, head_dim) = (16, 2, 4);
    let d_model = n_heads * head_dim;
    let qkv = Tensor::<B, 3>::random([1, seq, 3 * d_model], Distribution::Default, &device).require_grad();
    let output = wrap::<3>(B::causal_attention(qkv.clone().into_primitive().tensor(), n_heads, 0.5, 0.4));
    let upstream = Tensor::<B, 3>::random(output.shape(), Distribution::Default, &device);
    let total: f64 = (output.clone() * upstream.clone()).sum().into_scalar();
    let gradients = (output * upstream).sum().backward();
    let d_value = qkv.grad(&gradients).expect("tracked").narrow(2, 2 * d_model, d_model);
    let value = qkv.inner().narrow(2, 2 * d_model, d_model);
    let along: f64 = (d_value * value).sum().into_scalar();
    assert!((along - total).abs() < 1e-9 * total.abs(), "{along} differs from {total}");
}
