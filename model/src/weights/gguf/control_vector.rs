//! Control vectors: directions that are added to the residual stream behind some blocks, in the file that llama.cpp and repeng
//! share.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use super::read::Gguf;
use super::write::{Entries, GgufTensor, write};
use crate::error::{Error, Result};
use crate::file::replace_file;
use crate::weights::mapped::MappedFile;

const ARCHITECTURE: &str = "controlvector";

/// How the name of a tensor starts; the number of its block follows.
const DIRECTION: &str = "direction.";

/// What a control vector adds to the residual stream that leaves a block, at every position.
///
/// The file counts blocks from zero as llama.cpp does, which adds nothing behind the first one: the format has no direction for
/// block 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ControlVector {
    /// For each block that has one, what is added, `[d_model]`.
    pub directions: BTreeMap<usize, Vec<f32>>,
    /// The family of the model that it was made for, as llama.cpp calls it; nobody checks it, and it may be empty.
    pub model_hint: String,
    /// The mean norm of the residual stream where it is added; files of others do not say it.
    pub mean_norm: Option<f64>,
}

impl ControlVector {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] if it holds something else than directions in f32, or none.
    pub fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let gguf = Gguf::read(&file)?;
        let architecture = gguf.metadata.text("general.architecture")?.unwrap_or("");
        if architecture != ARCHITECTURE {
            let reason = format!("`general.architecture` = \"{architecture}\"; expected \"{ARCHITECTURE}\"");
            return Err(Error::format(path, reason));
        }
        let mut directions = BTreeMap::new();
        for tensor in &gguf.tensors {
            let wrong = |reason: String| Error::format(path, format!("`{}`: {reason}", tensor.name));
            let Some(layer) = tensor.name.strip_prefix(DIRECTION) else {
                return Err(wrong(format!("expected tensors named {DIRECTION}1, {DIRECTION}2, …")));
            };
            let layer = layer.parse().ok().filter(|layer: &usize| *layer > 0);
            let layer = layer.ok_or_else(|| wrong("expected the number of a block, from 1 on".to_owned()))?;
            if tensor.tensor_type.name != "F32" || tensor.shape.len() != 1 {
                let (kind, axes) = (tensor.tensor_type.name, tensor.shape.len());
                return Err(wrong(format!("{kind} with {axes} axes; expected F32 with one")));
            }
            let values: Vec<f32> =
                tensor.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(wrong(format!("holds {value}")));
            }
            directions.insert(layer, values);
        }
        if directions.is_empty() {
            return Err(Error::format(path, "no direction in it"));
        }
        Ok(Self {
            directions,
            model_hint: gguf.metadata.text("controlvector.model_hint")?.unwrap_or("").to_owned(),
            mean_norm: gguf.metadata.number("kiln.mean_norm")?,
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// [`Error::ControlVector`] for a direction of block 0, for which the format has no place; [`Error::Io`] if it cannot be
    /// written.
    pub fn save(&self, path: &Path) -> Result<()> {
        if self.directions.contains_key(&0) {
            return Err(Error::ControlVector { layer: 0 });
        }
        let mut entries = Entries::default();
        entries.string("general.architecture", ARCHITECTURE);
        entries.string("controlvector.model_hint", &self.model_hint);
        let last = self.directions.keys().last().copied().unwrap_or(0);
        entries.u32("controlvector.layer_count", last as u32);
        entries.string("kiln.mode", "add");
        entries.string("kiln.hook_name", "hook_resid_post");
        if let Some(norm) = self.mean_norm {
            entries.f32("kiln.mean_norm", norm as f32);
        }
        let directions = self.directions.iter();
        let tensors: Vec<GgufTensor> = directions
            .map(|(layer, direction)| GgufTensor::vector(&format!("{DIRECTION}{layer}"), direction.clone()))
            .collect();
        replace_file(path, |temporary| {
            let output = File::create(temporary).map_err(Error::io(path))?;
            write(&entries, &tensors, BufWriter::new(output)).map_err(Error::io(path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_was_written_and_nothing_for_the_first_block() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("fox.gguf");
        let vector = ControlVector {
            directions: BTreeMap::from([(1, vec![0.5, -1.0]), (3, vec![2.0, 0.0])]),
            model_hint: "gpt2".to_owned(),
            mean_norm: Some(12.5),
        };
        vector.save(&path).expect("writable");
        assert_eq!(ControlVector::open(&path).expect("readable"), vector);

        let first = ControlVector { directions: BTreeMap::from([(0, vec![1.0])]), ..vector };
        assert!(matches!(first.save(&path), Err(Error::ControlVector { layer: 0 })));
        for damaged in [&b""[..], b"GGUF", b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"] {
            std::fs::write(&path, damaged).expect("writable");
            assert!(ControlVector::open(&path).is_err());
        }
    }
}
