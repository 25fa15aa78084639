//! A run directory as others read it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::checkpoint::{self, Checkpoint};
use super::history::History;
use super::json_lines::{damaged_lines, read_all};
use super::record::{Record, SampleRecord};
use super::validation_text::ValidationText;
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

    /// What is known of the text that the run is judged by; nothing of runs by older versions.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is damaged.
    pub fn validation_text(&self) -> Result<Option<ValidationText>> {
        ValidationText::read(&self.validation_file())
    }

    /// When something was last measured, where the system tells.
    pub fn changed(&self) -> Option<SystemTime> {
        std::fs::metadata(self.metrics()).and_then(|file| file.modified()).ok()
    }

    /// What the model wrote so far.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read.
    pub fn samples(&self) -> Result<Vec<SampleRecord>> {
        read_all(&self.samples_file())
    }

    /// The lines of both that cannot be read, and are left out: their file, and their number from 1.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub fn damaged_lines(&self) -> Result<Vec<(PathBuf, usize)>> {
        let (metrics, samples) = (self.metrics(), self.samples_file());
        let mut damaged = Vec::new();
        damaged.extend(damaged_lines::<Record>(&metrics)?.into_iter().map(|line| (metrics.clone(), line)));
        damaged
            .extend(damaged_lines::<SampleRecord>(&samples)?.into_iter().map(|line| (samples.clone(), line)));
        Ok(damaged)
    }

    /// What ended the run, where it failed.
    pub fn failure(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.failure_file()).ok()?;
        Some(text.trim_end().to_owned())
    }

    /// Writes down what ended the run, or that nothing has.
    pub(crate) fn set_failure(&self, error: Option<&Error>) {
        // Best effort: where the disk is full, the error itself is what matters.
        let _ = match error {
            Some(error) => kiln_model::write_file(&self.failure_file(), format!("{error}\n")).map_err(drop),
            None => std::fs::remove_file(self.failure_file()).map_err(drop),
        };
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

    /// What a run of fine-tuning remembers of its examples.
    pub fn examples_file(&self) -> PathBuf {
        self.path.join("examples.json")
    }

    /// What a run of fine-tuning remembers of the model that it started from.
    pub fn start_file(&self) -> PathBuf {
        self.path.join("start.json")
    }

    pub(crate) fn validation_file(&self) -> PathBuf {
        self.path.join("validation.json")
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

    pub(super) fn failure_file(&self) -> PathBuf {
        self.path.join("failure.txt")
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
