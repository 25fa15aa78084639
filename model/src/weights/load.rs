//! Opening a model directory: every name, shape and dtype is checked before a weight is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::family::Family;
use super::mapped::MappedFile;
use super::{CONFIG, INDEX, WEIGHTS, config_file};
use crate::allocation::vec_with_capacity;
use crate::error::{Error, Result};
use crate::parameters::ParameterPath;
use crate::precision::{self, Precision};
use crate::{Backend, GptConfig, GptModel};

/// Reads the architecture of the model in `directory`.
///
/// # Errors
///
/// [`Error::NoModel`] if there is none, [`Error::Format`] for an architecture that is not supported.
pub fn load_config(directory: &Path) -> Result<GptConfig> {
    let path = directory.join(CONFIG);
    if !path.is_file() {
        return Err(Error::NoModel { path: directory.to_owned(), missing: CONFIG });
    }
    config_file::read(&path)
}

/// Opens the model in `directory`, in f32, to learn or to be saved.
///
/// Files are mapped, not read into memory; weights in f16 and bf16 are widened one tensor at a time.
///
/// # Errors
///
/// [`Error::NoModel`] if there is none, [`Error::Format`] naming each parameter that is missing, left over,
/// of another shape, of a dtype other than f32, f16 and bf16, or not finite.
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
    let files = weight_files(directory)?;
    let files = files.iter().map(|path| MappedFile::open(path)).collect::<Result<Vec<_>>>()?;
    let tensors = tensors_of(family, &files)?;
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

/// Tensors by name, without the family's prefix, each with the file that holds it.
type Tensors<'a> = HashMap<String, (&'a MappedFile, TensorView<'a>)>;

fn tensors_of<'a>(family: &Family, files: &'a [MappedFile]) -> Result<Tensors<'a>> {
    let mut tensors = HashMap::new();
    for file in files {
        let content = SafeTensors::deserialize(file.bytes())
            .map_err(|error| Error::format(&file.path, format!("not a whole safetensors file: {error}")))?;
        for (name, view) in content.tensors() {
            let name = name.strip_prefix(family.prefix).unwrap_or(&name).to_owned();
            if tensors.insert(name.clone(), (file, view)).is_some() {
                return Err(Error::format(&file.path, format!("`{name}` is defined twice")));
            }
        }
    }
    Ok(tensors)
}

/// The one file of weights, or the shards that the index names.
fn weight_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let single = directory.join(WEIGHTS);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let path = directory.join(INDEX);
    if !path.is_file() {
        return Err(Error::NoModel { path: directory.to_owned(), missing: WEIGHTS });
    }

    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let index: Index =
        serde_json::from_str(&text).map_err(|error| Error::format(&path, error.to_string()))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    shards
        .into_iter()
        .map(|shard| {
            let mut parts = Path::new(&shard).components();
            match (parts.next(), parts.next()) {
                (Some(Component::Normal(name)), None) => Ok(directory.join(name)),
                _ => {
                    Err(Error::format(&path, format!("shard `{shard}` is not a file name in this directory")))
                }
            }
        })
        .collect()
}

/// Compares what the model needs with what the files hold. Nothing is allocated before: a configuration may
/// claim any size, but not one that the files do not have.
fn check(directory: &Path, family: &Family, config: &GptConfig, tensors: &Tensors<'_>) -> Result<()> {
    let unfit = family.slots(config).filter(|slot| slot.is_parameter(config)).filter_map(|slot| {
        let (name, shape) = (slot.name(), slot.shape_in(family.matrices, config));
        match tensors.get(&name) {
            None => Some(format!("`{name}` is missing")),
            Some((_, view)) if view.shape() != shape => {
                Some(format!("`{name}` has shape {:?}, expected {shape:?}", view.shape()))
            }
            Some((_, view)) if !matches!(view.dtype(), Dtype::F32 | Dtype::F16 | Dtype::BF16) => {
                Some(format!("`{name}` is {:?}, expected F32, F16 or BF16", view.dtype()))
            }
            Some(_) => None,
        }
    });
    let is_buffer = |name: &str| family.buffers.iter().any(|end| name.ends_with(end));
    let left_over: BTreeSet<&String> =
        tensors.keys().filter(|name| family.slot_named(config, name).is_none() && !is_buffer(name)).collect();
    let left_over =
        left_over.into_iter().map(|name| format!("`{name}` is no parameter of this architecture"));

    const SHOWN: usize = 8;
    let mut problems: Vec<String> = unfit.take(SHOWN + 1).chain(left_over).take(SHOWN + 1).collect();
    if problems.is_empty() {
        return Ok(());
    }
    if problems.len() > SHOWN {
        problems[SHOWN] = "and more".to_owned();
    }
    Err(Error::format(directory, problems.join("; ")))
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

impl<B: Backend> ModuleMapper<B> for Filler<'_, B> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let path = self.path.name();
        let slot = self.family.slot_at(&path).expect("a family's table has every parameter of its models");
        let (name, role, layout) = (slot.name(), slot.role(), self.family.matrices);
        let Some((file, view)) = self.tensors.get(&name) else {
            return parameter; // `check` has refused this already
        };
        let values = widen(view);
        file.release(view.data());
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            self.error.get_or_insert_with(|| {
                Error::format(&file.path, format!("`{name}` holds {} at element {at}", values[at]))
            });
        }
        let values = layout.values(role, view.shape(), values);
        let data = TensorData::new(values, layout.shape(role, view.shape().to_vec()));
        let tensor = Tensor::from_data(data, (&self.device, DType::F32));
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

/// The values of a tensor as f32.
fn widen(view: &TensorView<'_>) -> Vec<f32> {
    let (bytes, mut values) = (view.data(), vec_with_capacity(view.shape().iter().product()));
    match view.dtype() {
        Dtype::F16 => {
            let elements = bytes.as_chunks().0.iter();
            values.extend(elements.map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()));
        }
        Dtype::BF16 => {
            let elements = bytes.as_chunks().0.iter();
            values.extend(elements.map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()));
        }
        _ => values.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
    }
    values
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use crate::weights::family::MatrixLayout;
    use crate::weights::save::save_weights;
    use burn_ndarray::NdArray;

    #[test]
    fn matrices_may_lie_the_other_way_round() {
        const TRANSPOSED: &Family = &Family { matrices: MatrixLayout::OutputFirst, ..Family::GPT2 };
        let config = GptConfig { vocab_size: 7, ..GptConfig::new(1, 1, 4) };
        let device = Default::default();
        let model = config.init::<NdArray>(1, &device).expect("valid");
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join(WEIGHTS);
        save_weights(&model, TRANSPOSED, &path, crate::Dtype::F32).expect("writable");

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
