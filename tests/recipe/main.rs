//! Clipping, decay groups, warm-up and cosine beside PyTorch's, each alone and to 1e-6; and gradients that are
//! accumulated beside those of one large batch. `tests/reference/make_fixtures.py` wrote PyTorch's numbers.

#![recursion_limit = "256"]

#[path = "../common/mod.rs"]
mod common;
mod muon;

use burn::lr_scheduler::LrScheduler;
use burn::module::{Module, Param};
use burn::optim::{GradientsParams, Optimizer, SgdConfig};
use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_train::TrainStep;
use common::parameters;
use kiln_datasets::{Batch, IGNORED};
use kiln_model::{AutodiffBackend, Backend, GptConfig, Role};
use kiln_training::{ByRole, ClipGlobalNorm, LanguageModel, MicroBatches, OptimizerConfig, WarmupDecay};
use serde_json::Value;

const TOLERANCE: f64 = 1e-6;

/// Two matrices, which decay, and a vector, which does not.
#[derive(Module, Debug)]
struct Parameters<B: Backend> {
    embedding: Param<Tensor<B, 2>>,
    projection: Param<Tensor<B, 2>>,
    bias: Param<Tensor<B, 1>>,
}

fn expected() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/recipe.json");
    let text = std::fs::read(path).expect("the fixtures are committed");
    serde_json::from_slice(&text).expect("the fixtures are whole")
}

fn list(value: &Value) -> Vec<f32> {
    value.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

/// The tensor called `name` among `values`.
fn tensor<B: Backend, const D: usize>(expected: &Value, values: &Value, name: &str) -> Tensor<B, D> {
    let shape = &expected["shapes"][name];
    let shape: Vec<usize> = serde_json::from_value(shape.clone()).expect("a shape");
    Tensor::from_data(TensorData::new(list(&values[name]), shape), &B::Device::default())
}

impl<B: AutodiffBackend> Parameters<B> {
    fn new(expected: &Value, values: &Value) -> Self {
        Self {
            embedding: Param::from_tensor(tensor(expected, values, "embedding")),
            projection: Param::from_tensor(tensor(expected, values, "projection")),
            bias: Param::from_tensor(tensor(expected, values, "bias")),
        }
    }

    fn gradients(&self, expected: &Value, values: &Value) -> GradientsParams {
        let mut gradients = GradientsParams::new();
        let matrix = |name| tensor::<B::InnerBackend, 2>(expected, values, name);
        gradients.register(self.embedding.id, matrix("embedding"));
        gradients.register(self.projection.id, matrix("projection"));
        gradients.register(self.bias.id, tensor::<B::InnerBackend, 1>(expected, values, "bias"));
        gradients
    }

    /// Compares with `factor` times the `values`.
    fn assert_equal(&self, values: &Value, factor: f32, what: &str) {
        for (name, ours) in parameters::values(self) {
            for (ours, theirs) in ours.iter().zip(list(&values[&name])) {
                let error = (ours - f64::from(factor * theirs)).abs();
                assert!(error <= TOLERANCE, "{what}: {name} has {ours} instead of {theirs}");
            }
        }
    }
}

/// Clipping alone: plain descent from zero, at a learning rate of one, arrives at minus the clipped gradients.
fn clipping<B: AutodiffBackend>() {
    let expected = expected();
    let limit = expected["grad_clip"].as_f64().expect("a number");
    let (mut clipped, mut left_alone) = (0, 0);
    for (step, theirs) in expected["steps"].as_array().expect("a list").iter().enumerate() {
        let mut zeros = expected["initial"].clone();
        for values in zeros.as_object_mut().expect("tensors").values_mut() {
            values.as_array_mut().expect("a list").fill(0.0.into());
        }
        let zero = Parameters::<B>::new(&expected, &zeros);
        let gradients = zero.gradients(&expected, &theirs["gradients"]);
        let mut descent = ClipGlobalNorm::new(SgdConfig::new().init::<B, Parameters<B>>(), limit);
        let moved = descent.step(1.0, zero, gradients);
        moved.assert_equal(&theirs["clipped"], -1.0, &format!("gradients of step {step}"));
        let norm = theirs["norm"].as_f64().expect("a number");
        *(if norm > limit { &mut clipped } else { &mut left_alone }) += 1;
    }
    assert!(clipped > 2 && left_alone > 2, "{clipped} and {left_alone}: both cases are there");
}

/// All of it together: learning rates, and parameters after each step.
fn recipe<B: AutodiffBackend>() {
    let expected = expected();
    let number = |key: &str| expected[key].as_f64().expect("a number");
    let adamw = ByRole {
        config: OptimizerConfig {
            beta1: number("beta1"),
            beta2: number("beta2"),
            epsilon: number("epsilon"),
            weight_decay: number("weight_decay"),
            ..OptimizerConfig::default()
        },
        decays: Role::decays,
    };
    let mut optimizer = ClipGlobalNorm::new(adamw.init(), number("grad_clip"));
    let mut schedule = WarmupDecay::new(
        number("learning_rate"),
        number("min_learning_rate"),
        number("warmup_steps") as usize,
        number("decay_steps") as usize,
    );
    let mut parameters = Parameters::<B>::new(&expected, &expected["initial"]);
    for (step, theirs) in expected["steps"].as_array().expect("a list").iter().enumerate() {
        let learning_rate = LrScheduler::step(&mut schedule);
        let error = (learning_rate / theirs["learning_rate"].as_f64().expect("a number") - 1.0).abs();
        assert!(error <= TOLERANCE, "the learning rate of step {step} is {learning_rate}");
        let gradients = parameters.gradients(&expected, &theirs["gradients"]);
        parameters = optimizer.step(learning_rate, parameters, gradients);
        parameters.assert_equal(&theirs["parameters"], 1.0, &format!("after step {step}"));
    }
}

/// Five steps on a batch of eight windows, and the same in micro-batches of four, two, one, and three unequal ones.
fn accumulation<B: AutodiffBackend>() {
    let device = B::Device::default();
    let config = GptConfig { vocab_size: 61, context_length: 16, ..GptConfig::new(2, 4, 32) };
    let initial = LanguageModel::<B> { gpt: config.init(5, &device).expect("a valid configuration") };
    let windows = |step: usize| {
        let token = |i: usize, shift: usize| ((step * 577 + i * i * 31 + (i + shift) * 7) % 61) as i32;
        let all = |shift| (0..8 * 16).map(|i| token(i, shift)).collect();
        Batch { inputs: all(0), targets: all(1), windows: 8, seq: 16 }
    };
    let trained = |micro_batch: usize| {
        let adamw = ByRole {
            config: OptimizerConfig {
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                weight_decay: 0.1,
                ..OptimizerConfig::default()
            },
            decays: Role::decays,
        };
        let mut optimizer = ClipGlobalNorm::new(adamw.init(), 1.0);
        let mut model = initial.clone();
        for step in 0..5 {
            let output = TrainStep::step(&model, MicroBatches::from(windows(step).split(micro_batch)));
            model = optimizer.step(1e-3, model, output.grads);
        }
        parameters::values(&model)
    };
    let (whole, start) = (trained(8), parameters::values(&initial));
    for micro_batch in [4, 2, 1, 3] {
        let parts = trained(micro_batch);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (name, whole) in &whole {
            assert_ne!(whole, &start[name], "{name} has not moved");
            let error = relative_error(felt(name, &parts[name]), felt(name, whole));
            assert!(error <= 1e-5, "{name}, {micro_batch} at a time: off by {error}");
            ours.extend_from_slice(&parts[name]);
            theirs.extend_from_slice(whole);
        }
        let error = relative_error(ours.iter(), theirs.iter());
        println!("{micro_batch} at a time: all weights together are off by {error:.1e}");
        assert!(error <= 1e-5, "{micro_batch} at a time: all weights together are off by {error}");
    }
}

/// Micro-batches with unequal numbers of targets that count, one of them with none, give loss and gradient of the whole.
fn masked_accumulation<B: AutodiffBackend>() {
    let device = B::Device::default();
    let config = GptConfig { vocab_size: 61, context_length: 16, ..GptConfig::new(2, 4, 32) };
    let model = LanguageModel::<B> { gpt: config.init(5, &device).expect("a valid configuration") };
    let token = |i: usize, shift: usize| ((i * i * 31 + (i + shift) * 7) % 61) as i32;
    let counts = |i: usize| i % 16 >= 2 * (i / 16) + 2 && i / 16 != 3;
    let inputs = (0..8 * 16).map(|i| token(i, 0)).collect();
    let targets = (0..8 * 16).map(|i| if counts(i) { token(i, 1) } else { IGNORED }).collect();
    let batch = Batch { inputs, targets, windows: 8, seq: 16 };
    let gradients = |micro_batch: usize| {
        let output = TrainStep::step(&model, MicroBatches::from(batch.clone().split(micro_batch)));
        (output.item.loss, parameters::gradients(&model, &output.grads))
    };
    let (loss, whole) = gradients(8);
    let largest = whole.values().flatten().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    assert!(largest > 1e-3, "there is something to learn");
    for micro_batch in [4, 3, 1] {
        let (partial_loss, parts) = gradients(micro_batch);
        assert!((partial_loss - loss).abs() <= 1e-6, "{micro_batch} at a time: {partial_loss}, not {loss}");
        for (name, whole) in &whole {
            for (ours, theirs) in parts[name].iter().zip(whole) {
                let error = (ours - theirs).abs();
                assert!(error <= 1e-6, "{micro_batch} at a time: the gradient of {name} is off by {error}");
            }
        }
    }
}

/// The values that the loss feels. A bias of the keys shifts all scores of a query alike, which the softmax takes back: its
/// gradient is nothing but rounding, and AdamW makes steps of that too.
fn felt<'a>(name: &str, values: &'a [f64]) -> impl Iterator<Item = &'a f64> + Clone {
    let third = if name.ends_with("attn.c_attn.bias") { values.len() / 3 } else { 0 };
    values[..third].iter().chain(&values[2 * third..])
}

/// `‖a - b‖ / ‖b‖`
fn relative_error<'a>(a: impl Iterator<Item = &'a f64>, b: impl Iterator<Item = &'a f64> + Clone) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value.powi(2)).sum::<f64>().sqrt();
    norm(&mut a.zip(b.clone()).map(|(a, b)| a - b)) / norm(&mut b.copied())
}

macro_rules! on {
    ($feature:literal, $name:ident, $backend:ty) => {
        #[cfg(feature = $feature)]
        mod $name {
            use super::*;

            #[test]
            fn clips_as_pytorch_does() {
                clipping::<Autodiff<$backend>>();
            }

            #[test]
            fn follows_pytorchs_recipe() {
                recipe::<Autodiff<$backend>>();
            }

            #[test]
            fn follows_muon() {
                muon::ten_steps::<Autodiff<$backend>>();
            }

            #[test]
            fn parts_of_a_batch_add_up_to_it() {
                accumulation::<Autodiff<$backend>>();
            }

            #[test]
            fn parts_with_unequal_targets_add_up_too() {
                masked_accumulation::<Autodiff<$backend>>();
            }
        }
    };
}

on!("ndarray", ndarray, burn_ndarray::NdArray);
on!("flex", flex, burn_flex::Flex);
on!("tch", libtorch, burn_tch::LibTorch);
on!("wgpu", wgpu, burn_wgpu::Wgpu);
