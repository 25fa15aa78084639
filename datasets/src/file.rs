//! Files appear whole or not at all.
//!
//! The model crate has a function for the same, `kiln_model::replace_file`: neither crate depends on the
//! other. This one hands out the open file, because a shard is written piece by piece.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};

/// The folder that `path` is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file beside `path`, to be [renamed](replace_file) to it, with the permissions of an ordinary
/// file.
pub(crate) fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::PermissionsExt;
        // Less what the umask takes away.
        let permissions = std::fs::Permissions::from_mode(0o666);
        Builder::new().permissions(permissions).tempfile_in(parent(path))
    };
    #[cfg(not(unix))]
    let file = Builder::new().tempfile_in(parent(path));
    file.map_err(Error::io(path))
}

/// Flushes `temporary` to the disk and renames it to `path`: whoever reads `path` sees the old contents or
/// the new, and an error or a crash leaves the old.
pub(crate) fn replace_file(path: &Path, temporary: NamedTempFile) -> Result<()> {
    temporary.as_file().sync_all().map_err(Error::io(path))?;
    temporary.persist(path).map_err(|error| Error::io(path)(error.error))?;
    // The rename itself lasts only once the directory is on the disk.
    if let Ok(directory) = File::open(parent(path)) {
        let _ = directory.sync_all();
    }
    Ok(())
}

/// [Replaces](replace_file) the file at `path` by `contents`.
pub(crate) fn write_file(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    let mut temporary = temporary_beside(path)?;
    temporary.write_all(contents.as_ref()).map_err(Error::io(path))?;
    replace_file(path, temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("numbers");
        write_file(&path, "1").expect("writable");
        let mut unfinished = temporary_beside(&path).expect("writable");
        unfinished.write_all(b"half of").expect("room");
        drop(unfinished);
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "1");
        write_file(&path, "2").expect("writable");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "2");
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_temporary_has_the_permissions_of_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mode = |name: &str| {
            let metadata = std::fs::metadata(folder.path().join(name)).expect("just written");
            metadata.permissions().mode()
        };
        std::fs::write(folder.path().join("plain"), "").expect("writable");
        let path = folder.path().join("renamed");
        replace_file(&path, temporary_beside(&path).expect("writable")).expect("the same folder");
        assert_eq!(mode("renamed"), mode("plain"));
    }
}
