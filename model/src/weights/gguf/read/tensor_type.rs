//! ggml's ways of writing a tensor: by number, name and size of their blocks.

use crate::weights::encoding::Encoding;
use crate::weights::gguf::quantised::Quantised;

/// A type of tensor.
#[derive(Debug)]
pub(in crate::weights::gguf) struct TensorType {
    /// Its number in the file.
    pub(super) number: u32,
    /// Its name at llama.cpp.
    pub(in crate::weights::gguf) name: &'static str,
    /// Values of a block; a row is made of whole ones.
    values: u64,
    /// Bytes of a block.
    bytes: u64,
    /// How it is read, if it is.
    pub(in crate::weights::gguf) encoding: Option<Encoding>,
}

const fn read(number: u32, name: &'static str, values: u64, bytes: u64, encoding: Encoding) -> TensorType {
    TensorType { number, name, values, bytes, encoding: Some(encoding) }
}

const fn unread(number: u32, name: &'static str, values: u64, bytes: u64) -> TensorType {
    TensorType { number, name, values, bytes, encoding: None }
}

/// All of them.
pub(super) const TYPES: [TensorType; 34] = [
    read(0, "F32", 1, 4, Encoding::F32),
    read(1, "F16", 1, 2, Encoding::F16),
    read(2, "Q4_0", 32, 18, Encoding::Quantised(Quantised::Q4_0)),
    read(3, "Q4_1", 32, 20, Encoding::Quantised(Quantised::Q4_1)),
    read(6, "Q5_0", 32, 22, Encoding::Quantised(Quantised::Q5_0)),
    read(7, "Q5_1", 32, 24, Encoding::Quantised(Quantised::Q5_1)),
    read(8, "Q8_0", 32, 34, Encoding::Quantised(Quantised::Q8_0)),
    unread(9, "Q8_1", 32, 40),
    unread(10, "Q2_K", 256, 84),
    unread(11, "Q3_K", 256, 110),
    read(12, "Q4_K", 256, 144, Encoding::Quantised(Quantised::Q4K)),
    read(13, "Q5_K", 256, 176, Encoding::Quantised(Quantised::Q5K)),
    read(14, "Q6_K", 256, 210, Encoding::Quantised(Quantised::Q6K)),
    unread(15, "Q8_K", 256, 292),
    unread(16, "IQ2_XXS", 256, 66),
    unread(17, "IQ2_XS", 256, 74),
    unread(18, "IQ3_XXS", 256, 98),
    unread(19, "IQ1_S", 256, 50),
    unread(20, "IQ4_NL", 32, 18),
    unread(21, "IQ3_S", 256, 110),
    unread(22, "IQ2_S", 256, 82),
    unread(23, "IQ4_XS", 256, 136),
    unread(24, "I8", 1, 1),
    unread(25, "I16", 1, 2),
    unread(26, "I32", 1, 4),
    unread(27, "I64", 1, 8),
    read(28, "F64", 1, 8, Encoding::F64),
    unread(29, "IQ1_M", 256, 56),
    read(30, "BF16", 1, 2, Encoding::Bf16),
    unread(34, "TQ1_0", 256, 54),
    unread(35, "TQ2_0", 256, 66),
    unread(39, "MXFP4", 32, 17),
    unread(40, "NVFP4", 64, 36),
    unread(41, "Q1_0", 128, 18),
];

impl TensorType {
    /// Bytes of a tensor of these sizes, the innermost first.
    pub(super) fn bytes_of(&self, sizes: &[u64]) -> Result<u64, String> {
        let elements = sizes.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
        let elements = elements.ok_or_else(|| format!("its sizes {sizes:?} multiply to more than 2^64"))?;
        if elements == 0 {
            return Err(format!("its sizes are {sizes:?}: it holds nothing"));
        }
        let row = sizes[0];
        if !row.is_multiple_of(self.values) {
            return Err(format!(
                "its rows have {row} values, and {} has blocks of {}",
                self.name, self.values
            ));
        }
        let bytes = (elements / self.values).checked_mul(self.bytes);
        bytes.ok_or_else(|| format!("its sizes {sizes:?} multiply to more than 2^64 bytes"))
    }
}
