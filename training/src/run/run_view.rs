//! A run directory as others read it.

use std::path::{Path, PathBuf};

use super::checkpoint::{self, Checkpoint};
use super::history::History;
use super::json_lines::read_all;
use super::record::{Record, SampleRecord};
use crate::error::{Error, Result};

/// What is in a run directory, and what it is called there. Reading disturbs no one who trains in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    path: PathBuf,
}

impl RunView {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the resolved configuration.
    pub fn config_file(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The resolved configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read.
    pub fn config(&self) -> Result<String> {
        let path = self.config_file();
        std::fs::read_to_string(&path).map_err(Error::io(path))
    }

    /// Token shards of a corpus that was encoded for this run, and the tokenizer that did it.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The best model so far, as a Hugging Face directory.
    pub fn model(&self) -> PathBuf {
        self.path.join("model")
    }

    /// What was measured so far; a line that is being written is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read.
    pub fn history(&self) -> Result<History> {
        Ok(read_all::<Record>(&self.metrics())?.into_iter().collect())
    }

    /// What the model wrote so far.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read.
    pub fn samples(&self) -> Result<Vec<SampleRecord>> {
        read_all(&self.samples_file())
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

    /// The whole checkpoint at `step`, if there is one.
    pub(crate) fn checkpoint_at(
        &self,
        step: usize,
        skipped: impl FnMut(&Path, &str),
    ) -> Result<Option<Checkpoint>> {
        checkpoint::newest(&self.checkpoints(), Some(step), skipped)
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    pub(crate) fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    pub(crate) fn samples_file(&self) -> PathBuf {
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

    pub(super) fn lock(&self) -> PathBuf {
        self.path.join(".lock")
    }

    /// Whether something in it is worth keeping.
    pub(super) fn holds_run(&self) -> bool {
        // A configuration without our mark beside it is someone else's.
        let foreign = self.config_file().exists() && !self.lock().exists();
        let trained = std::fs::metadata(self.metrics()).is_ok_and(|file| file.len() > 0)
            || self.model().join("model.safetensors").exists();
        foreign || trained || checkpoint::exists(&self.checkpoints())
    }
}
