//! The tensors in the files of a model directory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::family::Family;
use super::mapped::MappedFile;
use super::{INDEX, WEIGHTS, checksum, json_file};
use crate::allocation::vec_with_capacity;
use crate::error::{Error, Result};

/// What programs put before every name: PyTorch's compiler, data parallelism, PEFT.
const WRAPPERS: [&str; 3] = ["_orig_mod.", "module.", "base_model.model."];

/// Files of weights that Kiln does not read, and what they are.
const OTHER_WEIGHTS: [(&str, &str); 6] = [
    ("pytorch_model.bin", "weights in PyTorch's own format"),
    ("pytorch_model.bin.index.json", "weights in PyTorch's own format"),
    ("tf_model.h5", "weights in TensorFlow's format"),
    ("flax_model.msgpack", "weights in Flax's format"),
    ("adapter_model.safetensors", "an adapter, without the model that it changes"),
    ("adapter_config.json", "an adapter, without the model that it changes"),
];

/// Tensors by name, without wrappers and the family's prefix, each with the file that holds it.
pub(super) type Tensors<'a> = HashMap<String, (&'a MappedFile, TensorView<'a>)>;

/// Maps the files of weights in `directory`.
pub(super) fn open(directory: &Path) -> Result<Vec<MappedFile>> {
    weight_files(directory)?.iter().map(|path| MappedFile::open(path)).collect()
}

/// The tensors of `files`; `verified` ones are compared with their checksum.
pub(super) fn tensors_of<'a>(
    family: &Family,
    files: &'a [MappedFile],
    verified: bool,
) -> Result<Tensors<'a>> {
    let mut tensors = HashMap::new();
    for file in files {
        let content = SafeTensors::deserialize(file.bytes())
            .map_err(|error| Error::format(&file.path, format!("not a whole safetensors file: {error}")))?;
        if verified {
            checksum::verify(file, &content)?;
        }
        for (name, view) in content.tensors() {
            let name = bare(&name, family).to_owned();
            if tensors.insert(name.clone(), (file, view)).is_some() {
                return Err(Error::format(&file.path, format!("`{name}` is defined twice")));
            }
        }
    }
    Ok(tensors)
}

fn bare<'a>(name: &'a str, family: &Family) -> &'a str {
    let mut bare = name;
    while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| bare.strip_prefix(wrapper)) {
        bare = inner;
    }
    bare.strip_prefix(family.prefix).unwrap_or(bare)
}

/// The one file of weights, or the shards that the index names.
fn weight_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let single = directory.join(WEIGHTS);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let path = directory.join(INDEX);
    if !path.is_file() {
        return Err(missing(directory, WEIGHTS));
    }

    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_value(json_file::read(&path)?)
        .map_err(|error| Error::format(&path, error.to_string()))?;
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

/// A directory without `file`: what is there instead, if it is known.
pub(super) fn missing(directory: &Path, file: &'static str) -> Error {
    let other = OTHER_WEIGHTS.iter().find(|(name, _)| directory.join(name).is_file());
    match other {
        Some((name, what)) => Error::OtherWeights { path: directory.join(name), what },
        None => Error::NoModel { path: directory.to_owned(), missing: file },
    }
}

/// Whether the numbers of a tensor can be read.
pub(super) fn is_readable(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// The values of a [readable](is_readable) tensor as f32.
pub(super) fn values(view: &TensorView<'_>) -> Vec<f32> {
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
        Dtype::F64 => values.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32)),
        _ => values.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
    }
    values
}
