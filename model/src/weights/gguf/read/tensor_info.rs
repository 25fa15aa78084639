//! Where each tensor lies in the file, and how it is written.

use std::collections::HashSet;

use super::cursor::Cursor;
use super::metadata::MOST_ENTRIES;
use super::tensor_type::{TYPES, TensorType};

/// Most axes of a tensor: ggml's limit.
const MOST_AXES: u32 = 4;

/// A tensor before its bytes are known to be in the file.
pub(super) struct Description<'a> {
    name: &'a str,
    /// The outermost axis first, as everywhere but in the file.
    shape: Vec<usize>,
    tensor_type: &'static TensorType,
    /// Bytes between the first tensor and this one.
    offset: u64,
    /// Bytes that it takes.
    length: u64,
}

/// A tensor in the file.
pub(in crate::weights::gguf) struct TensorInfo<'a> {
    pub(in crate::weights::gguf) name: &'a str,
    pub(in crate::weights::gguf) shape: Vec<usize>,
    pub(in crate::weights::gguf) tensor_type: &'static TensorType,
    pub(in crate::weights::gguf) bytes: &'a [u8],
}

impl<'a> Description<'a> {
    /// The descriptions of `count` tensors at the cursor.
    pub(super) fn read_all(count: u64, cursor: &mut Cursor<'a>) -> Result<Vec<Self>, String> {
        if count > MOST_ENTRIES {
            return Err(format!("it should have {count} tensors, and no model has more than {MOST_ENTRIES}"));
        }
        let (mut tensors, mut names) = (Vec::new(), HashSet::new());
        for number in 1..=count {
            let name = cursor.text().map_err(|reason| format!("tensor {number} of {count}: {reason}"))?;
            let tensor = Self::read(name, cursor).map_err(|reason| format!("`{name}`: {reason}"))?;
            if !names.insert(name) {
                return Err(format!("`{name}` is defined twice"));
            }
            tensors.push(tensor);
        }
        Ok(tensors)
    }

    fn read(name: &'a str, cursor: &mut Cursor<'a>) -> Result<Self, String> {
        let axes = cursor.u32()?;
        if !(1..=MOST_AXES).contains(&axes) {
            return Err(format!("it has {axes} axes, and tensors have 1 to {MOST_AXES}"));
        }
        let mut sizes = (0..axes).map(|_| cursor.u64()).collect::<Result<Vec<u64>, _>>()?;
        let (number, offset) = (cursor.u32()?, cursor.u64()?);
        let tensor_type = TYPES
            .iter()
            .find(|known| known.number == number)
            .ok_or_else(|| format!("its type is {number}, which is none of ggml's"))?;
        let length = tensor_type.bytes_of(&sizes)?;
        sizes.reverse();
        let shape = sizes.iter().map(|size| usize::try_from(*size).ok()).collect::<Option<_>>();
        let shape = shape.ok_or_else(|| format!("its shape is {sizes:?}"))?;
        Ok(Self { name, shape, tensor_type, offset, length })
    }
}

/// The tensors in `data`, which is what lies behind all descriptions, from the first multiple of `alignment` on.
/// `start` are the bytes before it.
pub(super) fn locate<'a>(
    descriptions: Vec<Description<'a>>,
    data: &'a [u8],
    start: usize,
    alignment: u64,
) -> Result<Vec<TensorInfo<'a>>, String> {
    refuse_overlaps(&descriptions)?;
    let tensors = descriptions.into_iter().map(|tensor| {
        let Description { name, shape, tensor_type, offset, length } = tensor;
        if !offset.is_multiple_of(alignment) {
            return Err(format!("`{name}` starts at {offset}, which is no multiple of {alignment}"));
        }
        let end = offset.checked_add(length).filter(|end| *end <= data.len() as u64);
        if end.is_none() {
            return Err(format!(
                "`{name}` should have {length} bytes from byte {} on, but the file ends at byte {}",
                u128::from(offset) + start as u128,
                start + data.len()
            ));
        }
        let bytes = &data[offset as usize..][..length as usize];
        Ok(TensorInfo { name, shape, tensor_type, bytes })
    });
    tensors.collect()
}

/// Tensors that share bytes could make a model that is far larger than its file.
fn refuse_overlaps(descriptions: &[Description<'_>]) -> Result<(), String> {
    let mut sorted: Vec<&Description<'_>> = descriptions.iter().collect();
    sorted.sort_by_key(|tensor| tensor.offset);
    let overlap = sorted.windows(2).find(|pair| pair[1].offset - pair[0].offset < pair[0].length);
    match overlap {
        Some([first, second]) => Err(format!(
            "`{}` starts {} bytes behind `{}`, which takes {}",
            second.name,
            second.offset - first.offset,
            first.name,
            first.length
        )),
        _ => Ok(()),
    }
}
