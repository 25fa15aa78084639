//! A whole file: header, metadata, tensors. All that it claims is held against its size before it is believed.

use std::path::Path;

use super::cursor::Cursor;
use super::metadata::Metadata;
use super::tensor_info::{Description, TensorInfo, locate};
use crate::error::{Error, Result};
use crate::weights::mapped::MappedFile;

/// The versions that differ in nothing that is read here.
const VERSIONS: [u32; 2] = [2, 3];

/// Tensors start at multiples of this, where the file does not say otherwise.
const ALIGNMENT: u64 = 32;

/// A file that was looked through: all its tensors lie in it.
pub(in crate::weights::gguf) struct Gguf<'a> {
    pub(super) path: &'a Path,
    pub(in crate::weights::gguf) metadata: Metadata<'a>,
    pub(in crate::weights::gguf) tensors: Vec<TensorInfo<'a>>,
}

impl<'a> Gguf<'a> {
    /// Looks through a file.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with the key or the tensor that is wrong.
    pub(in crate::weights::gguf) fn read(file: &'a MappedFile) -> Result<Self> {
        let (path, bytes) = (file.path.as_path(), file.bytes());
        let mut cursor = Cursor::new(bytes);
        let refuse = |reason| Error::format(path, format!("not a whole GGUF file: {reason}"));
        let tensors = header(&mut cursor).map_err(|reason| Error::format(path, reason))?;
        let keys = cursor.u64().map_err(refuse)?;
        let metadata = Metadata::read(path, keys, &mut cursor).map_err(refuse)?;
        if let Some(parts) = metadata.whole("split.count")?.filter(|parts| *parts > 1) {
            let reason = format!(
                "`split.count` = {parts}: this is a part of a model; `llama-gguf-split --merge` joins all of them"
            );
            return Err(Error::format(path, reason));
        }
        let alignment = metadata.whole("general.alignment")?.unwrap_or(ALIGNMENT);
        if !alignment.is_power_of_two() || alignment > 1 << 32 {
            let reason = format!("{}; expected a power of two", metadata.told("general.alignment"));
            return Err(Error::format(path, reason));
        }
        let tensors = Description::read_all(tensors, &mut cursor).map_err(refuse)?;
        let start = (cursor.position() as u64).next_multiple_of(alignment).min(bytes.len() as u64) as usize;
        let tensors = locate(tensors, &bytes[start..], start, alignment).map_err(refuse)?;
        Ok(Self { path, metadata, tensors })
    }

    /// A tensor by its name.
    pub(super) fn tensor(&self, name: &str) -> Option<&TensorInfo<'a>> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// An error of this file.
    pub(super) fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::format(self.path, reason)
    }
}

/// Reads what a file begins with, and returns its number of tensors.
fn header(cursor: &mut Cursor<'_>) -> Result<u64, String> {
    let magic: [u8; 4] = cursor.array().map_err(|reason| format!("not a GGUF file: {reason}"))?;
    if magic != *b"GGUF" {
        return Err(format!(
            "not a GGUF file: it begins with \"{}\", not with \"GGUF\"",
            magic.escape_ascii()
        ));
    }
    let version = cursor.u32()?;
    if VERSIONS.contains(&version.swap_bytes()) {
        return Err("a big-endian GGUF file; expected a little-endian one".to_owned());
    }
    if !VERSIONS.contains(&version) {
        return Err(format!("version {version} of GGUF; expected 2 or 3"));
    }
    cursor.u64()
}
