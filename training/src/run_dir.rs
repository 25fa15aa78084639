//! The directory that holds everything about a run.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A run directory, held by this process alone while it lives:
/// `config.toml`, `data/`, `model/`, `checkpoint/`, `metrics.jsonl`, `samples.jsonl`, `loss.svg`, `experiment.log`.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Whether a run lives at `path`.
    pub fn holds_run(path: &Path) -> bool {
        ["config.toml", "metrics.jsonl", "checkpoint", "model"].iter().any(|name| path.join(name).exists())
    }

    /// Creates the directory for a new run and writes its resolved configuration.
    ///
    /// # Errors
    ///
    /// [`Error::RunExists`] if a run lives there already: it is never overwritten. [`Error::Io`] if the directory
    /// cannot be written.
    pub fn create(path: &Path, config: &str) -> Result<Self> {
        if Self::holds_run(path) {
            return Err(Error::RunExists { path: path.to_owned() });
        }
        std::fs::create_dir_all(path).map_err(Error::io(path))?;
        let run = Self::lock(path)?;
        let file = run.config();
        kiln_model::write_atomically(&file, |temporary| {
            std::fs::write(temporary, config)
                .map_err(|source| kiln_model::Error::Io { path: temporary.to_owned(), source })
        })?;
        Ok(run)
    }

    /// Opens the directory of a run that is to continue.
    ///
    /// # Errors
    ///
    /// [`Error::NothingToResume`] if no run lives there, [`Error::RunLocked`] if another process works in it.
    pub fn open(path: &Path) -> Result<Self> {
        if !Self::holds_run(path) {
            return Err(Error::NothingToResume { path: path.to_owned(), reason: "no run here".to_owned() });
        }
        Self::lock(path)
    }

    fn lock(path: &Path) -> Result<Self> {
        let file = path.join(".lock");
        let lock = File::create(&file).map_err(Error::io(&file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::RunLocked { path: path.to_owned() }),
            Err(std::fs::TryLockError::Error(source)) => Err(Error::Io { path: file, source }),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Token shards of a corpus that was encoded for this run.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The best model so far, as a Hugging Face directory.
    pub fn model(&self) -> PathBuf {
        self.path.join("model")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    pub(crate) fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    pub(crate) fn samples(&self) -> PathBuf {
        self.path.join("samples.jsonl")
    }

    pub(crate) fn loss_svg(&self) -> PathBuf {
        self.path.join("loss.svg")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("experiment.log")
    }
}
