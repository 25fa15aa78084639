//! The parameters of a module by name and role: what decides whether one decays, freezes or is packed.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A table with a vector for each token.
    Embedding,
    /// A table with a vector for each position.
    Position,
    /// The matrix of a linear layer.
    Matrix,
    /// The matrix that scores tokens, where it is not the token embedding, or classes.
    Head,
    /// The scale of a norm.
    Norm,
    /// An offset, of a linear layer or of a norm.
    Bias,
    /// A number for each block, of how much it reads of something.
    Scalar,
    /// A matrix of a [`Lora`](crate::Lora), which learns while what it adapts does not.
    Adapter,
}

impl Role {
    /// Whether weight decay applies. As in GPT-2's recipe, it spares norms and biases, and scalars too.
    pub fn decays(self) -> bool {
        !matches!(self, Self::Norm | Self::Bias | Self::Scalar)
    }
}

/// One parameter of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its path in the module, such as `h.0.attn.c_attn.weight`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The key of its gradient and of its optimizer state.
    pub id: ParamId,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The widths of the linear maps that lie side by side in it: those of queries, keys and values in `c_attn`; of any other
    /// parameter its last axis.
    pub parts: Vec<usize>,
}

impl Parameter {
    /// Number of trainable numbers in it.
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Every float parameter of `module`, in the order in which it is visited.
pub fn parameters<B: Backend, M: Module<B>>(module: &M) -> Vec<Parameter> {
    let mut list = List::default();
    module.visit(&mut list);
    part_attention(&mut list.found);
    list.found
}

/// Finds the parts of every `c_attn`: there are as many queries as its neighbour `c_proj` has rows, and the rest is half keys,
/// half values.
fn part_attention(parameters: &mut [Parameter]) {
    let rows = |parameter: &Parameter| Some((parameter.name.clone(), *parameter.shape.first()?));
    let rows: HashMap<String, usize> = parameters.iter().filter_map(rows).collect();
    for parameter in parameters {
        if let Some(layer) = parameter.name.strip_suffix("c_attn.weight")
            && let Some(&queries) = rows.get(&format!("{layer}c_proj.weight"))
            && let Some(keys_and_values @ 1..) = parameter.parts[0].checked_sub(queries)
            && keys_and_values.is_multiple_of(2)
        {
            parameter.parts = vec![queries, keys_and_values / 2, keys_and_values / 2];
        }
    }
}

#[derive(Default)]
struct List {
    path: ParameterPath,
    found: Vec<Parameter>,
}

impl<B: Backend> ModuleVisitor<B> for List {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        let shape = parameter.shape().to_vec();
        self.found.push(Parameter {
            name: self.path.name(),
            role: self.path.role(D),
            id: parameter.id,
            parts: shape.last().copied().into_iter().collect(),
            shape,
        });
    }
}

/// The path of the parameter that a visitor or mapper is at: it hears of every module that it enters and leaves.
#[derive(Debug, Default)]
pub(crate) struct ParameterPath(Vec<Field>);

#[derive(Debug)]
struct Field {
    name: String,
    /// What the field belongs to, in Burn's words: `Struct:Linear`.
    container: String,
}

impl ParameterPath {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.0.push(Field { name: name.to_owned(), container: container.to_owned() });
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    /// `h.0.attn.c_attn.weight`
    pub(crate) fn name(&self) -> String {
        self.0.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(".")
    }

    /// The role of the parameter here, which has `axes` axes. The layer that holds it decides; in layers that this crate
    /// does not know, matrices are matrices and vectors are biases.
    pub(crate) fn role(&self, axes: usize) -> Role {
        let mut fields = self.0.iter().rev();
        let (parameter, layer) = (fields.next(), fields.next());
        let (container, name) =
            parameter.map_or(("", ""), |field| (field.container.as_str(), field.name.as_str()));
        match (container, name, layer.map(|field| field.name.as_str())) {
            (_, "bias", _) => Role::Bias,
            ("Struct:Norm", ..) => Role::Norm,
            ("Struct:Scalars", ..) => Role::Scalar,
            ("Struct:Lora", ..) => Role::Adapter,
            ("Struct:Embedding", _, Some("wpe")) => Role::Position,
            ("Struct:Embedding", _, Some("lm_head" | "score")) => Role::Head,
            ("Struct:Embedding", ..) => Role::Embedding,
            _ if axes >= 2 => Role::Matrix,
            _ => Role::Bias,
        }
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use crate::{GptConfig, GptModel};

    #[test]
    fn every_parameter_has_its_name_and_its_role() {
        let config =
            GptConfig { vocab_size: 7, tied_head: false, residual_scalars: true, ..GptConfig::new(2, 1, 4) };
        let model: GptModel<burn_ndarray::NdArray> = config.init(1, &Default::default()).expect("valid");
        let found = parameters(&model);
        let role = |name: &str| {
            found.iter().find(|parameter| parameter.name == name).unwrap_or_else(|| panic!("no {name}")).role
        };
        for (name, expected) in [
            ("wte.weight", Role::Embedding),
            ("wpe.weight", Role::Position),
            ("scalars.residual.weight", Role::Scalar),
            ("scalars.embedding.weight", Role::Scalar),
            ("h.1.ln_1.weight", Role::Norm),
            ("h.1.ln_1.bias", Role::Bias),
            ("h.0.attn.c_attn.weight", Role::Matrix),
            ("h.0.attn.c_attn.bias", Role::Bias),
            ("h.1.mlp.c_proj.weight", Role::Matrix),
            ("ln_f.weight", Role::Norm),
            ("lm_head.weight", Role::Head),
        ] {
            assert_eq!(role(name), expected, "{name}");
        }
        let grouped = GptConfig { n_kv_heads: Some(1), head_dim: Some(6), ..config.clone() };
        let grouped =
            GptConfig { n_heads: 2, ..grouped }.init::<burn_ndarray::NdArray>(1, &Default::default());
        let grouped = parameters(&grouped.expect("valid"));
        let parts = |found: &[Parameter], name: &str| {
            found.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.parts.clone())
        };
        assert_eq!(parts(&found, "h.0.attn.c_attn.weight"), Some(vec![4, 4, 4]));
        assert_eq!(parts(&grouped, "h.1.attn.c_attn.weight"), Some(vec![12, 6, 6]));
        assert_eq!(parts(&found, "h.1.mlp.c_fc.weight"), Some(vec![16]));
        let counted: usize = found.iter().map(Parameter::num_elements).sum();
        assert_eq!(counted, config.num_parameters());
        // In this architecture, what decays is what has two axes.
        assert!(found.iter().all(|parameter| parameter.role.decays() == (parameter.shape.len() == 2)));
    }
}
