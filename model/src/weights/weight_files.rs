//! Which files hold the weights of a model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::mapped::MappedFile;
use super::{INDEX, WEIGHTS, gguf, json_file};
use crate::error::{Error, Result};

/// Files of weights that Kiln does not read, and what they are.
const OTHER_WEIGHTS: [(&str, &str); 6] = [
    ("pytorch_model.bin", "weights in PyTorch's own format"),
    ("pytorch_model.bin.index.json", "weights in PyTorch's own format"),
    ("tf_model.h5", "weights in TensorFlow's format"),
    ("flax_model.msgpack", "weights in Flax's format"),
    ("adapter_model.safetensors", "an adapter, without the model that it changes"),
    ("adapter_config.json", "an adapter, without the model that it changes"),
];

/// Maps the files of weights in `directory`, or the GGUF file of that path.
pub(super) fn open(directory: &Path) -> Result<Vec<MappedFile>> {
    if gguf::is_gguf(directory) {
        return Ok(vec![MappedFile::open(directory)?]);
    }
    weight_files(directory)?.iter().map(|path| MappedFile::open(path)).collect()
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

/// A directory with the configuration of an adapter, and without its matrices in `file`.
pub(super) fn missing_adapter(directory: &Path, file: &'static str) -> Error {
    let reason = match directory.join("adapter_model.bin").is_file() {
        true => format!("its matrices are in PyTorch's own format; Kiln reads {file}, which is not there"),
        false => format!("there is no `{file}`"),
    };
    Error::format(directory, reason)
}

/// A directory without `file`: what is there instead, if it is known.
pub(super) fn missing(directory: &Path, file: &'static str) -> Error {
    let other = OTHER_WEIGHTS.iter().find(|(name, _)| directory.join(name).is_file());
    match other {
        Some((name, what)) => Error::OtherWeights { path: directory.join(name), what },
        None => Error::NoModel { path: directory.to_owned(), missing: file },
    }
}
