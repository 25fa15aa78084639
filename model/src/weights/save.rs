//! Writing a model directory that `transformers` opens.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype as FileDtype, View};
use serde_json::{Value, json};

use super::checksum::{self, Checksum};
use super::collect::{StoredTensor, collect};
use super::family::{Family, MatrixLayout};
use super::{CONFIG, Dtype, GENERATION, SpecialTokens, WEIGHTS, config_file};
use crate::error::{Error, Result};
use crate::file::{replace_file, write_file};
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
    save_weights(model, family, &directory.join(WEIGHTS), dtype)?;
    let config = Value::Object(config_file::contents(family, model.config(), special_tokens, dtype));
    let [begin, end] = ["bos_token_id", "eos_token_id"].map(|key| special_tokens.value(key));
    let generation = json!({ "bos_token_id": begin, "eos_token_id": end, "do_sample": true });
    for (name, value) in [(CONFIG, config), (GENERATION, generation)] {
        write_file(&directory.join(name), format!("{value:#}\n"))?;
    }
    Ok(())
}

/// Replaces the file at `path` by the weights, as the family names and lays them out.
pub(super) fn save_weights<B: Backend>(
    model: &GptModel<B>,
    family: &'static Family,
    path: &Path,
    dtype: Dtype,
) -> Result<()> {
    let tensors = collect(model, family)?.into_iter().map(|tensor| {
        let (layout, shape) = (family.matrices, tensor.shape(family.matrices));
        (tensor.slot.full_name(family), FileTensor { tensor, shape, layout, dtype })
    });
    let mut tensors: Vec<_> = tensors.collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut checksum = Checksum::default();
    for (name, tensor) in &tensors {
        checksum.add(name, tensor.dtype(), tensor.shape(), &tensor.data());
    }
    // Without the format, transformers does not know which framework's layout it is and refuses.
    let metadata = [("format", "pt".to_owned()), (checksum::KEY, checksum.text())];
    let metadata = HashMap::from(metadata.map(|(key, value)| (key.to_owned(), value)));
    replace_file(path, |temporary| {
        safetensors::serialize_to_file(tensors, Some(metadata), temporary).map_err(|error| match error {
            safetensors::SafeTensorError::IoError(source) => Error::Io { path: path.to_owned(), source },
            other => Error::format(path, other.to_string()),
        })
    })
}

/// A tensor in shape and number format of the file.
struct FileTensor {
    tensor: StoredTensor,
    shape: Vec<usize>,
    layout: MatrixLayout,
    dtype: Dtype,
}

impl View for FileTensor {
    fn dtype(&self) -> FileDtype {
        match self.dtype {
            Dtype::F32 => FileDtype::F32,
            Dtype::Bf16 => FileDtype::BF16,
            Dtype::F16 => FileDtype::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.dtype.encode(&self.tensor.values(self.layout)).into()
    }

    fn data_len(&self) -> usize {
        self.tensor.num_elements() * self.dtype.width()
    }
}
