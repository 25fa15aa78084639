//! A parameter's path in the module is its name in the file; walking the module keeps track of it.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::{Backend, GptConfig, GptModel};

/// What `transformers` puts before every name but the head's.
pub(super) const PREFIX: &str = "transformer.";

/// The path of the parameter being visited, `h.0.attn.c_attn.weight`.
#[derive(Default)]
pub(super) struct PathStack(Vec<String>);

impl PathStack {
    pub(super) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }

    pub(super) fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Name and shape of every parameter, in the model's order, without touching their values.
pub(super) fn parameters<B: Backend>(model: &GptModel<B>) -> Vec<(String, Vec<usize>)> {
    struct Shapes {
        path: PathStack,
        found: Vec<(String, Vec<usize>)>,
    }
    impl<B: Backend> ModuleVisitor<B> for Shapes {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
            self.found.push((self.path.name(), parameter.lazy_shape().to_vec()));
        }
    }
    let mut shapes = Shapes { path: PathStack::default(), found: Vec::new() };
    model.visit(&mut shapes);
    shapes.found
}

/// Biases that GPT-2's layout has and a model without biases lacks: written as zeros, ignored when read.
pub(super) fn absent_biases(config: &GptConfig) -> Vec<(String, Vec<usize>)> {
    if config.bias {
        return Vec::new();
    }
    let GptConfig { d_model, d_ff, .. } = *config;
    let per_block = [
        ("ln_1.bias", d_model),
        ("attn.c_attn.bias", 3 * d_model),
        ("attn.c_proj.bias", d_model),
        ("ln_2.bias", d_model),
        ("mlp.c_fc.bias", d_ff),
        ("mlp.c_proj.bias", d_model),
    ];
    let blocks = (0..config.n_layers)
        .flat_map(|layer| per_block.map(|(name, width)| (format!("h.{layer}.{name}"), vec![width])));
    blocks.chain([("ln_f.bias".to_owned(), vec![d_model])]).collect()
}

/// Buffers of old checkpoints that hold the causal mask, not parameters.
pub(super) fn is_mask_buffer(name: &str) -> bool {
    name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")
}
