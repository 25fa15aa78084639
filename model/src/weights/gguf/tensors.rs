//! The tensors: first what and where each is, then their values.

use std::io::Write;

use super::entries::{Entries, put_string};
use crate::Role;
use crate::weights::Dtype;
use crate::weights::collect::StoredTensor;
use crate::weights::family::MatrixLayout;

/// Tensors start at multiples of this, counted from the first of them.
const ALIGNMENT: usize = 32;

/// GGUF holds every matrix as `[d_out, d_in]`.
const LAYOUT: MatrixLayout = MatrixLayout::OutputFirst;

/// Writes the whole file: the entries, where each tensor lies, and the tensors.
pub(super) fn write(
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

/// A tensor in the number format that llama.cpp expects of it.
pub(super) struct GgufTensor {
    tensor: StoredTensor,
    dtype: Dtype,
}

impl GgufTensor {
    /// Matrices are stored in `dtype`; vectors and position embeddings always in f32.
    pub(super) fn new(tensor: StoredTensor, dtype: Dtype) -> Self {
        let dtype = match tensor.slot.role() {
            Role::Embedding | Role::Head | Role::Matrix => dtype,
            Role::Position | Role::Norm | Role::Bias => Dtype::F32,
        };
        Self { tensor, dtype }
    }

    fn len(&self) -> usize {
        self.tensor.num_elements() * self.dtype.width()
    }

    /// Name, sizes with the innermost axis first, type, and place behind the header.
    fn describe(&self, offset: usize, bytes: &mut Vec<u8>) {
        put_string(&self.tensor.slot.gguf_name(), bytes);
        let shape = self.tensor.shape(LAYOUT);
        bytes.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|size| bytes.extend((*size as u64).to_le_bytes()));
        let kind: u32 = match self.dtype {
            Dtype::F32 => 0,
            Dtype::F16 => 1,
            Dtype::Bf16 => 30,
        };
        bytes.extend(kind.to_le_bytes());
        bytes.extend((offset as u64).to_le_bytes());
    }

    fn bytes(&self) -> Vec<u8> {
        self.dtype.encode(&self.tensor.values(LAYOUT))
    }
}
