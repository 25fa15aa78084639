//! What checkpoints are called, and which there are.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// `step-00000500`, or `step-00000500.1` for one that takes its place: nothing is removed before its successor is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) step: usize,
    pub(super) revision: usize,
}

impl Name {
    /// The name of a checkpoint's directory; `None` for any other.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix("step-")?;
        let (step, revision) = name.split_once('.').unwrap_or((name, "0"));
        Some(Self { step: step.parse().ok()?, revision: revision.parse().ok()? })
    }

    /// The next name of `step` that is free in `folder`.
    pub(super) fn free(folder: &Path, step: usize) -> Self {
        let mut name = Self { step, revision: 0 };
        while folder.join(name.to_string()).exists() {
            name.revision += 1;
        }
        name
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "step-{:08}", self.step)?;
        if self.revision > 0 { write!(f, ".{}", self.revision) } else { Ok(()) }
    }
}

/// Checkpoints by step, oldest first; none where there is no folder.
pub(super) fn list(folder: &Path) -> Result<Vec<(Name, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(folder))?.path();
        found.extend(Name::of(&path).map(|name| (name, path)));
    }
    found.sort();
    Ok(found)
}

/// Whether `folder` holds a checkpoint, whole or not.
pub(crate) fn exists(folder: &Path) -> bool {
    list(folder).is_ok_and(|found| !found.is_empty())
}
