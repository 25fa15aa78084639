//! Writing a safetensors file, one tensor in memory at a time.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::tensor::Tensor;
use safetensors::{Dtype as FileDtype, View};

use super::checksum::{self, Checksum};
use super::{Dtype, metadata};
use crate::Backend;
use crate::error::{Error, Result};
use crate::file::replace_file;

/// A tensor in shape and number format of the file, fetched when its turn comes.
pub(super) struct FileTensor {
    shape: Vec<usize>,
    dtype: Dtype,
    values: Box<dyn Fn() -> Vec<f32>>,
}

impl FileTensor {
    pub(super) fn new(shape: Vec<usize>, dtype: Dtype, values: impl Fn() -> Vec<f32> + 'static) -> Self {
        Self { shape, dtype, values: Box::new(values) }
    }

    /// A matrix as it is.
    pub(super) fn of<B: Backend>(tensor: Tensor<B, 2>, dtype: Dtype) -> Self {
        Self::new(tensor.dims().to_vec(), dtype, move || tensor.to_data().iter::<f32>().collect())
    }
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

/// Replaces the file at `path` by these tensors, with `metadata` and a checksum in its header.
pub(super) fn write(
    path: &Path,
    mut tensors: Vec<(String, FileTensor)>,
    mut metadata: BTreeMap<String, String>,
) -> Result<()> {
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut checksum = Checksum::default();
    for (name, tensor) in &tensors {
        checksum.add(name, tensor.dtype(), tensor.shape(), &tensor.data());
    }
    // Without the format, transformers does not know which framework's layout it is and refuses.
    metadata.insert("format".to_owned(), "pt".to_owned());
    metadata.insert(checksum::KEY.to_owned(), checksum.text());
    let unordered: HashMap<String, String> = metadata.clone().into_iter().collect();
    replace_file(path, |temporary| {
        safetensors::serialize_to_file(tensors, Some(unordered), temporary).map_err(|error| match error {
            safetensors::SafeTensorError::IoError(source) => Error::Io { path: path.to_owned(), source },
            other => Error::format(path, other.to_string()),
        })?;
        metadata::order(temporary, &metadata).map_err(Error::io(path))
    })
}
