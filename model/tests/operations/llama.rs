//! What Llama's block computes besides attention: RMS norm, rotary positions, the gate.

use burn::tensor::Tensor;
use kiln_model::{Activation, Backend, Heads};
use proptest::prelude::*;

use super::check::{
    Operation, flat, gradients_equal_quotients, native_equals_portable, shaped, tensor, values,
};

struct RmsNorm {
    rows: usize,
    width: usize,
    /// Whether the input is added to the output.
    residual: bool,
}

impl Operation for RmsNorm {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, width, residual } = *self;
        let input = shaped(&inputs[0], [1, rows, width]);
        let output = <B as Backend>::rms_norm(input.clone(), shaped(&inputs[1], [width]), 1e-5);
        flat::<B>(if residual { B::float_add(input, output) } else { output }, rows * width)
    }
}

struct Rotary {
    /// Sequences with angles of their own, or with the same.
    own_angles: bool,
    batch: usize,
    seq: usize,
    heads: Heads,
}

impl Operation for Rotary {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { own_angles, batch, seq, heads } = *self;
        let shape = [if own_angles { batch } else { 1 }, seq, heads.head_dim / 2];
        let angles = |function: fn(f64) -> f64| {
            let values: Vec<f64> =
                (0..shape.iter().product()).map(|index| function(index as f64 * 0.37)).collect();
            tensor::<B, 3>(&values, shape).into_primitive().tensor()
        };
        let qkv = shaped(&inputs[0], [batch, seq, heads.qkv_width()]);
        let turned = <B as Backend>::rotary(qkv, heads, angles(f64::cos), angles(f64::sin));
        flat::<B>(turned, batch * seq * heads.qkv_width())
    }
}

struct Gate {
    rows: usize,
    width: usize,
    activation: Activation,
}

impl Operation for Gate {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, width, activation } = *self;
        let [gate, expanded] = [0, 1].map(|index| shaped(&inputs[index], [1, rows, width]));
        flat::<B>(<B as Backend>::gate(gate, expanded, activation), rows * width)
    }
}

fn rms_norm([rows, width]: [usize; 2], residual: bool, seed: u64) -> (RmsNorm, Vec<Vec<f64>>) {
    (RmsNorm { rows, width, residual }, vec![values(seed, rows * width), values(seed ^ 1, width)])
}

fn rotary(
    [batch, seq, n_kv_heads, group, half]: [usize; 5],
    own_angles: bool,
    seed: u64,
) -> (Rotary, Vec<Vec<f64>>) {
    let heads = Heads { n_heads: n_kv_heads * group, n_kv_heads, head_dim: 2 * half };
    (Rotary { own_angles, batch, seq, heads }, vec![values(seed, batch * seq * heads.qkv_width())])
}

fn gate(rows: usize, width: usize, activation: Activation, seed: u64) -> (Gate, Vec<Vec<f64>>) {
    (Gate { rows, width, activation }, vec![values(seed, rows * width), values(seed ^ 1, rows * width)])
}

fn smooth() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::GeluTanh),
        Just(Activation::Gelu),
        Just(Activation::Relu2),
        Just(Activation::Silu)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn gradient_of_rms_norm(rows in 1usize..7, width in 1usize..7, residual: bool, seed: u64) {
        let (operation, inputs) = rms_norm([rows, width], residual, seed);
        gradients_equal_quotients(&operation, &inputs)?;
    }

    #[test]
    fn gradient_of_rotary(
        batch in 1usize..3, seq in 1usize..5, n_kv_heads in 1usize..3, group in 1usize..4, half in 1usize..3,
        own_angles: bool, seed: u64,
    ) {
        let (operation, inputs) = rotary([batch, seq, n_kv_heads, group, half], own_angles, seed);
        gradients_equal_quotients(&operation, &inputs)?;
    }

    #[test]
    fn gradient_of_gate(rows in 1usize..5, width in 1usize..7, activation in smooth(), seed: u64) {
        let (operation, inputs) = gate(rows, width, activation, seed);
        gradients_equal_quotients(&operation, &inputs)?;
    }

    #[test]
    fn native_rms_norm(rows in 1usize..70, width in 1usize..140, residual: bool, seed: u64) {
        let (operation, inputs) = rms_norm([rows, width], residual, seed);
        native_equals_portable(&operation, &inputs)?;
    }

    #[test]
    fn native_rotary(
        batch in 1usize..4, seq in 1usize..40, n_kv_heads in 1usize..3, group in 1usize..4, half in 1usize..20,
        own_angles: bool, seed: u64,
    ) {
        let (operation, inputs) = rotary([batch, seq, n_kv_heads, group, half], own_angles, seed);
        native_equals_portable(&operation, &inputs)?;
    }

    #[test]
    fn native_gate(rows in 1usize..90, width in 1usize..150, activation in smooth(), seed: u64) {
        let (operation, inputs) = gate(rows, width, activation, seed);
        native_equals_portable(&operation, &inputs)?;
    }
}
