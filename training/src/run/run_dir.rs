//! The directory that holds everything about a run.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use kiln_datasets::Dataset;

use super::run_view::RunView;
use crate::error::{Error, Result};

/// A run directory, held by this process alone while it lives: `config.toml`, `data/`, `model/`, `checkpoint/`,
/// `metrics.jsonl`, `samples.jsonl`, `validation.json`, `loss.svg`, `experiment.log`, `tensorboard/` where it is wanted, and `failure.txt` where
/// the run failed. It is a [`RunView`] that may be written to.
#[derive(Debug)]
pub struct RunDir {
    view: RunView,
    lock: File,
}

impl Deref for RunDir {
    type Target = RunView;

    fn deref(&self) -> &RunView {
        &self.view
    }
}

impl RunDir {
    /// Whether a run lives at `path`. What a run leaves that was killed before its first checkpoint is none: nothing
    /// of it is worth keeping.
    pub fn holds_run(path: &Path) -> bool {
        RunView::new(path).holds_run()
    }

    /// The run at `path`, to read.
    ///
    /// # Errors
    ///
    /// [`Error::NoRun`] if there is none.
    pub fn look(path: &Path) -> Result<RunView> {
        let view = RunView::new(path);
        if view.metrics().is_file() { Ok(view) } else { Err(Error::NoRun { path: path.to_owned() }) }
    }

    /// Whether a process is training in the run at `path`.
    pub fn is_busy(path: &Path) -> bool {
        let lock = File::open(RunView::new(path).lock());
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// Creates the directory for a new run and writes its resolved configuration.
    ///
    /// # Errors
    ///
    /// [`Error::RunExists`] if a run lives there already: it is never overwritten. [`Error::RunLocked`] if one is just
    /// starting there. [`Error::Io`] if the directory cannot be written.
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

    /// Opens the directory of a run that is to resume.
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
        let view = RunView::new(path);
        let file = view.lock();
        let lock = File::create(&file).map_err(Error::io(&file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { view, lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::RunLocked { path: path.to_owned() }),
            Err(std::fs::TryLockError::Error(source)) => Err(Error::Io { path: file, source }),
        }
    }

    /// Checks that the directory is still the one that this process holds.
    pub(crate) fn check(&self) -> Result<()> {
        let found = std::fs::metadata(self.view.lock());
        #[cfg(unix)]
        let found = found.and_then(|found| {
            use std::os::unix::fs::MetadataExt;
            let ours = self.lock.metadata()?;
            let same = (ours.dev(), ours.ino()) == (found.dev(), found.ino());
            if same { Ok(found) } else { Err(std::io::ErrorKind::NotFound.into()) }
        });
        found.map(drop).map_err(|_| Error::RunRemoved { path: self.path().to_owned() })
    }

    /// Replaces the resolved configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if it cannot be written.
    pub fn write_config(&self, config: &str) -> Result<()> {
        Ok(kiln_model::write_file(&self.config_file(), config)?)
    }

    /// Removes what a run that never started has written at `path`, and each directory that is then empty: `path` may have
    /// been there before, with files of its own; with `keep_data`, token shards among them.
    pub fn discard(path: &Path, keep_data: bool) {
        let view = RunView::new(path);
        // Best effort throughout: the error that matters is the one already in hand.
        let written = [view.config_file(), view.metrics(), view.samples_file(), view.validation_file()];
        let more = [view.log(), view.failure_file(), view.examples_file(), view.start_file()];
        for file in written.into_iter().chain(more) {
            let _ = std::fs::remove_file(file);
        }
        Dataset::discard(&view.data(), keep_data);
        // A new run is refused where one of these exists.
        for directory in [view.model(), view.checkpoints()] {
            let _ = std::fs::remove_dir_all(directory);
        }
        let _ = std::fs::remove_file(view.lock());
        let runs = path.parent().filter(|parent| parent.ends_with("runs"));
        for directory in [Some(view.data()), Some(path.to_owned()), runs.map(Path::to_owned)] {
            let _ = directory.map(std::fs::remove_dir);
        }
    }
}
