//! Ten steps of Muon beside PyTorch's, on matrices of which one holds queries, keys and values side by side.
//! `tests/reference/muon.py` wrote the numbers.

use burn::module::{Module, Param};
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::{Tensor, TensorData};
use kiln_model::{AutodiffBackend, Backend, Role};
use kiln_training::{ByRole, OptimizerConfig};
use serde_json::Value;

use super::common::parameters;

const TOLERANCE: f64 = 1e-5;

/// Matrices for Muon, and a vector that stays AdamW's.
#[derive(Module, Debug)]
struct Layers<B: Backend> {
    c_attn: Layer<B>,
    c_proj: Layer<B>,
    c_fc: Layer<B>,
    bias: Param<Tensor<B, 1>>,
}

#[derive(Module, Debug)]
struct Layer<B: Backend> {
    weight: Param<Tensor<B, 2>>,
}

fn tensor<B: Backend, const D: usize>(shapes: &Value, values: &Value, name: &str) -> Tensor<B, D> {
    let shape: Vec<usize> = serde_json::from_value(shapes[name].clone()).expect("a shape");
    let values: Vec<f32> = serde_json::from_value(values[name].clone()).expect("numbers");
    Tensor::from_data(TensorData::new(values, shape), &B::Device::default())
}

impl<B: AutodiffBackend> Layers<B> {
    fn new(shapes: &Value, values: &Value) -> Self {
        let layer = |name| Layer { weight: Param::from_tensor(tensor(shapes, values, name)) };
        Self {
            c_attn: layer("c_attn"),
            c_proj: layer("c_proj"),
            c_fc: layer("c_fc"),
            bias: Param::from_tensor(tensor(shapes, values, "bias")),
        }
    }

    fn gradients(&self, shapes: &Value, values: &Value) -> GradientsParams {
        let mut gradients = GradientsParams::new();
        let layers = [("c_attn", &self.c_attn), ("c_proj", &self.c_proj), ("c_fc", &self.c_fc)];
        for (name, layer) in layers {
            gradients.register(layer.weight.id, tensor::<B::InnerBackend, 2>(shapes, values, name));
        }
        gradients.register(self.bias.id, tensor::<B::InnerBackend, 1>(shapes, values, "bias"));
        gradients
    }
}

/// Every parameter after every step.
pub fn ten_steps<B: AutodiffBackend>() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/muon.json");
    let text = std::fs::read(path).expect("the fixtures are committed");
    let expected: Value = serde_json::from_slice(&text).expect("the fixtures are whole");
    let number = |key: &str| expected[key].as_f64().expect("a number");
    let config = OptimizerConfig {
        learning_rate: number("learning_rate"),
        muon_learning_rate: number("muon_learning_rate"),
        muon_momentum: number("muon_momentum"),
        beta1: number("beta1"),
        beta2: number("beta2"),
        epsilon: number("epsilon"),
        weight_decay: number("weight_decay"),
        ..OptimizerConfig::default()
    };
    let mut optimizer = ByRole { config, decays: Role::decays }.init::<B, Layers<B>>();
    let shapes = &expected["shapes"];
    let mut layers = Layers::<B>::new(shapes, &expected["initial"]);
    let steps = expected["steps"].as_array().expect("a list");
    assert_eq!(steps.len(), 10);
    for (step, theirs) in steps.iter().enumerate() {
        let gradients = layers.gradients(shapes, &theirs["gradients"]);
        layers = optimizer.step(number("learning_rate"), layers, gradients);
        for (name, ours) in parameters::values(&layers) {
            let theirs = theirs["parameters"][name.trim_end_matches(".weight")].as_array().expect("numbers");
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(theirs) {
                let theirs = theirs.as_f64().expect("a number");
                assert!((ours - theirs).abs() <= TOLERANCE, "step {step}: {name} has {ours}, not {theirs}");
            }
        }
    }
}
