//! Checkpoints: model, optimizer, schedule and position of a run as one unit.
//!
//! burn-train's learner hands out three records through three [`Checkpointer`]s that work in threads of their own. Ours
//! write into one temporary directory; when the last part is on the disk, the directory is renamed into place. A crash
//! leaves the checkpoints that were there.
//!
//! `checkpoint/step-00000500/` holds `model.mpk`, `optimizer.mpk`, `schedule.mpk` and `state.json`, which names the
//! other three with their checksums.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use burn::record::{BytesRecorder, FullPrecisionSettings, NamedMpkBytesRecorder, Record, Recorder};
use burn::tensor::backend::Backend;
use burn_train::checkpoint::{
    AsyncCheckpointer, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy,
};
use burn_train::metric::store::EventStoreClient;
use burn_train::{Learner, LearningCheckpointer, LearningComponentsTypes};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Raised when the contents of a checkpoint change their meaning.
const VERSION: u32 = 1;
const STATE: &str = "state.json";
const PARTS: [&str; 3] = ["model.mpk", "optimizer.mpk", "schedule.mpk"];

/// Where a run stands, beside its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    version: u32,
    /// Updates done.
    pub(crate) step: usize,
    /// Training tokens seen.
    pub(crate) tokens: u64,
    /// Seconds spent training.
    pub(crate) seconds: f64,
    /// Best validation loss and its step.
    pub(crate) best: Option<(usize, f64)>,
    /// Evaluations since the best one.
    pub(crate) evaluations_since_best: usize,
    /// Updates left out because something was not finite.
    pub(crate) skipped: usize,
    checksums: BTreeMap<String, String>,
}

impl Default for RunState {
    fn default() -> Self {
        Self {
            version: VERSION,
            step: 0,
            tokens: 0,
            seconds: 0.0,
            best: None,
            evaluations_since_best: 0,
            skipped: 0,
            checksums: BTreeMap::new(),
        }
    }
}

/// The checkpoints of a run.
pub(crate) struct Checkpoints<LC: LearningComponentsTypes> {
    folder: PathBuf,
    keep: usize,
    learner: LearningCheckpointer<LC>,
    unit: Arc<Unit>,
}

impl<LC: LearningComponentsTypes> Checkpoints<LC> {
    pub(crate) fn new(folder: PathBuf, keep: usize) -> Self {
        let unit =
            Arc::new(Unit { folder: folder.clone(), arrived: Mutex::default(), changed: Condvar::new() });
        let [model, optimizer, schedule] = PARTS.map(|name| Part { name, unit: Arc::clone(&unit) });
        let learner = LearningCheckpointer::new(
            AsyncCheckpointer::new(model),
            AsyncCheckpointer::new(optimizer),
            AsyncCheckpointer::new(schedule),
            Box::new(SaveWhenAsked),
        );
        Self { folder, keep, learner, unit }
    }

    /// Writes a checkpoint and waits until it is on the disk; then removes the oldest beyond those to keep.
    pub(crate) fn save(
        &mut self,
        learner: &Learner<LC>,
        state: &RunState,
        store: &EventStoreClient,
    ) -> Result<()> {
        let temporary = self.unit.temporary();
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary).map_err(Error::io(&temporary))?;
        }
        std::fs::create_dir_all(&temporary).map_err(Error::io(&temporary))?;

        self.learner.checkpoint(learner, state.step, store);
        let checksums = self.unit.wait()?;
        let state = RunState { checksums, ..state.clone() };
        let text = serde_json::to_string_pretty(&state).expect("a struct of numbers serialises");
        write_synced(&temporary.join(STATE), text.as_bytes())?;

        let place = self.folder.join(directory_name(state.step));
        if place.exists() {
            std::fs::remove_dir_all(&place).map_err(Error::io(&place))?;
        }
        std::fs::rename(&temporary, &place).map_err(Error::io(&place))?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(Error::io(&self.folder))?;
        for (_, old) in list(&self.folder)?.into_iter().rev().skip(self.keep) {
            std::fs::remove_dir_all(&old).map_err(Error::io(&old))?;
        }
        Ok(())
    }

    /// Restores the learner from a checkpoint that [`newest`] has verified.
    pub(crate) fn restore(
        &self,
        learner: Learner<LC>,
        device: &<LC::Backend as burn::tensor::backend::BackendTypes>::Device,
        step: usize,
    ) -> Learner<LC> {
        self.learner.load_checkpoint(learner, device, step)
    }
}

/// The newest checkpoint whose parts are all there and undamaged; damaged ones are reported to `skipped`.
pub(crate) fn newest(folder: &Path, mut skipped: impl FnMut(&Path, &str)) -> Result<Option<RunState>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    for (step, path) in list(folder)?.into_iter().rev() {
        match verify(&path) {
            Ok(state) if state.step == step => return Ok(Some(state)),
            Ok(state) => skipped(&path, &format!("{STATE} says step {}", state.step)),
            Err(reason) => skipped(&path, &reason),
        }
    }
    Ok(None)
}

fn verify(path: &Path) -> std::result::Result<RunState, String> {
    let read = |name: &str| std::fs::read(path.join(name)).map_err(|error| format!("{name}: {error}"));
    let state: RunState =
        serde_json::from_slice(&read(STATE)?).map_err(|error| format!("{STATE}: {error}"))?;
    if state.version != VERSION {
        return Err(format!("{STATE}: version {}, expected {VERSION}", state.version));
    }
    for part in PARTS {
        let expected =
            state.checksums.get(part).ok_or_else(|| format!("{STATE} has no checksum of {part}"))?;
        if *expected != checksum(&read(part)?) {
            return Err(format!("{part}: the checksum does not match"));
        }
    }
    Ok(state)
}

fn directory_name(step: usize) -> String {
    format!("step-{step:08}")
}

/// Checkpoints by step, oldest first.
fn list(folder: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let name = entry.file_name();
        let step =
            name.to_str().and_then(|name| name.strip_prefix("step-")).and_then(|step| step.parse().ok());
        if let Some(step) = step {
            found.push((step, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(bytes))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path))
}

/// The three parts of one checkpoint, as they arrive.
struct Unit {
    folder: PathBuf,
    arrived: Mutex<Vec<(&'static str, Result<String>)>>,
    changed: Condvar,
}

impl Unit {
    fn temporary(&self) -> PathBuf {
        self.folder.join("writing.tmp")
    }

    fn arrive(&self, part: &'static str, outcome: Result<String>) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push((part, outcome));
        self.changed.notify_all();
    }

    /// Checksums of all parts, or the first error.
    fn wait(&self) -> Result<BTreeMap<String, String>> {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        while arrived.len() < PARTS.len() {
            arrived = self.changed.wait(arrived).unwrap_or_else(PoisonError::into_inner);
        }
        arrived.drain(..).map(|(part, outcome)| outcome.map(|checksum| (part.to_owned(), checksum))).collect()
    }
}

/// Writes and reads one part, in full precision: optimizer moments do not survive f16.
struct Part {
    name: &'static str,
    unit: Arc<Unit>,
}

impl<R: Record<B>, B: Backend> Checkpointer<R, B> for Part {
    fn save(&self, _step: usize, record: R) -> std::result::Result<(), CheckpointerError> {
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
        let path = self.unit.temporary().join(self.name);
        let written = Recorder::<B>::record(&recorder, record, ())
            .map_err(|error| Error::Format { path: path.clone(), reason: error.to_string() })
            .and_then(|bytes| write_synced(&path, &bytes).map(|()| checksum(&bytes)));
        self.unit.arrive(self.name, written);
        Ok(())
    }

    fn delete(&self, _step: usize) -> std::result::Result<(), CheckpointerError> {
        Ok(())
    }

    fn restore(&self, step: usize, device: &B::Device) -> std::result::Result<R, CheckpointerError> {
        let path = self.unit.folder.join(directory_name(step)).join(self.name);
        let bytes = std::fs::read(path).map_err(CheckpointerError::IOError)?;
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
        fn load<R: Record<B>, B: Backend>(
            recorder: &impl BytesRecorder<B, Vec<u8>>,
            bytes: Vec<u8>,
            device: &B::Device,
        ) -> std::result::Result<R, CheckpointerError> {
            recorder.load(bytes, device).map_err(CheckpointerError::RecorderError)
        }
        load(&recorder, bytes, device)
    }
}

/// When to save is decided by the loop, and what to delete by [`Checkpoints::save`], once the new one is safe.
struct SaveWhenAsked;

impl CheckpointingStrategy for SaveWhenAsked {
    fn checkpointing(&mut self, _step: usize, _store: &EventStoreClient) -> Vec<CheckpointingAction> {
        vec![CheckpointingAction::Save]
    }
}
