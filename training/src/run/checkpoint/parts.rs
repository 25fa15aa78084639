//! The three records of burn-train's learner, written side by side into one directory.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use burn::module::Module;
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Record, Recorder};
use burn::tensor::backend::{Backend as BurnBackend, BackendTypes};
use burn_train::checkpoint::{
    AsyncCheckpointer, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy,
};
use burn_train::metric::store::EventStoreClient;
use burn_train::{Learner, LearningCheckpointer, LearningComponentsTypes};
use kiln_model::Backend;

use super::learned::{Learned, has_adapter};
use crate::error::{Error, Result};

pub(super) const MODEL: &str = "model.mpk";
const OPTIMIZER: &str = "optimizer.mpk";
const SCHEDULE: &str = "schedule.mpk";
pub(super) const RECORDS: [&str; 3] = [MODEL, OPTIMIZER, SCHEDULE];

/// burn-train's checkpointer of a learner, whose records go where `exchange` says.
pub(super) fn learning_checkpointer<LC: LearningComponentsTypes>(
    exchange: &Arc<Exchange>,
) -> LearningCheckpointer<LC> {
    let [model, optimizer, schedule] = RECORDS.map(|name| Part { name, exchange: Arc::clone(exchange) });
    LearningCheckpointer::new(
        AsyncCheckpointer::new(model),
        AsyncCheckpointer::new(optimizer),
        AsyncCheckpointer::new(schedule),
        Box::new(SaveWhenAsked),
    )
}

/// The learner with the records that lie in `folder`.
pub(super) fn restore<LC: LearningComponentsTypes<Backend: Backend>>(
    mut learner: Learner<LC>,
    folder: &Path,
    device: &<LC::Backend as BackendTypes>::Device,
) -> Result<Learner<LC>> {
    let model = restore_model::<LC::Backend, _>(learner.model(), folder, device)?;
    learner.load_model(model.into_record());
    learner.load_optim(load(&folder.join(OPTIMIZER), device)?);
    learner.load_scheduler(load(&folder.join(SCHEDULE), device)?);
    Ok(learner)
}

/// The module with the weights that lie in `folder`; with an adapter, what learns is there, and the rest stays.
pub(super) fn restore_model<B: Backend, M: Module<B>>(
    module: M,
    folder: &Path,
    device: &B::Device,
) -> Result<M> {
    let path = folder.join(MODEL);
    if !has_adapter::<B, M>(&module) {
        return Ok(module.load_record(load(&path, device)?));
    }
    let learned: Learned<B> = load(&path, device)?;
    learned.put(module).map_err(|reason| Error::Format { path, reason })
}

/// What is recorded in place of the whole module, if it has an adapter; `base` keeps the checksum of what stays.
pub(super) fn learned<B: Backend, M: Module<B>>(
    module: &M,
    base: &OnceLock<String>,
) -> Option<Result<Vec<u8>>> {
    let learned = Learned::<B>::of(module, base)?;
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    let recorded = Recorder::<B>::record(&recorder, learned, ());
    Some(recorded.map_err(|error| Error::Format { path: MODEL.into(), reason: error.to_string() }))
}

/// Reads a record from a file that has been verified.
fn load<R: Record<B>, B: BurnBackend>(path: &Path, device: &B::Device) -> Result<R> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    Recorder::<B>::load(&recorder, bytes, device)
        .map_err(|error| Error::Format { path: path.to_owned(), reason: error.to_string() })
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path))
}

/// Where the parts of a checkpoint are written or read, and which of them are done.
#[derive(Default)]
pub(super) struct Exchange {
    folder: Mutex<PathBuf>,
    /// What is written in place of the next record of the module.
    instead: Mutex<Option<Vec<u8>>>,
    written: Mutex<Vec<Result<()>>>,
    changed: Condvar,
}

impl Exchange {
    /// The directory of the next save or load.
    pub(super) fn set_folder(&self, folder: &Path) {
        folder.clone_into(&mut self.folder.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes these bytes in place of the next record of the module, if any.
    pub(super) fn replace_model(&self, bytes: Option<Vec<u8>>) {
        *self.instead.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    fn instead_of(&self, name: &str) -> Option<Vec<u8>> {
        let mut instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner);
        instead.take_if(|_| name == MODEL)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).join(name)
    }

    /// Waits until all records are on the disk, or returns the first error.
    pub(super) fn wait(&self) -> Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        while written.len() < RECORDS.len() {
            written = self.changed.wait(written).unwrap_or_else(PoisonError::into_inner);
        }
        written.drain(..).collect()
    }
}

/// Writes and reads one record.
struct Part {
    name: &'static str,
    exchange: Arc<Exchange>,
}

impl<R: Record<B>, B: BurnBackend> Checkpointer<R, B> for Part {
    fn save(&self, _step: usize, record: R) -> std::result::Result<(), CheckpointerError> {
        let path = self.exchange.path(self.name);
        let record = || {
            let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
            Recorder::<B>::record(&recorder, record, ())
                .map_err(|error| Error::Format { path: path.clone(), reason: error.to_string() })
        };
        let bytes = self.exchange.instead_of(self.name).map_or_else(record, Ok);
        let written = bytes.and_then(|bytes| write_synced(&path, &bytes));
        self.exchange.written.lock().unwrap_or_else(PoisonError::into_inner).push(written);
        self.exchange.changed.notify_all();
        Ok(())
    }

    fn delete(&self, _step: usize) -> std::result::Result<(), CheckpointerError> {
        Ok(())
    }

    fn restore(&self, _step: usize, device: &B::Device) -> std::result::Result<R, CheckpointerError> {
        load::<R, B>(&self.exchange.path(self.name), device)
            .map_err(|error| CheckpointerError::Unknown(error.to_string()))
    }
}

/// When to save is decided by the loop, and what to delete by the store, once the new one is safe.
struct SaveWhenAsked;

impl CheckpointingStrategy for SaveWhenAsked {
    fn checkpointing(&mut self, _step: usize, _store: &EventStoreClient) -> Vec<CheckpointingAction> {
        vec![CheckpointingAction::Save]
    }
}
