//! Opening a model directory: every name, shape and dtype is checked before a weight is read.

use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor, TensorData};

use super::check::{check, has_own_head};
use super::family::{Family, Slot};
use super::source::Tensors;
use super::{CONFIG, config_file, gguf, weight_files};
use crate::error::{Error, Result};
use crate::parameters::ParameterPath;
use crate::precision::{self, Precision};
use crate::{Backend, GptConfig, GptModel};

/// Reads the architecture of the model in `directory`, or in the GGUF file of that path. A head that is stored beside a
/// token embedding unlike it is not tied, whatever `config.json` says.
///
/// # Errors
///
/// [`Error::NoModel`] if there is none, [`Error::Format`] for an architecture that is not supported.
pub fn load_config(directory: &Path) -> Result<GptConfig> {
    if gguf::is_gguf(directory) {
        return gguf::load_config(directory);
    }
    let path = directory.join(CONFIG);
    if !path.is_file() {
        return Err(weight_files::missing(directory, CONFIG));
    }
    let mut config = config_file::read(&path)?;
    if config.tied_head {
        let family = Family::of(&config);
        // What is wrong with the files is told when the weights are needed.
        let files = weight_files::open(directory).unwrap_or_default();
        let tensors = Tensors::of(family, &files, false);
        config.tied_head = !tensors.is_ok_and(|tensors| has_own_head(family, &tensors));
    }
    Ok(config)
}

/// The tensors in `directory` that belong to other heads than the one that predicts tokens, such as `v_head.weight`:
/// loading skips them. Files that cannot be read have none.
pub fn unused_heads(directory: &Path, config: &GptConfig) -> Vec<String> {
    let family = Family::of(config);
    let files = weight_files::open(directory).unwrap_or_default();
    let Ok(tensors) = Tensors::of(family, &files, false) else { return Vec::new() };
    let is_unused = |name: &&str| family.other_heads.iter().any(|head| name.starts_with(head));
    let mut names: Vec<String> = tensors.names().filter(is_unused).map(str::to_owned).collect();
    names.sort();
    names
}

/// Opens the model in `directory`, or in the GGUF file of that path, in f32, to learn or to be saved.
///
/// Files are mapped, not read into memory; weights in other formats become f32 one tensor at a time.
///
/// # Errors
///
/// [`Error::NoModel`] or [`Error::OtherWeights`] if there is none, [`Error::Format`] naming each parameter that is
/// missing, left over, of another shape, of a dtype other than f64, f32, f16 and bf16, or not finite,
/// [`Error::Quantisation`] naming one that is quantised in a way that is not read, [`Error::Damaged`] if the weights are
/// not those that were written.
pub fn load<B: Backend>(directory: &Path, device: &B::Device) -> Result<GptModel<B>> {
    load_weights(directory, &load_config(directory)?, device, None)
}

/// [`load`] for inference, [as](GptModel::with_precision) the backend reads the matrices fastest: a model
/// that is not to learn. In fewer bits its matrices never lie in memory as a whole in f32.
///
/// # Errors
///
/// As [`load`], and [`Error::Precision`] if the backend cannot hold them so.
pub fn load_with_precision<B: Backend>(
    directory: &Path,
    device: &B::Device,
    precision: Precision,
) -> Result<GptModel<B>> {
    load_weights(directory, &load_config(directory)?, device, Some(precision))
}

/// The weights in `directory`, for the architecture that [`load_config`] read there: [`load`], or with a
/// precision [`load_with_precision`].
///
/// # Errors
///
/// As [`load`] and [`load_with_precision`].
pub fn load_weights<B: Backend>(
    directory: &Path,
    config: &GptConfig,
    device: &B::Device,
    precision: Option<Precision>,
) -> Result<GptModel<B>> {
    fill(Family::of(config), directory, config, device, precision)
}

/// [`load_weights`], from files of this family.
fn fill<B: Backend>(
    family: &'static Family,
    directory: &Path,
    config: &GptConfig,
    device: &B::Device,
    precision: Option<Precision>,
) -> Result<GptModel<B>> {
    let files = weight_files::open(directory)?;
    let tensors = Tensors::of(family, &files, true)?;
    check(directory, family, config, &tensors)?;
    let shell = GptModel::<B>::uninitialised(config, device);
    let (path, device) = (ParameterPath::default(), device.clone());
    let mut filler = Filler::<B> { family, tensors, path, device, precision, error: None };
    let model = shell.map(&mut filler);
    match filler.error {
        None => Ok(model),
        Some(error) => Err(error),
    }
}

/// Replaces each parameter of the shell by the tensor of its name.
struct Filler<'a, B: Backend> {
    family: &'static Family,
    tensors: Tensors<'a>,
    path: ParameterPath,
    device: B::Device,
    precision: Option<Precision>,
    error: Option<Error>,
}

impl<B: Backend> Filler<'_, B> {
    /// The parameter that the files hold in these parts.
    fn read<const D: usize>(&mut self, slots: &[Slot]) -> Option<Tensor<B, D>> {
        let (mut values, mut shape) = (Vec::new(), Vec::new());
        for slot in slots {
            let (part, part_shape) = self.read_part(slot)?;
            if values.is_empty() {
                (values, shape) = (part, part_shape);
            } else {
                // Parts lie one behind the other: what each output reads is a row where there are several.
                values.extend(part);
                shape[0] += part_shape[0];
            }
        }
        let role = slots[0].role();
        let layout = self.tensors.layout();
        let in_model = layout.shape(role, shape.clone());
        let tensor =
            |values, shape| Tensor::from_data(TensorData::new(values, shape), (&self.device, DType::F32));
        if self.precision.is_some() && in_model != shape {
            // Inference reads a matrix output by output: no number has to move.
            return Some(tensor(values, shape).swap_dims(0, 1));
        }
        Some(tensor(layout.values(role, &shape, values), in_model))
    }

    /// The values of a tensor of the files, and its shape there.
    fn read_part(&mut self, slot: &Slot) -> Option<(Vec<f32>, Vec<usize>)> {
        let stored = self.tensors.get(slot)?;
        let values = stored.values();
        stored.release();
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let name = self.tensors.name(slot);
            self.error.get_or_insert_with(|| {
                stored.wrong(format!("`{name}` holds {} at element {at}", values[at]))
            });
        }
        Some((values, stored.shape().to_vec()))
    }
}

impl<B: Backend> ModuleMapper<B> for Filler<'_, B> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let path = self.path.name();
        let slots = self.family.slots_at(&path);
        let role = slots.first().expect("a family's table has every parameter of its models").role();
        let Some(tensor) = self.read(&slots) else {
            return parameter; // `check` has refused this already
        };
        let Some(precision) = self.precision else {
            return Param::initialized(parameter.id, tensor.require_grad());
        };
        match precision::pack(&path, role, tensor, precision) {
            Ok(tensor) => Param::initialized(parameter.id, tensor),
            Err(error) => {
                self.error.get_or_insert(error);
                parameter
            }
        }
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use crate::weights::WEIGHTS;
    use crate::weights::family::MatrixLayout;
    use crate::weights::save::save_weights;
    use burn_ndarray::NdArray;
    use safetensors::SafeTensors;

    #[test]
    fn matrices_may_lie_the_other_way_round() {
        const TRANSPOSED: &Family = &Family { matrices: MatrixLayout::OutputFirst, ..Family::GPT2 };
        let config = GptConfig { vocab_size: 7, ..GptConfig::new(1, 1, 4) };
        let device = Default::default();
        let model = config.init::<NdArray>(1, &device).expect("valid");
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join(WEIGHTS);
        save_weights(&model, TRANSPOSED, &path, crate::Dtype::F32, None).expect("writable");

        let bytes = std::fs::read(&path).expect("readable");
        let written = SafeTensors::deserialize(&bytes).expect("whole");
        let shape = |name: &str| written.tensor(name).expect("it is there").shape().to_vec();
        assert_eq!(shape("transformer.h.0.attn.c_attn.weight"), [12, 4]);
        assert_eq!(shape("transformer.wte.weight"), [7, 4]);
        let loaded = fill::<NdArray>(TRANSPOSED, folder.path(), &config, &device, None).expect("a model");
        let weights = |model: &GptModel<NdArray>| model.h[0].mlp.c_fc.weight.val().into_data();
        assert_eq!(weights(&loaded), weights(&model));
    }
}
