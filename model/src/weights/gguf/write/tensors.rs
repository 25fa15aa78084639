//! The tensors: first what and where each is, then their values.

use std::io::Write;

use super::entries::{Entries, put_string};
use crate::weights::Dtype;
use crate::weights::collect::StoredTensor;
use crate::weights::family::MatrixLayout;
use crate::weights::gguf::architecture::{Architecture, HeadsOf};
use crate::weights::gguf::rotary::pairs_of_halves;
use crate::{GptConfig, Role};

/// Tensors start at multiples of this, counted from the first of them.
const ALIGNMENT: usize = 32;

/// GGUF holds every matrix as `[d_out, d_in]`.
const LAYOUT: MatrixLayout = MatrixLayout::OutputFirst;

/// Writes the whole file: the entries, where each tensor lies, and the tensors.
pub(in crate::weights::gguf) fn write(
    entries: &Entries,
    tensors: &[GgufTensor],
    mut output: impl Write,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    head.extend(b"GGUF");
    head.extend(3u32.to_le_bytes()); // version
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend(entries.count.to_le_bytes());
    head.extend(&entries.bytes);
    let mut offset = 0;
    for tensor in tensors {
        tensor.describe(offset, &mut head);
        offset += tensor.len().next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
    output.write_all(&head)?;
    for tensor in tensors {
        let mut bytes = tensor.bytes();
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        output.write_all(&bytes)?;
    }
    output.flush()
}

/// A tensor as the file holds it.
pub(in crate::weights::gguf) struct GgufTensor {
    name: String,
    /// The outermost axis first, as everywhere but in the file.
    shape: Vec<usize>,
    dtype: Dtype,
    values: Box<dyn Fn() -> Vec<f32>>,
}

impl GgufTensor {
    /// A parameter of a model: matrices in `dtype`; vectors and position embeddings always in f32.
    pub(super) fn parameter(
        tensor: StoredTensor,
        architecture: &Architecture,
        config: &GptConfig,
        dtype: Dtype,
    ) -> Self {
        let (name, shape) = (tensor.slot.gguf_name(), tensor.shape(LAYOUT));
        let dtype = match tensor.slot.role() {
            Role::Embedding | Role::Head | Role::Matrix => dtype,
            Role::Position | Role::Norm | Role::Bias | Role::Scalar | Role::Adapter => Dtype::F32,
        };
        let heads = config.heads();
        let heads = architecture.neighbours(&name).map(|heads_of| match heads_of {
            HeadsOf::Queries => heads.n_heads,
            HeadsOf::Keys => heads.n_kv_heads,
        });
        let rows = shape[0];
        let values: Box<dyn Fn() -> Vec<f32>> = match heads {
            Some(heads) => Box::new(move || pairs_of_halves(&tensor.values(LAYOUT), rows, heads)),
            None => Box::new(move || tensor.values(LAYOUT)),
        };
        Self { name, shape, dtype, values }
    }

    /// A vector that is no parameter.
    pub(in crate::weights::gguf) fn vector(name: &str, values: Vec<f32>) -> Self {
        let shape = vec![values.len()];
        let values = Box::new(move || values.clone());
        Self { name: name.to_owned(), shape, dtype: Dtype::F32, values }
    }

    fn len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.width()
    }

    /// Name, sizes with the innermost axis first, type, and place behind the header.
    fn describe(&self, offset: usize, bytes: &mut Vec<u8>) {
        put_string(&self.name, bytes);
        bytes.extend((self.shape.len() as u32).to_le_bytes());
        self.shape.iter().rev().for_each(|size| bytes.extend((*size as u64).to_le_bytes()));
        let kind: u32 = match self.dtype {
            Dtype::F32 => 0,
            Dtype::F16 => 1,
            Dtype::Bf16 => 30,
        };
        bytes.extend(kind.to_le_bytes());
        bytes.extend((offset as u64).to_le_bytes());
    }

    fn bytes(&self) -> Vec<u8> {
        self.dtype.encode(&(self.values)())
    }
}
