//! Files that get their name only when they are whole.

use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};

/// A temporary file in the folder of `path`, to be renamed to it; whoever may read the folder may read it then, as any file.
pub(crate) fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::PermissionsExt;
        // Less what the umask takes away.
        Builder::new().permissions(std::fs::Permissions::from_mode(0o666)).tempfile_in(folder)
    };
    #[cfg(not(unix))]
    let file = Builder::new().tempfile_in(folder);
    file.map_err(Error::io(path))
}

/// Writes `text` to `path`, whose folder need not exist: whoever reads `path` sees the old text or the new.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let file = temporary_beside(path)?;
    std::fs::write(file.path(), text).map_err(Error::io(path))?;
    file.as_file().sync_all().map_err(Error::io(path))?;
    file.persist(path).map_err(|error| Error::io(path)(error.error))?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_was_temporary_has_the_permissions_of_any_other() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mode = |name: &str| {
            let metadata = std::fs::metadata(folder.path().join(name)).expect("just written");
            metadata.permissions().mode()
        };
        std::fs::write(folder.path().join("plain"), "").expect("writable");
        let path = folder.path().join("renamed");
        temporary_beside(&path).expect("writable").persist(&path).expect("the same folder");
        assert_eq!(mode("renamed"), mode("plain"));
    }
}
