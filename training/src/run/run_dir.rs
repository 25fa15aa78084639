//! The directory that holds everything about a run.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::run::checkpoint::{self, Checkpoint};

/// A run directory, held by this process alone while it lives: `config.toml`, `data/`, `model/`, `checkpoint/`,
/// `metrics.jsonl`, `samples.jsonl`, `loss.svg`, `experiment.log`, and `tensorboard/` where it is wanted.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    lock: File,
}

const LOCK: &str = ".lock";

impl RunDir {
    /// Whether a run lives at `path`. What a run leaves that was killed before its first checkpoint is none: nothing
    /// of it is worth keeping.
    pub fn holds_run(path: &Path) -> bool {
        // A configuration without our mark beside it is someone else's.
        let foreign = path.join("config.toml").exists() && !path.join(LOCK).exists();
        let trained = std::fs::metadata(path.join("metrics.jsonl")).is_ok_and(|file| file.len() > 0)
            || path.join("model/model.safetensors").exists();
        foreign || trained || checkpoint::exists(&path.join("checkpoint"))
    }

    /// Creates the directory for a new run and writes its resolved configuration.
    ///
    /// # Errors
    ///
    /// [`Error::RunExists`] if a run lives there already: it is never overwritten. [`Error::RunLocked`] if one is just
    /// beginning there. [`Error::Io`] if the directory cannot be written.
    pub fn create(path: &Path, config: &str) -> Result<Self> {
        let vacant = || match Self::holds_run(path) {
            true => Err(Error::RunExists { path: path.to_owned() }),
            false => Ok(()),
        };
        vacant()?;
        std::fs::create_dir_all(path).map_err(Error::io(path))?;
        let run = Self::lock(path)?;
        // Someone may have been faster.
        vacant()?;
        run.write_config(config)?;
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
        let file = path.join(LOCK);
        let lock = File::create(&file).map_err(Error::io(&file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::RunLocked { path: path.to_owned() }),
            Err(std::fs::TryLockError::Error(source)) => Err(Error::Io { path: file, source }),
        }
    }

    /// Checks that the directory is still the one that this process holds.
    pub(crate) fn check(&self) -> Result<()> {
        let there = std::fs::metadata(self.path.join(LOCK));
        #[cfg(unix)]
        let there = there.and_then(|there| {
            use std::os::unix::fs::MetadataExt;
            let ours = self.lock.metadata()?;
            let same = (ours.dev(), ours.ino()) == (there.dev(), there.ino());
            if same { Ok(there) } else { Err(std::io::ErrorKind::NotFound.into()) }
        });
        there.map(drop).map_err(|_| Error::RunRemoved { path: self.path.clone() })
    }

    /// Replaces the resolved configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be written.
    pub fn write_config(&self, config: &str) -> Result<()> {
        Ok(kiln_model::write_file(&self.config(), config)?)
    }

    /// The newest whole checkpoint; damaged ones on the way are reported to `skipped`, with what is wrong with them.
    ///
    /// # Errors
    ///
    /// [`Error::NothingToResume`] if there is none.
    pub fn newest_checkpoint(&self, skipped: impl FnMut(&Path, &str)) -> Result<Checkpoint> {
        let folder = self.checkpoints();
        checkpoint::newest(&folder, None, skipped)?.ok_or_else(|| Error::NothingToResume {
            path: folder,
            reason: "no whole checkpoint here".to_owned(),
        })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Token shards of a corpus that was encoded for this run, and the tokenizer that did it.
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

    pub(crate) fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("experiment.log")
    }
}
