//! Files and pipes, opened for reading.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;

use crate::error::{Error, Result};

/// What stands for standard input where a file is named.
pub const STANDARD_INPUT: &str = "-";

/// Opens a file or a pipe for reading, or standard input if the path is [`STANDARD_INPUT`].
///
/// # Errors
///
/// [`Error::Io`] if it cannot be opened, [`Error::NotAFile`] for a device: reading one may never end.
pub fn open_input(path: &Path) -> Result<Box<dyn Read>> {
    if path.as_os_str() == STANDARD_INPUT {
        return Ok(Box::new(stdin()));
    }
    let file = File::open(path).map_err(Error::io(path))?;
    let kind = file.metadata().map_err(Error::io(path))?.file_type();
    // A terminal is a device, but what is typed there ends.
    if !kind.is_file() && !kind.is_dir() && !is_pipe(kind) && !file.is_terminal() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    Ok(Box::new(file))
}

#[cfg(unix)]
fn is_pipe(kind: std::fs::FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&kind)
}

#[cfg(not(unix))]
fn is_pipe(_kind: std::fs::FileType) -> bool {
    false
}
