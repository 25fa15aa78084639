//! Number formats of weights in files.

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
    /// Bytes of one number.
    pub(super) fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// The numbers in little-endian bytes, rounded to the nearest.
    pub(super) fn encode(self, values: &[f32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(values.len() * self.width());
        match self {
            Self::F32 => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
            Self::Bf16 => {
                values.iter().for_each(|value| bytes.extend(half::bf16::from_f32(*value).to_le_bytes()));
            }
            Self::F16 => {
                values.iter().for_each(|value| bytes.extend(half::f16::from_f32(*value).to_le_bytes()));
            }
        }
        bytes
    }
}
