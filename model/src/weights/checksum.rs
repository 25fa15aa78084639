//! A checksum in the header of the weights, so that a file that was damaged later is told from a sound one.

use safetensors::{Dtype, SafeTensors};
use xxhash_rust::xxh3::Xxh3;

use super::mapped::MappedFile;
use super::metadata;
use crate::error::{Error, Result};

/// Its key in the metadata of a safetensors file; other programs pass over it.
pub(super) const KEY: &str = "kiln.xxh3";

/// XXH3, 64 bits, of all tensors of a file in the order of their names.
#[derive(Default)]
pub(super) struct Checksum(Xxh3);

impl Checksum {
    pub(super) fn add(&mut self, name: &str, dtype: Dtype, shape: &[usize], data: &[u8]) {
        self.0.update(format!("{name} {dtype:?} {shape:?}\n").as_bytes());
        self.0.update(data);
    }

    /// As the metadata has it.
    pub(super) fn text(&self) -> String {
        format!("{:016x}", self.0.digest())
    }
}

/// Compares the tensors of a file with its checksum; a file without one passes.
///
/// # Errors
///
/// [`Error::Damaged`].
pub(super) fn verify(file: &MappedFile, content: &SafeTensors<'_>) -> Result<()> {
    let Some(written) = metadata::read(file).remove(KEY) else { return Ok(()) };
    let mut tensors = content.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut checksum = Checksum::default();
    for (name, view) in tensors {
        checksum.add(&name, view.dtype(), view.shape(), view.data());
        file.release(view.data());
    }
    let found = checksum.text();
    if found == written { Ok(()) } else { Err(Error::Damaged { path: file.path.clone(), written, found }) }
}
