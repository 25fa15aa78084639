//! Writing a model directory that `transformers` opens.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype as FileDtype, View};
use serde_json::json;

use super::collect::{Parameter, collect};
use super::hf_config::HfConfig;
use super::names::PREFIX;
use super::{CONFIG, Dtype, GENERATION, WEIGHTS};
use crate::error::{Error, Result};
use crate::file::{replace_file, write_file};
use crate::{Backend, GptModel};

/// Writes `config.json`, `generation_config.json` and `model.safetensors` into `directory`, which is created if need
/// be. `end_of_text` is the token that separates documents, if the tokenizer has one.
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
    end_of_text: Option<u32>,
) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(Error::io(directory))?;

    let tensors = collect(model)?.into_iter().map(|parameter| {
        let name = match parameter.name.as_str() {
            "lm_head.weight" => parameter.name.clone(),
            name => format!("{PREFIX}{name}"),
        };
        (name, FileTensor { parameter, dtype })
    });
    let tensors: Vec<_> = tensors.collect();
    // Without this mark, transformers does not know which framework's layout it is and refuses.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let weights = directory.join(WEIGHTS);
    replace_file(&weights, |temporary| {
        safetensors::serialize_to_file(tensors, Some(metadata), temporary).map_err(|error| match error {
            safetensors::SafeTensorError::IoError(source) => Error::Io { path: weights.clone(), source },
            other => Error::format(&weights, other.to_string()),
        })
    })?;

    let config = HfConfig::new(model.config(), end_of_text, dtype);
    let config = serde_json::to_value(&config).expect("a struct of numbers and strings serialises");
    let generation = json!({ "bos_token_id": end_of_text, "eos_token_id": end_of_text, "do_sample": true });
    for (name, value) in [(CONFIG, config), (GENERATION, generation)] {
        write_file(&directory.join(name), format!("{value:#}\n"))?;
    }
    Ok(())
}

/// A parameter in the number format of the file.
struct FileTensor {
    parameter: Parameter,
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
        &self.parameter.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.dtype.encode(&self.parameter.values()).into()
    }

    fn data_len(&self) -> usize {
        self.parameter.num_elements() * self.dtype.width()
    }
}
