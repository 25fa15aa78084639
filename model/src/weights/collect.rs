//! The tensors of a model as files hold them: by name, fetched from their device one at a time.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::family::{Family, MatrixLayout, Slot};
use crate::backend::is_packed;
use crate::error::{Error, Result};
use crate::parameters::ParameterPath;
use crate::{Backend, GptConfig, GptModel};

/// A tensor that is fetched when its turn to be written comes.
pub(super) struct StoredTensor {
    pub(super) slot: Slot,
    /// Its shape in the model.
    shape: Vec<usize>,
    /// Where its columns begin in the parameter that holds it, beside others.
    first_column: usize,
    read: Box<dyn Fn() -> TensorData>,
}

impl StoredTensor {
    /// Its shape in a file.
    pub(super) fn shape(&self, layout: MatrixLayout) -> Vec<usize> {
        layout.shape(self.slot.role(), self.shape.clone())
    }

    /// Its values in a file, row by row.
    pub(super) fn values(&self, layout: MatrixLayout) -> Vec<f32> {
        let data = (self.read)();
        let values = match data.to_vec::<f32>() {
            Ok(values) => values,
            Err(_) => data.iter::<f32>().collect(),
        };
        let (columns, all) = (self.shape[self.shape.len() - 1], data.shape[data.shape.len() - 1]);
        let values = match columns == all {
            true => values,
            false => {
                let part = self.first_column..self.first_column + columns;
                values.chunks_exact(all).flat_map(|row| &row[part.clone()]).copied().collect()
            }
        };
        layout.values(self.slot.role(), &self.shape, values)
    }
}

/// Every tensor of the family's files, in the order of the model; biases that a model lacks are zeros, and adapters are
/// merged into what they adapt.
///
/// # Errors
///
/// [`Error::Packed`] if the model is held in fewer bits, [`Error::Merge`] if an adapter makes a weight infinite.
pub(super) fn collect<B: Backend>(model: &GptModel<B>, family: &'static Family) -> Result<Vec<StoredTensor>> {
    let merged = model.lora().map(|_| model.clone().merged()).transpose()?;
    let model = merged.as_ref().unwrap_or(model);
    let (path, config) = (ParameterPath::default(), model.config());
    let mut collector = Collector { family, config, path, found: Vec::new(), packed: None };
    model.visit(&mut collector);
    if let Some(parameter) = collector.packed {
        return Err(Error::Packed { parameter });
    }
    let zeros = family.slots(config).filter(|slot| !slot.is_parameter(config)).map(|slot| {
        let shape = slot.shape(config);
        let values = TensorData::zeros::<f32, _>(shape.clone());
        StoredTensor { slot, shape, first_column: 0, read: Box::new(move || values.clone()) }
    });
    collector.found.extend(zeros);
    Ok(collector.found)
}

struct Collector<'a> {
    family: &'static Family,
    config: &'a GptConfig,
    path: ParameterPath,
    found: Vec<StoredTensor>,
    packed: Option<String>,
}

impl<B: Backend> ModuleVisitor<B> for Collector<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        let (path, tensor) = (self.path.name(), parameter.val());
        let slots = self.family.slots_at(&path);
        assert!(!slots.is_empty(), "a family's table has every parameter of its models: {path}");
        if is_packed(&tensor) {
            self.packed.get_or_insert(path);
        }
        let mut first_column = 0;
        for slot in slots {
            let (shape, tensor) = (slot.shape(self.config), tensor.clone());
            let columns = shape[shape.len() - 1];
            self.found.push(StoredTensor {
                slot,
                shape,
                first_column,
                read: Box::new(move || tensor.to_data()),
            });
            first_column += columns;
        }
    }
}
