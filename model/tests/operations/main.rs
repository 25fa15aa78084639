//! Every operation: native ones against the portable, and each backward pass against numerical differences of its
//! forward pass, on random shapes.

#![cfg(feature = "ndarray")]

mod check;
mod dropout;
mod embedding;
mod llama;
mod muon;

use burn::tensor::{Int, Tensor, TensorData, TensorPrimitive};
use burn_ndarray::NdArray;
use kiln_model::{Activation, AdamWStep, Backend, CachedSequence, Heads};
use proptest::prelude::*;

use check::{
    LARGEST, Operation, Reference, TOLERANCE, flat, gradients_equal_quotients, native_equals_portable,
    shaped, tensor, values,
};

struct LayerNorm {
    rows: usize,
    width: usize,
    bias: bool,
    /// Whether the input is added to the output.
    residual: bool,
}

impl Operation for LayerNorm {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, width, bias, residual } = *self;
        let input = shaped(&inputs[0], [1, rows, width]);
        let bias = bias.then(|| shaped(&inputs[2], [width]));
        let output = <B as Backend>::layer_norm(input.clone(), shaped(&inputs[1], [width]), bias, 1e-5);
        flat::<B>(if residual { B::float_add(input, output) } else { output }, rows * width)
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

struct Blend {
    rows: usize,
    width: usize,
}

impl Operation for Blend {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, width } = *self;
        let summands = [0, 1].map(|index| shaped(&inputs[index], [1, rows, width]));
        let weights = [2, 3].map(|index| shaped(&inputs[index], [1]));
        flat::<B>(<B as Backend>::blend(summands, weights), rows * width)
    }
}

struct Attention {
    batch: usize,
    seq: usize,
    heads: Heads,
}

impl Operation for Attention {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { batch, seq, heads } = *self;
        let qkv = shaped(&inputs[0], [batch, seq, heads.qkv_width()]);
        let scale = (heads.head_dim as f64).powf(-0.5);
        flat::<B>(<B as Backend>::attention(qkv, heads, scale, 0.0), batch * seq * heads.width())
    }
}

struct Head {
    rows: usize,
    d_model: usize,
    vocab: usize,
    loss: bool,
    softcap: Option<f64>,
}

impl Operation for Head {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, d_model, vocab, loss, softcap } = *self;
        let (hidden, weight) = (shaped(&inputs[0], [1, rows, d_model]), shaped(&inputs[1], [vocab, d_model]));
        if !loss {
            return flat::<B>(B::head(hidden, weight, softcap), rows * vocab);
        }
        let target = |row: usize| if row % 3 == 1 { -100 } else { (row * 7 % vocab) as i64 };
        let targets: Vec<i64> = (0..rows).map(target).collect();
        let targets =
            Tensor::<B, 1, Int>::from_data(TensorData::from(targets.as_slice()), &Default::default());
        flat::<B>(B::head_cross_entropy(hidden, weight, targets.into_primitive(), softcap), 1)
    }
}

/// No row is almost constant: what divides by its deviation would magnify every rounding.
fn layer_norm(
    [rows, width]: [usize; 2],
    bias: bool,
    residual: bool,
    seed: u64,
) -> (LayerNorm, Vec<Vec<f64>>) {
    let apart = |(column, value): (usize, f64)| value + if column % width == 0 { 4.0 } else { 0.0 };
    let input = values(seed, rows * width).into_iter().enumerate().map(apart).collect();
    (LayerNorm { rows, width, bias, residual }, vec![input, values(seed ^ 1, width), values(seed ^ 2, width)])
}

fn linear(
    [rows, d_in, d_out]: [usize; 3],
    bias: bool,
    activation: Option<Activation>,
    seed: u64,
) -> (Linear, Vec<Vec<f64>>) {
    let inputs = vec![values(seed, rows * d_in), values(seed ^ 1, d_in * d_out), values(seed ^ 2, d_out)];
    (Linear { rows, d_in, d_out, bias, activation }, inputs)
}

fn blend(rows: usize, width: usize, seed: u64) -> (Blend, Vec<Vec<f64>>) {
    let inputs = [rows * width, rows * width, 1, 1].into_iter().zip(0..);
    (Blend { rows, width }, inputs.map(|(count, part)| values(seed ^ part, count)).collect())
}

fn attention([batch, seq, n_kv_heads, group, head_dim]: [usize; 5], seed: u64) -> (Attention, Vec<Vec<f64>>) {
    let heads = Heads { n_heads: n_kv_heads * group, n_kv_heads, head_dim };
    (Attention { batch, seq, heads }, vec![values(seed, batch * seq * heads.qkv_width())])
}

fn head(
    [rows, d_model, vocab]: [usize; 3],
    loss: bool,
    softcap: Option<f64>,
    seed: u64,
) -> (Head, Vec<Vec<f64>>) {
    let inputs = vec![values(seed, rows * d_model), values(seed ^ 1, vocab * d_model)];
    (Head { rows, d_model, vocab, loss, softcap }, inputs)
}

fn activations() -> impl Strategy<Value = Option<Activation>> {
    prop_oneof![
        Just(None),
        Just(Some(Activation::GeluTanh)),
        Just(Some(Activation::Gelu)),
        Just(Some(Activation::Relu)),
        Just(Some(Activation::Relu2)),
        Just(Some(Activation::Silu)),
    ]
}

fn softcaps() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(0.5f64..20.0)
}

mod gradients {
    use super::*;

    #[test]
    fn silu_of_one_input() -> Result<(), TestCaseError> {
        let (operation, inputs) = super::linear([1, 1, 2], false, Some(Activation::Silu), 0);
        gradients_equal_quotients(&operation, &inputs)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn layer_norm(rows in 1usize..7, width in 2usize..7, bias: bool, residual: bool, seed: u64) {
            let (operation, inputs) = super::layer_norm([rows, width], bias, residual, seed);
            gradients_equal_quotients(&operation, &inputs)?;
        }

        #[test]
        fn linear(
            rows in 1usize..5, d_in in 1usize..5, d_out in 1usize..5, bias: bool, seed: u64,
            activation in activations(),
        ) {
            let (operation, inputs) = super::linear([rows, d_in, d_out], bias, activation, seed);
            gradients_equal_quotients(&operation, &inputs)?;
        }

        #[test]
        fn blend(rows in 1usize..5, width in 1usize..7, seed: u64) {
            let (operation, inputs) = super::blend(rows, width, seed);
            gradients_equal_quotients(&operation, &inputs)?;
        }

        #[test]
        fn attention(
            batch in 1usize..3, seq in 1usize..5, n_kv_heads in 1usize..3, group in 1usize..4,
            head_dim in 1usize..4, seed: u64,
        ) {
            let (operation, inputs) = super::attention([batch, seq, n_kv_heads, group, head_dim], seed);
            gradients_equal_quotients(&operation, &inputs)?;
        }

        #[test]
        fn head(
            rows in 1usize..7, d_model in 1usize..5, vocab in 1usize..7, loss: bool, softcap in softcaps(), seed: u64,
        ) {
            let (operation, inputs) = super::head([rows, d_model, vocab], loss, softcap, seed);
            gradients_equal_quotients(&operation, &inputs)?;
        }
    }
}

mod native {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn layer_norm(rows in 1usize..70, width in 2usize..140, bias: bool, residual: bool, seed: u64) {
            let (operation, inputs) = super::layer_norm([rows, width], bias, residual, seed);
            native_equals_portable(&operation, &inputs)?;
        }

        // relu has a corner, on whose two sides f32 and f64 may fall.
        #[test]
        fn linear(
            rows in 1usize..90, d_in in 1usize..90, d_out in 1usize..150, bias: bool, seed: u64,
            activation in activations().prop_filter("smooth", |one| *one != Some(Activation::Relu)),
        ) {
            let (operation, inputs) = super::linear([rows, d_in, d_out], bias, activation, seed);
            native_equals_portable(&operation, &inputs)?;
        }

        #[test]
        fn blend(rows in 1usize..30, width in 1usize..60, seed: u64) {
            let (operation, inputs) = super::blend(rows, width, seed);
            native_equals_portable(&operation, &inputs)?;
        }

        #[test]
        fn attention(
            batch in 1usize..3, seq in 1usize..130, n_kv_heads in 1usize..3, group in 1usize..4,
            head_dim in 1usize..40, seed: u64,
        ) {
            let (operation, inputs) = super::attention([batch, seq, n_kv_heads, group, head_dim], seed);
            native_equals_portable(&operation, &inputs)?;
        }

        #[test]
        fn head(
            rows in 1usize..60, d_model in 1usize..70, vocab in 1usize..200, loss: bool, softcap in softcaps(), seed: u64,
        ) {
            let (operation, inputs) = super::head([rows, d_model, vocab], loss, softcap, seed);
            native_equals_portable(&operation, &inputs)?;
        }

        #[test]
        fn cached_attention(
            pasts in prop::collection::vec(0usize..60, 1..4), new in 1usize..20, room in 0usize..9, n_kv_heads in 1usize..3,
            group in 1usize..3, head_dim in 1usize..40, seed: u64,
        ) {
            let heads = Heads { n_heads: n_kv_heads * group, n_kv_heads, head_dim };
            let caches = Caches { filled: pasts.iter().map(|past| past + new).collect(), new, room, heads };
            let reference = caches.attend::<Reference>(seed);
            let results = [
                caches.attend::<NdArray>(seed),
                #[cfg(feature = "flex")]
                caches.attend::<burn_flex::Flex>(seed),
                #[cfg(feature = "tch")]
                caches.attend::<burn_tch::LibTorch>(seed),
            ];
            for (ours, reference) in results.iter().flatten().zip(reference.iter().cycle()) {
                prop_assert!((ours - reference).abs() <= TOLERANCE * LARGEST, "{ours} against {reference}");
            }
        }

        #[test]
        fn adamw(count in 1usize..300, step in 1usize..50, decay: bool, clipped: bool, seed: u64) {
            let inputs = [values(seed, count), values(seed ^ 1, count), values(seed ^ 2, count), values(seed ^ 3, count)];
            let update = AdamWStep {
                learning_rate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8,
                weight_decay: if decay { 0.1 } else { 0.0 }, gradient_scale: if clipped { 0.3 } else { 1.0 }, step,
            };
            fn run<B: Backend>(inputs: &[Vec<f64>], update: AdamWStep) -> Vec<f64> {
                let mut tensors = inputs.iter().map(|values| tensor::<B, 1>(values, [values.len()]));
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
}

/// Sequences that are filled to different lengths, each attending with its last positions.
struct Caches {
    filled: Vec<usize>,
    new: usize,
    room: usize,
    heads: Heads,
}

impl Caches {
    fn attend<B: Backend>(&self, seed: u64) -> Vec<f64> {
        let Heads { n_heads, n_kv_heads, head_dim } = self.heads;
        let tensor = |seed, shape: [usize; 4]| tensor::<B, 4>(&values(seed, shape.iter().product()), shape);
        let query = [self.filled.len(), n_heads, self.new, head_dim];
        let caches = self.filled.iter().enumerate().map(|(index, &filled)| {
            let [keys, values] = [1, 2].map(|part| {
                tensor(seed ^ part ^ (index as u64) << 2, [1, n_kv_heads, filled + self.room, head_dim])
            });
            CachedSequence { keys, values, filled }
        });
        let query = (tensor(seed, query).into_primitive().tensor(), query.iter().product());
        flat::<B>(B::cached_attention(query.0, caches.collect(), 0.4), query.1).into_data().iter().collect()
    }
}
