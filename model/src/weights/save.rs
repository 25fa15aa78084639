//! Writing a model directory that `transformers` opens.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::{Dtype as FileDtype, View};
use serde_json::json;

use super::hf_config::HfConfig;
use super::names::{PREFIX, PathStack, absent_biases};
use super::{CONFIG, GENERATION, WEIGHTS, write_atomically};
use crate::error::{Error, Result};
use crate::{Backend, GptModel};

/// Number format of the weights in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit IEEE.
    #[default]
    F32,
    /// 16-bit brain float: f32's range, 8 bits of precision.
    Bf16,
    /// 16-bit IEEE: 11 bits of precision, largest value 65,504.
    F16,
}

impl Dtype {
    fn in_file(self) -> FileDtype {
        match self {
            Self::F32 => FileDtype::F32,
            Self::Bf16 => FileDtype::BF16,
            Self::F16 => FileDtype::F16,
        }
    }

    fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    fn encode(self, values: impl Iterator<Item = f32>) -> Vec<u8> {
        match self {
            Self::F32 => values.flat_map(f32::to_le_bytes).collect(),
            Self::Bf16 => values.flat_map(|value| half::bf16::from_f32(value).to_le_bytes()).collect(),
            Self::F16 => values.flat_map(|value| half::f16::from_f32(value).to_le_bytes()).collect(),
        }
    }
}

/// Writes `config.json`, `generation_config.json` and `model.safetensors` into `directory`, which is created if need be. `end_of_text` is the
/// token that separates documents, if the tokenizer has one.
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

    let mut collector = Collector { path: PathStack::default(), dtype, found: Vec::new() };
    model.visit(&mut collector);
    let mut tensors = collector.found;
    tensors.extend(absent_biases(model.config()).into_iter().map(|(name, shape)| {
        let values = TensorData::zeros::<f32, _>(shape.clone());
        (format!("{PREFIX}{name}"), Parameter { shape, dtype, read: Box::new(move || values.clone()) })
    }));
    // Without this mark, transformers does not know which framework's layout it is and refuses.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let weights = directory.join(WEIGHTS);
    write_atomically(&weights, |temporary| {
        safetensors::serialize_to_file(tensors, Some(metadata), temporary).map_err(|error| match error {
            safetensors::SafeTensorError::IoError(source) => Error::Io { path: weights.clone(), source },
            other => Error::format(&weights, other.to_string()),
        })
    })?;

    let config = HfConfig::new(model.config(), end_of_text, dtype.torch_name());
    let config = serde_json::to_value(&config).expect("a struct of numbers and strings serialises");
    let generation = json!({ "bos_token_id": end_of_text, "eos_token_id": end_of_text, "do_sample": true });
    for (name, value) in [(CONFIG, config), (GENERATION, generation)] {
        write_atomically(&directory.join(name), |temporary| {
            std::fs::write(temporary, format!("{value:#}\n")).map_err(Error::io(temporary))
        })?;
    }
    Ok(())
}

/// A tensor that is fetched from its device when its turn to be written comes.
struct Parameter {
    shape: Vec<usize>,
    dtype: Dtype,
    read: Box<dyn Fn() -> TensorData>,
}

impl View for Parameter {
    fn dtype(&self) -> FileDtype {
        self.dtype.in_file()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.dtype.encode((self.read)().iter::<f32>()).into()
    }

    fn data_len(&self) -> usize {
        let width = if self.dtype == Dtype::F32 { 4 } else { 2 };
        self.shape.iter().product::<usize>() * width
    }
}

struct Collector {
    path: PathStack,
    dtype: Dtype,
    found: Vec<(String, Parameter)>,
}

impl<B: Backend> ModuleVisitor<B> for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        let name = self.path.name();
        let name = if name == "lm_head.weight" { name } else { format!("{PREFIX}{name}") };
        let tensor = parameter.val();
        let shape = tensor.dims().to_vec();
        let read = Box::new(move || tensor.to_data());
        self.found.push((name, Parameter { shape, dtype: self.dtype, read }));
    }
}
