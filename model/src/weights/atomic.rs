//! Files appear whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Lets `write` fill a temporary file beside `path`, flushes it to the disk and renames it to `path`: whoever reads
/// `path` sees the old contents or the new, and an error or a crash leaves the old.
///
/// # Errors
///
/// What `write` returns, or [`Error::Io`] with the path.
pub fn write_atomically(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary: PathBuf = path.with_file_name(name);
    let written = write(&temporary).and_then(|()| {
        File::open(&temporary).and_then(|file| file.sync_all()).map_err(Error::io(&temporary))?;
        std::fs::rename(&temporary, path).map_err(Error::io(path))
    });
    if written.is_err() {
        // Best effort: the error that matters is the one already in hand.
        let _ = std::fs::remove_file(&temporary);
    }
    // The rename itself lasts only once the directory is on the disk.
    if let (Ok(()), Some(parent)) = (&written, path.parent())
        && let Ok(directory) = File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    {
        let _ = directory.sync_all();
    }
    written
}
