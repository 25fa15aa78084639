//! What can be read only once, a pipe or standard input, kept in a file: a corpus may be read several times.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tempfile::NamedTempFile;
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};
use crate::open::open_input;

/// A temporary file with what a pipe held, once that has been read. It is removed when nobody needs it any more.
#[derive(Clone, Debug, Default)]
pub struct Spool(OnceLock<Arc<Kept>>);

#[derive(Debug)]
struct Kept {
    file: NamedTempFile,
    size: u64,
    digest: u64,
}

impl Spool {
    /// Reads all of `path`, the first time that this is called.
    pub(super) fn fill(&self, path: &Path) -> Result<()> {
        if self.0.get().is_some() {
            return Ok(());
        }
        let mut input = open_input(path)?;
        let mut file = NamedTempFile::new().map_err(Error::io(std::env::temp_dir()))?;
        let (mut size, mut digest, mut bytes) = (0, Xxh3::new(), vec![0; 1 << 18]);
        loop {
            let count = match input.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io(path)(error)),
            };
            digest.update(&bytes[..count]);
            file.write_all(&bytes[..count]).map_err(Error::io(file.path()))?;
            size += count as u64;
        }
        // Whoever was faster has read the pipe.
        let _ = self.0.set(Arc::new(Kept { file, size, digest: digest.digest() }));
        Ok(())
    }

    /// The file, if there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.0.get().map(|kept| kept.file.path())
    }

    /// Its size in bytes, and XXH3 of them.
    pub(crate) fn contents(&self) -> Option<(u64, u64)> {
        self.0.get().map(|kept| (kept.size, kept.digest))
    }
}

/// Where its bytes are is no part of what a source is.
impl PartialEq for Spool {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
