//! Host kernels against the portable operations, forward and backward, on random shapes.
//!
//! The portable side computes in f64 on ndarray, for which there are no kernels: a reference with twice the digits.

#![cfg(feature = "ndarray")]

use burn::tensor::backend::{Backend as BurnBackend, BackendTypes};
use burn::tensor::{Int, Tensor, TensorData, TensorPrimitive};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{Activation, AdamWStep, Backend};
use proptest::prelude::*;

type Reference = NdArray<f64>;

/// Largest relative error of an f32 kernel, in units of the largest value of the result.
const TOLERANCE: f64 = 1e-5;

type Primitive<B> = <B as BackendTypes>::FloatTensorPrimitive;

/// An operation on flat inputs, generic over the backend; gives its output.
trait Operation {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1>;
}

fn shaped<B: Backend, const D: usize>(flat: &Tensor<B, 1>, shape: [usize; D]) -> Primitive<B> {
    flat.clone().reshape(shape).into_primitive().tensor()
}

fn flat<B: Backend>(primitive: Primitive<B>, elements: usize) -> Tensor<B, 1> {
    let shape = burn::tensor::Shape::new([elements]);
    Tensor::from_primitive(TensorPrimitive::Float(B::float_reshape(primitive, shape)))
}

/// Output, and the gradient of each input for an upstream gradient that differs everywhere.
fn forward_and_backward<B: Backend>(operation: &impl Operation, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let device = Default::default();
    let tensors: Vec<Tensor<Autodiff<B>, 1>> = inputs
        .iter()
        .map(|values| Tensor::from_data(TensorData::from(values.as_slice()), &device).require_grad())
        .collect();
    let output = operation.run(&tensors);
    let [elements] = output.dims();
    let upstream = Tensor::<Autodiff<B>, 1, Int>::arange(0..elements as i64, &device).float();
    let gradients = (output.clone() * ((upstream * 0.7).sin() + 0.1)).sum().backward();
    let numbers = |data: TensorData| data.iter::<f64>().collect::<Vec<f64>>();
    let mut results = vec![numbers(output.into_data())];
    // Operations without a bias leave it untouched.
    results.extend(
        tensors
            .iter()
            .filter_map(|tensor| tensor.grad(&gradients))
            .map(|gradient| numbers(gradient.into_data())),
    );
    results
}

fn compare<B: Backend>(operation: &impl Operation, inputs: &[Vec<f64>]) -> Result<(), TestCaseError> {
    let reference = forward_and_backward::<Reference>(operation, inputs);
    let ours = forward_and_backward::<B>(operation, inputs);
    prop_assert_eq!(ours.len(), reference.len());
    for (index, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
        let scale = reference.iter().fold(1e-3f64, |largest, value| largest.max(value.abs()));
        for (element, (ours, reference)) in ours.iter().zip(reference).enumerate() {
            prop_assert!(
                (ours - reference).abs() <= TOLERANCE * scale,
                "result {index}, element {element}: {ours} against {reference}, largest {scale}"
            );
        }
    }
    Ok(())
}

fn check(operation: &impl Operation, inputs: &[Vec<f64>]) -> Result<(), TestCaseError> {
    compare::<NdArray>(operation, inputs)?;
    #[cfg(feature = "flex")]
    compare::<burn_flex::Flex>(operation, inputs)?;
    #[cfg(feature = "tch")]
    compare::<burn_tch::LibTorch>(operation, inputs)?;
    Ok(())
}

/// Values in ±1.5 that f32 holds exactly, so that both sides see the same ones.
fn values(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f64::from((state >> 40) as f32 / (1 << 24) as f32 * 3.0 - 1.5)
        })
        .collect()
}

struct Embedding {
    rows: usize,
    uses: usize,
    d_model: usize,
}

impl Operation for Embedding {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, uses, d_model } = *self;
        let ids: Vec<i64> = (0..uses).map(|position| (position * position % rows) as i64).collect();
        let ids = Tensor::<B, 2, Int>::from_data(TensorData::new(ids, [1, uses]), &Default::default());
        let output = <B as Backend>::embedding(shaped(&inputs[0], [rows, d_model]), ids.into_primitive());
        flat::<B>(output, uses * d_model)
    }
}

struct LayerNorm {
    rows: usize,
    width: usize,
    bias: bool,
}

impl Operation for LayerNorm {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, width, bias } = *self;
        let input = shaped(&inputs[0], [1, rows, width]);
        let bias = bias.then(|| shaped(&inputs[2], [width]));
        flat::<B>(<B as Backend>::layer_norm(input, shaped(&inputs[1], [width]), bias, 1e-5), rows * width)
    }
}

struct Linear {
    rows: usize,
    d_in: usize,
    d_out: usize,
    bias: bool,
    activation: Option<Activation>,
}

impl Operation for Linear {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, d_in, d_out, bias, activation } = *self;
        let input = shaped(&inputs[0], [1, rows, d_in]);
        let bias = bias.then(|| shaped(&inputs[2], [d_out]));
        let output = <B as Backend>::linear(input, shaped(&inputs[1], [d_in, d_out]), bias, activation);
        flat::<B>(output, rows * d_out)
    }
}

struct Attention {
    batch: usize,
    seq: usize,
    n_heads: usize,
    head_dim: usize,
}

impl Operation for Attention {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { batch, seq, n_heads, head_dim } = *self;
        let d_model = n_heads * head_dim;
        let qkv = shaped(&inputs[0], [batch, seq, 3 * d_model]);
        let scale = (head_dim as f64).powf(-0.5);
        flat::<B>(B::causal_attention(qkv, n_heads, scale, 0.0), batch * seq * d_model)
    }
}

struct Head {
    rows: usize,
    d_model: usize,
    vocab: usize,
    loss: bool,
}

impl Operation for Head {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, d_model, vocab, loss } = *self;
        let (hidden, weight) = (shaped(&inputs[0], [1, rows, d_model]), shaped(&inputs[1], [vocab, d_model]));
        if !loss {
            return flat::<B>(B::head(hidden, weight), rows * vocab);
        }
        let targets: Vec<i64> = (0..rows).map(|row| (row * 7 % vocab) as i64).collect();
        let targets =
            Tensor::<B, 1, Int>::from_data(TensorData::from(targets.as_slice()), &Default::default());
        flat::<B>(B::head_cross_entropy(hidden, weight, targets.into_primitive()), 1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn embedding(rows in 1usize..60, uses in 1usize..200, d_model in 1usize..100, seed: u64) {
        check(&Embedding { rows, uses, d_model }, &[values(seed, rows * d_model)])?;
    }

    #[test]
    fn layer_norm(rows in 1usize..70, width in 2usize..140, bias: bool, seed: u64) {
        let inputs = [values(seed, rows * width), values(seed ^ 1, width), values(seed ^ 2, width)];
        check(&LayerNorm { rows, width, bias }, &inputs)?;
    }

    #[test]
    fn linear(
        rows in 1usize..90, d_in in 1usize..90, d_out in 1usize..150, bias: bool, seed: u64,
        activation in prop_oneof![
            Just(None),
            Just(Some(Activation::GeluTanh)),
            Just(Some(Activation::Gelu)),
            Just(Some(Activation::Silu)),
        ],
    ) {
        let inputs = [values(seed, rows * d_in), values(seed ^ 1, d_in * d_out), values(seed ^ 2, d_out)];
        check(&Linear { rows, d_in, d_out, bias, activation }, &inputs)?;
    }

    #[test]
    fn causal_attention(batch in 1usize..3, seq in 1usize..130, n_heads in 1usize..4, head_dim in 1usize..40, seed: u64) {
        let inputs = [values(seed, batch * seq * 3 * n_heads * head_dim)];
        check(&Attention { batch, seq, n_heads, head_dim }, &inputs)?;
    }

    #[test]
    fn head(rows in 1usize..60, d_model in 1usize..70, vocab in 1usize..200, loss: bool, seed: u64) {
        let inputs = [values(seed, rows * d_model), values(seed ^ 1, vocab * d_model)];
        check(&Head { rows, d_model, vocab, loss }, &inputs)?;
    }

    #[test]
    fn cached_attention(new in 1usize..20, past in 0usize..60, room in 0usize..9, n_heads in 1usize..4, head_dim in 1usize..40, seed: u64) {
        let filled = past + new;
        let capacity = filled + room;
        let inputs = [values(seed, n_heads * new * head_dim), values(seed ^ 1, n_heads * capacity * head_dim), values(seed ^ 2, n_heads * capacity * head_dim)];
        fn run<B: Backend>(inputs: &[Vec<f64>], [n_heads, new, filled, capacity, head_dim]: [usize; 5]) -> Vec<f64> {
            let tensor = |values: &[f64], rows| {
                let flat = Tensor::<B, 1>::from_data(TensorData::from(values), &Default::default());
                shaped(&flat, [1, n_heads, rows, head_dim])
            };
            let output = B::cached_attention(tensor(&inputs[0], new), tensor(&inputs[1], capacity), tensor(&inputs[2], capacity), filled, 0.4);
            flat::<B>(output, n_heads * new * head_dim).into_data().iter::<f64>().collect()
        }
        let sizes = [n_heads, new, filled, capacity, head_dim];
        let reference = run::<Reference>(&inputs, sizes);
        let results = [
            run::<NdArray>(&inputs, sizes),
            #[cfg(feature = "tch")]
            run::<burn_tch::LibTorch>(&inputs, sizes),
        ];
        for (ours, reference) in results.iter().flatten().zip(reference.iter().cycle()) {
            prop_assert!((ours - reference).abs() <= TOLERANCE * 1.5, "{ours} against {reference}");
        }
    }

    #[test]
    fn adamw(count in 1usize..300, step in 1usize..50, decay: bool, seed: u64) {
        let inputs = [values(seed, count), values(seed ^ 1, count), values(seed ^ 2, count), values(seed ^ 3, count)];
        let update = AdamWStep {
            learning_rate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8,
            weight_decay: if decay { 0.1 } else { 0.0 }, step,
        };
        fn run<B: Backend>(inputs: &[Vec<f64>], update: AdamWStep) -> Vec<f64> {
            let mut tensors = inputs.iter().map(|values| {
                Tensor::<B, 1>::from_data(TensorData::from(values.as_slice()), &Default::default())
            });
            let mut next = || tensors.next().expect("four tensors");
            let [parameter, gradient, first, second] = [next(), next(), next(), next().square()];
            let primitive = |tensor: Tensor<B, 1>| tensor.into_primitive().tensor();
            let updated = B::adamw_step(primitive(parameter), primitive(gradient), primitive(first), primitive(second), update);
            updated.into_iter().flat_map(|primitive| {
                Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(primitive)).into_data().iter::<f64>().collect::<Vec<_>>()
            }).collect()
        }
        let reference = run::<Reference>(&inputs, update);
        let results = [
            run::<NdArray>(&inputs, update),
            #[cfg(feature = "tch")]
            run::<burn_tch::LibTorch>(&inputs, update),
        ];
        for (ours, reference) in results.iter().flatten().zip(reference.iter().cycle()) {
            prop_assert!((ours - reference).abs() <= TOLERANCE * reference.abs().max(1.0), "{ours} against {reference}");
        }
    }
}

/// With a mask of its own making a kernel cannot equal another backend; but on average it must change nothing.
#[test]
fn attention_dropout_is_unbiased_and_seeded() {
    type B = NdArray;
    let device = Default::default();
    let (seq, n_heads, head_dim) = (24, 2, 8);
    let qkv = Tensor::<B, 1>::from_data(TensorData::from(values(3, seq * 3 * 16).as_slice()), &device);
    let run = |dropout| {
        let output = B::causal_attention(shaped(&qkv, [1, seq, 48]), n_heads, 0.3, dropout);
        flat::<B>(output, seq * n_heads * head_dim)
    };
    B::seed(&device, 11);
    let first = run(0.3);
    B::seed(&device, 11);
    first.into_data().assert_eq(&run(0.3).into_data(), true);
    let draws = 4000;
    let mean = (1..draws).fold(run(0.3), |sum, _| sum + run(0.3)) / f64::from(draws);
    let error: f32 = (mean - run(0.0)).abs().max().into_scalar();
    // The first row keeps or drops its only weight: deviation 1.5 · √(0.3 / 0.7) / √4000 = 0.016; six of those.
    assert!(error < 0.1, "{error}");
}
