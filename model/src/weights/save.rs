//! Writing a model directory that `transformers` opens.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use burn::tensor::Tensor;
use safetensors::{Dtype as FileDtype, View};
use serde_json::{Value, json};

use super::checksum::{self, Checksum};
use super::collect::collect;
use super::family::Family;
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
    save_weights(model, family, &directory.join(WEIGHTS), dtype, None)?;
    let config = Value::Object(config_file::contents(family, model.config(), special_tokens, dtype));
    let [begin, end] = ["bos_token_id", "eos_token_id"].map(|key| special_tokens.value(key));
    let generation = json!({ "bos_token_id": begin, "eos_token_id": end, "do_sample": true });
    for (name, value) in [(CONFIG, config), (GENERATION, generation)] {
        write_file(&directory.join(name), format!("{value:#}\n"))?;
    }
    Ok(())
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
        (name, FileTensor { shape, dtype, values: Box::new(move || tensor.values(layout)) })
    });
    let extra = extra.map(|(name, tensor)| {
        let shape = tensor.dims().to_vec();
        let values = move || tensor.to_data().iter::<f32>().collect();
        (name, FileTensor { shape, dtype, values: Box::new(values) })
    });
    let mut tensors: Vec<_> = tensors.chain(extra).collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut checksum = Checksum::default();
    for (name, tensor) in &tensors {
        checksum.add(name, tensor.dtype(), tensor.shape(), &tensor.data());
    }
    // Without the format, transformers does not know which framework's layout it is and refuses.
    let metadata = [("format".to_owned(), "pt".to_owned()), (checksum::KEY.to_owned(), checksum.text())];
    let unordered = HashMap::from(metadata.clone());
    replace_file(path, |temporary| {
        safetensors::serialize_to_file(tensors, Some(unordered), temporary).map_err(|error| match error {
            safetensors::SafeTensorError::IoError(source) => Error::Io { path: path.to_owned(), source },
            other => Error::format(path, other.to_string()),
        })?;
        order_metadata(temporary, &metadata).map_err(Error::io(path))
    })
}

/// Puts the two entries of a file's metadata in order: the library writes them in an order that changes from run to run, and
/// equal models are to be equal files.
fn order_metadata(path: &Path, [first, second]: &[(String, String); 2]) -> std::io::Result<()> {
    let entry = |(key, value): &(String, String)| format!("\"{key}\":\"{value}\"");
    let (first, second) = (entry(first), entry(second));
    let (wanted, other) = (format!("{first},{second}"), format!("{second},{first}"));
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    let mut start = vec![0; HEADER_START];
    let length = file.read(&mut start)?;
    let found = start[..length].windows(other.len()).position(|window| window == other.as_bytes());
    if let Some(position) = found {
        file.seek(SeekFrom::Start(position as u64))?;
        file.write_all(wanted.as_bytes())?;
    }
    Ok(())
}

/// Bytes in which a file's metadata ends: it comes first, after eight bytes of length.
const HEADER_START: usize = 512;

/// A tensor in shape and number format of the file, fetched when its turn comes.
struct FileTensor {
    shape: Vec<usize>,
    dtype: Dtype,
    values: Box<dyn Fn() -> Vec<f32>>,
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
        self.dtype.encode(&(self.values)()).into()
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.width()
    }
}
