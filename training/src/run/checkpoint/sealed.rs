//! Checkpoints that can be trusted: sealed with a checksum of every file, verified before anything is read.

use std::fs::File;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::backend::BackendTypes;
use burn_train::{Learner, LearningComponentsTypes};
use kiln_model::Backend;
use xxhash_rust::xxh3::xxh3_64;

use super::name::{Name, list};
use super::parts::{self, RECORDS, write_synced};
use super::state::{RunState, VERSION};
use crate::error::{Error, Result};

const STATE: &str = "state.toml";
const CONFIG: &str = "config.toml";
pub(super) const CHECKSUMS: &str = "checksums";

/// A checkpoint that is whole: each of its files is what was written.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: RunState,
    config: String,
}

impl Checkpoint {
    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Updates done.
    pub fn step(&self) -> usize {
        self.state.step
    }

    /// The resolved configuration that the run had when it was written.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Forgets how far a time limit has brought the learning rate down: the run that resumes here has another limit.
    pub fn forget_time_limit(&mut self) {
        self.state.decay = 0.0;
    }

    pub(crate) fn state(&self) -> &RunState {
        &self.state
    }

    /// The module with the weights that it had.
    pub(crate) fn model<B: Backend, M: Module<B>>(&self, module: M, device: &B::Device) -> Result<M> {
        parts::restore_model::<B, M>(module, &self.path, device)
    }

    /// The learner as it was.
    pub(crate) fn restore<LC: LearningComponentsTypes<Backend: Backend>>(
        &self,
        learner: Learner<LC>,
        device: &<LC::Backend as BackendTypes>::Device,
    ) -> Result<Learner<LC>> {
        parts::restore(learner, &self.path, device)
    }

    pub(super) fn open(path: &Path) -> std::result::Result<Self, String> {
        let read = |name: &str| std::fs::read(path.join(name)).map_err(|error| format!("{name}: {error}"));
        let written = read(CHECKSUMS)?;
        let mut expected = header();
        for name in contents() {
            expected += &line(name, &read(name)?);
            if !written.starts_with(expected.as_bytes()) {
                return Err(match written.starts_with(header().as_bytes()) {
                    true => format!("{name}: the checksum does not match"),
                    false => format!("{CHECKSUMS}: not those of a checkpoint of version {VERSION}"),
                });
            }
        }
        if written.len() != expected.len() {
            return Err(format!("{CHECKSUMS}: {} bytes, expected {}", written.len(), expected.len()));
        }
        let text = |name| String::from_utf8(read(name)?).map_err(|error| format!("{name}: {error}"));
        let state: RunState =
            toml::from_str(&text(STATE)?).map_err(|error| format!("{STATE}: {}", error.message()))?;
        let config = text(CONFIG)?;
        match Name::of(path) {
            Some(name) if name.step == state.step => Ok(Self { path: path.to_owned(), state, config }),
            _ => Err(format!("{STATE}: says step {}", state.step)),
        }
    }
}

/// The newest whole checkpoint at `step`, or of all; damaged ones on the way are reported to `skipped`.
pub(crate) fn newest(
    folder: &Path,
    step: Option<usize>,
    mut skipped: impl FnMut(&Path, &str),
) -> Result<Option<Checkpoint>> {
    for (name, path) in list(folder)?.into_iter().rev() {
        if step.is_some_and(|step| step != name.step) {
            continue;
        }
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(reason) => skipped(&path, &reason),
        }
    }
    Ok(None)
}

/// Adds to the records in `folder` what is missing to a checkpoint, and waits until it is on the disk.
pub(super) fn seal(folder: &Path, state: &RunState, config: &str) -> Result<()> {
    let state = toml::to_string(state).expect("a struct of numbers serialises");
    write_synced(&folder.join(STATE), state.as_bytes())?;
    write_synced(&folder.join(CONFIG), config.as_bytes())?;
    let mut checksums = header();
    for name in contents() {
        let path = folder.join(name);
        checksums += &line(name, &std::fs::read(&path).map_err(Error::io(&path))?);
    }
    write_synced(&folder.join(CHECKSUMS), checksums.as_bytes())?;
    sync_directory(folder)
}

/// What [`CHECKSUMS`] lists, in its order.
pub(super) fn contents() -> impl Iterator<Item = &'static str> {
    [STATE, CONFIG].into_iter().chain(RECORDS)
}

fn header() -> String {
    format!("kiln checkpoint, version {VERSION}; XXH3 of each file\n")
}

fn line(name: &str, contents: &[u8]) -> String {
    format!("{:016x}  {name}\n", xxh3_64(contents))
}

/// A rename lasts only once the directory is on the disk.
pub(super) fn sync_directory(path: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io(path))
    } else {
        Ok(())
    }
}
