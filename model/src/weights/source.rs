//! The tensors that files of weights hold, whatever kind of file it is.

use std::collections::HashMap;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::encoding::Encoding;
use super::family::{Family, MatrixLayout, Slot};
use super::gguf::halves_of_pairs;
use super::mapped::MappedFile;
use super::{checksum, gguf};
use crate::GptConfig;
use crate::error::{Error, Result};

/// What programs put before every name: PyTorch's compiler, data parallelism, PEFT.
const WRAPPERS: [&str; 3] = ["_orig_mod.", "module.", "base_model.model."];

/// A tensor in a file.
pub(super) struct SourceTensor<'a> {
    file: &'a MappedFile,
    shape: Vec<usize>,
    /// How its numbers are written; else the name of what is no way to write weights.
    encoding: Result<Encoding, String>,
    bytes: &'a [u8],
    /// Number of heads, where rows that rotate together are neighbours and not half a head apart.
    heads_of_pairs: Option<usize>,
}

impl<'a> SourceTensor<'a> {
    pub(super) fn new(
        file: &'a MappedFile,
        shape: Vec<usize>,
        encoding: Result<Encoding, String>,
        bytes: &'a [u8],
    ) -> Self {
        Self { file, shape, encoding, bytes, heads_of_pairs: None }
    }

    /// The same with rows that lie in pairs, if they do.
    pub(super) fn with_pairs(self, heads: Option<usize>) -> Self {
        Self { heads_of_pairs: heads, ..self }
    }

    fn of_view(file: &'a MappedFile, view: &TensorView<'a>) -> Self {
        let encoding = Encoding::of_safetensors(view.dtype()).ok_or_else(|| format!("{:?}", view.dtype()));
        Self::new(file, view.shape().to_vec(), encoding, view.data())
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What it is, if that cannot be read.
    pub(super) fn unreadable(&self) -> Option<&str> {
        self.encoding.as_ref().err().map(String::as_str)
    }

    /// Its values, row by row.
    ///
    /// # Panics
    ///
    /// If it is [unreadable](Self::unreadable).
    pub(super) fn values(&self) -> Vec<f32> {
        let encoding = self.encoding.as_ref().expect("readable tensors only");
        let values = encoding.values(self.bytes, self.shape.iter().product());
        match self.heads_of_pairs {
            Some(heads) => halves_of_pairs(&values, self.shape[0], heads),
            None => values,
        }
    }

    /// Whether both hold the same values.
    pub(super) fn equals(&self, other: &Self) -> bool {
        if self.shape != other.shape {
            return false;
        }
        if self.encoding == other.encoding {
            self.bytes == other.bytes
        } else {
            self.values() == other.values()
        }
    }

    /// Gives back the memory of its part of the file.
    pub(super) fn release(&self) {
        self.file.release(self.bytes);
    }

    /// An error of its file.
    pub(super) fn wrong(&self, reason: String) -> Error {
        Error::format(&self.file.path, reason)
    }
}

/// The tensors of a model.
pub(super) struct Tensors<'a> {
    /// By name, in safetensors files without wrappers and the family's prefix.
    by_name: HashMap<String, SourceTensor<'a>>,
    family: &'static Family,
    gguf: bool,
}

impl<'a> Tensors<'a> {
    /// Those of `files`; safetensors files that are `verified` are compared with their checksum.
    pub(super) fn of(family: &'static Family, files: &'a [MappedFile], verified: bool) -> Result<Self> {
        let gguf = files.iter().any(|file| gguf::is_gguf(&file.path));
        let mut by_name = HashMap::new();
        for file in files {
            let found = if gguf { gguf::tensors(file)? } else { of_safetensors(family, file, verified)? };
            for (name, tensor) in found {
                if by_name.insert(name.clone(), tensor).is_some() {
                    return Err(Error::format(&file.path, format!("`{name}` is defined twice")));
                }
            }
        }
        Ok(Self { by_name, family, gguf })
    }

    /// What the files call a tensor of the family.
    pub(super) fn name(&self, slot: &Slot) -> String {
        if self.gguf { slot.gguf_name() } else { slot.name() }
    }

    /// A tensor of the family.
    pub(super) fn get(&self, slot: &Slot) -> Option<&SourceTensor<'a>> {
        self.by_name.get(&self.name(slot))
    }

    /// A tensor by the family's name for it, in safetensors files.
    pub(super) fn named(&self, name: &str) -> Option<&SourceTensor<'a>> {
        self.by_name.get(name)
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Whether files of such a model may hold a tensor of that name.
    pub(super) fn is_known(&self, config: &GptConfig, name: &str) -> bool {
        let family = self.family;
        if self.gguf {
            return family.slot_in_gguf(config, name).is_some();
        }
        family.slot_named(config, name).is_some()
            || family.buffers.iter().any(|end| name.ends_with(end))
            || family.other_heads.iter().any(|head| name.starts_with(head))
    }

    /// Which axis of a matrix comes first.
    pub(super) fn layout(&self) -> MatrixLayout {
        if self.gguf { MatrixLayout::OutputFirst } else { self.family.matrices }
    }
}

fn of_safetensors<'a>(
    family: &Family,
    file: &'a MappedFile,
    verified: bool,
) -> Result<Vec<(String, SourceTensor<'a>)>> {
    let content = SafeTensors::deserialize(file.bytes())
        .map_err(|error| Error::format(&file.path, format!("not a whole safetensors file: {error}")))?;
    if verified {
        checksum::verify(file, &content)?;
    }
    let tensors = content.tensors().into_iter();
    Ok(tensors
        .map(|(name, view)| (bare(&name, family).to_owned(), SourceTensor::of_view(file, &view)))
        .collect())
}

fn bare<'a>(name: &'a str, family: &Family) -> &'a str {
    let mut bare = name;
    while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| bare.strip_prefix(wrapper)) {
        bare = inner;
    }
    bare.strip_prefix(family.prefix).unwrap_or(bare)
}
