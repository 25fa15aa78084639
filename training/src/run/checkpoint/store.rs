//! Checkpoints on the disk: committed by one rename, removed when others took over.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn_train::metric::store::EventStoreClient;
use burn_train::{Learner, LearningCheckpointer, LearningComponentsTypes};

use super::name::{Name, list};
use super::parts::{self, Exchange};
use super::sealed::{seal, sync_directory};
use super::state::RunState;
use crate::error::{Error, Result};

const TEMPORARY: &str = "writing.tmp";

/// Writes the checkpoints of a run.
pub(crate) struct Checkpoints<LC: LearningComponentsTypes> {
    folder: PathBuf,
    keep: usize,
    config: String,
    learner: LearningCheckpointer<LC>,
    exchange: Arc<Exchange>,
}

impl<LC: LearningComponentsTypes> Checkpoints<LC> {
    /// Into `folder`, which exists; the latest `keep` stay, and that of the best evaluation.
    pub(crate) fn new(folder: PathBuf, keep: usize, config: String) -> Self {
        let exchange = Arc::default();
        Self { learner: parts::learning_checkpointer(&exchange), folder, keep, config, exchange }
    }

    /// Writes a checkpoint and waits until it is on the disk; then removes those that are no longer needed.
    pub(crate) fn save(
        &mut self,
        learner: &Learner<LC>,
        state: &RunState,
        store: &EventStoreClient,
    ) -> Result<()> {
        let temporary = self.folder.join(TEMPORARY);
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary).map_err(Error::io(&temporary))?;
        }
        // Not `create_dir_all`: a run directory that is gone must not come back with a single checkpoint in it.
        std::fs::create_dir(&temporary).map_err(Error::io(&temporary))?;

        self.exchange.set_folder(&temporary);
        self.learner.checkpoint(learner, state.step, store);
        let written = self.exchange.wait().and_then(|()| seal(&temporary, state, &self.config));
        // Half a checkpoint only takes up room, of which there may be none.
        written.inspect_err(|_| drop(std::fs::remove_dir_all(&temporary)))?;

        let name = Name::free(&self.folder, state.step);
        let place = self.folder.join(name.to_string());
        std::fs::rename(&temporary, &place).map_err(Error::io(&place))?;
        sync_directory(&self.folder)?;
        remove_old(&self.folder, self.keep, name, state.best.map(|(step, _)| step))
    }
}

/// Keeps the latest ones up to `newest` and the best. Those of later steps were damaged, or the run would have continued
/// from them.
pub(super) fn remove_old(folder: &Path, keep: usize, newest: Name, best: Option<usize>) -> Result<()> {
    let all = list(folder)?;
    let mut steps: Vec<usize> =
        all.iter().map(|(name, _)| name.step).filter(|step| *step <= newest.step).collect();
    steps.dedup();
    let kept: Vec<usize> = steps.into_iter().rev().take(keep).chain(best).collect();
    for (name, path) in all {
        let replaced = name.step == newest.step && name != newest;
        if replaced || !kept.contains(&name.step) {
            std::fs::remove_dir_all(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}
