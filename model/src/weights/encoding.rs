//! How files write the numbers of a tensor.

use super::gguf::Quantised;
use crate::allocation::vec_with_capacity;

/// A way to write numbers that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    F64,
    F32,
    F16,
    Bf16,
    /// In blocks of a few bits a value.
    Quantised(Quantised),
}

impl Encoding {
    /// The encoding of a tensor in a safetensors file, if it is one of numbers that can be weights.
    pub(super) fn of_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype;
        match dtype {
            Dtype::F64 => Some(Self::F64),
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    /// The `count` values that `bytes` hold, as f32.
    pub(super) fn values(self, bytes: &[u8], count: usize) -> Vec<f32> {
        let mut values = vec_with_capacity(count);
        match self {
            Self::F16 => {
                let elements = bytes.as_chunks().0.iter();
                values.extend(elements.map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()));
            }
            Self::Bf16 => {
                let elements = bytes.as_chunks().0.iter();
                values.extend(elements.map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()));
            }
            Self::F64 => values.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32)),
            Self::F32 => values.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
            Self::Quantised(quantised) => {
                values.resize(count, 0.0);
                quantised.decode(bytes, &mut values);
            }
        }
        values
    }
}
