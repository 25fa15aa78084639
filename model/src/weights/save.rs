//! Writing a model directory that `transformers` opens.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Tensor;
use serde_json::{Value, json};

use super::collect::collect;
use super::family::Family;
use super::tensor_file::{self, FileTensor};
use super::{CONFIG, Dtype, GENERATION, SpecialTokens, WEIGHTS, config_file};
use crate::error::{Error, Result};
use crate::file::write_file;
use crate::{Backend, GptModel};

/// Writes `config.json`, `generation_config.json` and `model.safetensors` into `directory`, which is created
/// if need be. `special_tokens` go into both `.json` files.
///
/// Each file is replaced as a whole; a model that was there stays until the new one is on the disk.
///
/// # Errors
///
/// [`Error::Io`] with the path, for instance when the disk is full.
pub fn save<B: Backend>(
    model: &GptModel<B>,
    directory: &Path,
    dtype: Dtype,
    special_tokens: &SpecialTokens,
) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(Error::io(directory))?;
    let family = Family::of(model.config());
    save_weights(model, family, &directory.join(WEIGHTS), dtype, None)?;
    let config = Value::Object(config_file::contents(family, model.config(), special_tokens, dtype));
    write_file(&directory.join(CONFIG), format!("{config:#}\n"))?;
    save_generation(directory, special_tokens)
}

/// Writes `generation_config.json` alone: what an adapter says of the tokens that end its texts.
///
/// # Errors
///
/// [`Error::Io`] with the path.
pub fn save_generation(directory: &Path, special_tokens: &SpecialTokens) -> Result<()> {
    let [begin, end] = ["bos_token_id", "eos_token_id"].map(|key| special_tokens.value(key));
    let generation = json!({ "bos_token_id": begin, "eos_token_id": end, "do_sample": true });
    write_file(&directory.join(GENERATION), format!("{generation:#}\n"))
}

/// Replaces the file at `path` by the weights, as the family names and lays them out, and a tensor beside them.
pub(super) fn save_weights<B: Backend>(
    model: &GptModel<B>,
    family: &'static Family,
    path: &Path,
    dtype: Dtype,
    extra: Option<(String, Tensor<B, 2>)>,
) -> Result<()> {
    let tensors = collect(model, family)?.into_iter().map(|tensor| {
        let (layout, shape) = (family.matrices, tensor.shape(family.matrices));
        let name = tensor.slot.full_name(family);
        (name, FileTensor::new(shape, dtype, move || tensor.values(layout)))
    });
    let extra = extra.map(|(name, tensor)| (name, FileTensor::of(tensor, dtype)));
    tensor_file::write(path, tensors.chain(extra).collect(), BTreeMap::new())
}
