//! Checkpoints on the disk: committed by one rename, removed when newer ones replace them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use burn_train::metric::store::EventStoreClient;
use burn_train::{Learner, LearningCheckpointer, LearningComponentsTypes};
use kiln_model::Backend;

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
    store: Arc<EventStoreClient>,
    /// The checksum of the weights that stay beside an adapter, once it is known.
    base: OnceLock<String>,
    /// Step and last evaluation of the newest one.
    saved: Option<(usize, Option<usize>)>,
}

impl<LC: LearningComponentsTypes<Backend: Backend>> Checkpoints<LC> {
    /// Into `folder`, which exists; the latest `keep` stay, and that of the best evaluation. `saved` is the state of the
    /// newest one there.
    pub(crate) fn new(
        folder: PathBuf,
        keep: usize,
        config: String,
        store: Arc<EventStoreClient>,
        saved: Option<&RunState>,
    ) -> Self {
        let exchange = Arc::default();
        let learner = parts::learning_checkpointer(&exchange);
        let (base, saved) = (OnceLock::new(), saved.map(position));
        Self { learner, folder, keep, config, exchange, store, base, saved }
    }

    /// Whether the newest checkpoint is of just this moment.
    pub(crate) fn holds(&self, state: &RunState) -> bool {
        self.saved == Some(position(state))
    }

    /// Writes a checkpoint and waits until it is on the disk; then removes those that are no longer needed.
    pub(crate) fn save(&mut self, learner: &Learner<LC>, state: &RunState) -> Result<()> {
        let temporary = self.folder.join(TEMPORARY);
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary).map_err(Error::io(&temporary))?;
        }
        // Not `create_dir_all`: a run directory that was removed must not reappear with a single checkpoint in it.
        std::fs::create_dir(&temporary).map_err(Error::io(&temporary))?;

        self.exchange.set_folder(&temporary);
        let learned = parts::learned::<LC::Backend, _>(&learner.model(), &self.base);
        self.exchange.replace_model(learned.transpose()?);
        self.learner.checkpoint(learner, state.step, &self.store);
        let written = self.exchange.wait().and_then(|()| seal(&temporary, state, &self.config));
        // Half a checkpoint only takes up room, of which there may be none.
        written.inspect_err(|_| drop(std::fs::remove_dir_all(&temporary)))?;

        let name = Name::free(&self.folder, state.step);
        let path = self.folder.join(name.to_string());
        std::fs::rename(&temporary, &path).map_err(Error::io(&path))?;
        sync_directory(&self.folder)?;
        self.saved = Some(position(state));
        remove_old(&self.folder, self.keep, name, state.best.map(|(step, _)| step))
    }
}

/// What tells two moments of a run apart: the step, and whether its evaluation is done.
fn position(state: &RunState) -> (usize, Option<usize>) {
    (state.step, state.evaluated)
}

/// Keeps the newest `keep` checkpoints up to `newest`, and the best. Later ones are damaged: otherwise the run would have
/// resumed from them.
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
