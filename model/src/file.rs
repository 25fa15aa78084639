//! Files appear whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Lets `write` fill a temporary file beside `path`, flushes it to the disk and renames it to `path`: whoever
/// reads `path` sees the old contents or the new, and an error or a crash leaves the old. A pipe or a device,
/// such as `/dev/stdout`, cannot be replaced: `write` fills it itself.
///
/// # Errors
///
/// What `write` returns, or [`Error::Io`] with the path.
pub fn replace_file(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return write(path);
    }
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

/// [Replaces](replace_file) the file at `path` by `contents`.
///
/// # Errors
///
/// [`Error::Io`] with the path.
pub fn write_file(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    replace_file(path, |temporary| std::fs::write(temporary, contents).map_err(Error::io(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_leaves_the_old_contents_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("numbers");
        write_file(&path, "1").expect("writable");
        write_file(&path, "2").expect("writable");
        let failed = replace_file(&path, |temporary| {
            std::fs::write(temporary, "half of").map_err(Error::io(temporary))?;
            Err(Error::format(&path, "no more numbers"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "2");
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_and_stays_a_pipe() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("every Unix has it");
        assert!(made.success());
        let reader = path.clone();
        let read = std::thread::spawn(move || std::fs::read_to_string(reader).expect("readable"));
        write_file(&path, "through it").expect("writable");
        assert_eq!(read.join().expect("it does not panic"), "through it");
        assert!(path.metadata().expect("still there").file_type().is_fifo());
    }
}
