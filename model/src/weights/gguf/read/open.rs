//! What opening a model asks of a GGUF file.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use super::config;
use super::file::Gguf;
use super::special_tokens;
use crate::GptConfig;
use crate::error::{Error, Result};
use crate::weights::gguf::architecture::Architecture;
use crate::weights::mapped::MappedFile;
use crate::weights::source::SourceTensor;
use crate::weights::{SpecialTokens, config_file};

/// Whether a path is that of a GGUF file, by its ending `.gguf`.
pub fn is_gguf(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")) && !path.is_dir()
}

/// The architecture of the model in the file at `path`.
pub(in crate::weights) fn load_config(path: &Path) -> Result<GptConfig> {
    let file = MappedFile::open(path)?;
    let config = config::config_json(&Gguf::read(&file)?)?;
    config_file::interpret(path, &Value::Object(config), "")
}

/// The tokens that begin, end and fill up texts.
pub(in crate::weights) fn load_special_tokens(path: &Path) -> Result<SpecialTokens> {
    let file = MappedFile::open(path)?;
    special_tokens::of(&Gguf::read(&file)?)
}

/// Every parameter in the file, by its own name.
///
/// # Errors
///
/// [`Error::Quantisation`] for a tensor in a format that is not read.
pub(in crate::weights) fn tensors(file: &MappedFile) -> Result<Vec<(String, SourceTensor<'_>)>> {
    let gguf = Gguf::read(file)?;
    let architecture = Architecture::of(&gguf)?;
    let parameters = gguf.tensors.iter().filter(|tensor| !architecture.describes(tensor.name));
    let tensors = parameters.map(|tensor| {
        let encoding = tensor.tensor_type.encoding.ok_or_else(|| Error::Quantisation {
            path: file.path.clone(),
            tensor: tensor.name.to_owned(),
            found: tensor.tensor_type.name,
        })?;
        let pairs = architecture.heads_of_pairs(&gguf, tensor)?;
        let tensor_of_file = SourceTensor::new(file, tensor.shape.clone(), Ok(encoding), tensor.bytes);
        Ok((tensor.name.to_owned(), tensor_of_file.with_pairs(pairs)))
    });
    tensors.collect()
}
