//! The parameters of a model as files hold them: by name, fetched from their device one at a time.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::names::{PathStack, is_parameter, layout};
use crate::backend::is_narrow;
use crate::error::{Error, Result};
use crate::{Backend, GptModel};

/// A tensor that is fetched when its turn to be written comes.
pub(super) struct Parameter {
    /// Name in GPT-2's layout, without the `transformer.` before it.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    read: Box<dyn Fn() -> TensorData>,
}

impl Parameter {
    /// Its values, row by row.
    pub(super) fn values(&self) -> Vec<f32> {
        let data = (self.read)();
        match data.to_vec::<f32>() {
            Ok(values) => values,
            Err(_) => data.iter::<f32>().collect(),
        }
    }

    pub(super) fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Every tensor of GPT-2's layout, in the order of the model; biases that a model lacks are zeros.
///
/// # Errors
///
/// [`Error::Narrow`] if the model is held in fewer bits.
pub(super) fn collect<B: Backend>(model: &GptModel<B>) -> Result<Vec<Parameter>> {
    let mut collector = Collector { path: PathStack::default(), found: Vec::new(), narrow: None };
    model.visit(&mut collector);
    if let Some(parameter) = collector.narrow {
        return Err(Error::Narrow { parameter });
    }
    let config = model.config();
    let absent = layout(config).filter(|(name, _)| !is_parameter(config, name));
    let zeros = absent.map(|(name, shape)| {
        let values = TensorData::zeros::<f32, _>(shape.clone());
        Parameter { name, shape, read: Box::new(move || values.clone()) }
    });
    collector.found.extend(zeros);
    Ok(collector.found)
}

struct Collector {
    path: PathStack,
    found: Vec<Parameter>,
    narrow: Option<String>,
}

impl<B: Backend> ModuleVisitor<B> for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        let tensor = parameter.val();
        if is_narrow(&tensor) {
            self.narrow.get_or_insert_with(|| self.path.name());
        }
        let shape = tensor.dims().to_vec();
        let read = Box::new(move || tensor.to_data());
        self.found.push(Parameter { name: self.path.name(), shape, read });
    }
}
