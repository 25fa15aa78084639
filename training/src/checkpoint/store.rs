//! Checkpoints on the disk: committed by one rename, verified before they are trusted, removed when others took over.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::record::Record;
use burn::tensor::backend::{Backend, BackendTypes};
use burn_train::metric::store::EventStoreClient;
use burn_train::{Learner, LearningCheckpointer, LearningComponentsTypes};
use xxhash_rust::xxh3::xxh3_64;

use super::parts::{self, Exchange, MODEL, RECORDS, write_synced};
use super::state::{RunState, VERSION};
use crate::error::{Error, Result};

const STATE: &str = "state.toml";
const CONFIG: &str = "config.toml";
const CHECKSUMS: &str = "checksums";
const TEMPORARY: &str = "writing.tmp";

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

    pub(crate) fn state(&self) -> &RunState {
        &self.state
    }

    /// The weights.
    pub(crate) fn model<R: Record<B>, B: Backend>(&self, device: &B::Device) -> Result<R> {
        parts::load(&self.path.join(MODEL), device)
    }

    /// The learner as it was.
    pub(crate) fn restore<LC: LearningComponentsTypes>(
        &self,
        learner: Learner<LC>,
        device: &<LC::Backend as BackendTypes>::Device,
    ) -> Result<Learner<LC>> {
        parts::restore(learner, &self.path, device)
    }

    fn open(path: &Path) -> std::result::Result<Self, String> {
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

/// Whether `folder` holds a checkpoint, whole or not.
pub(crate) fn exists(folder: &Path) -> bool {
    list(folder).is_ok_and(|found| !found.is_empty())
}

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
        self.exchange.wait()?;
        seal(&temporary, state, &self.config)?;

        let name = Name::free(&self.folder, state.step);
        let place = self.folder.join(name.to_string());
        std::fs::rename(&temporary, &place).map_err(Error::io(&place))?;
        sync_directory(&self.folder)?;
        remove_old(&self.folder, self.keep, name, state.best.map(|(step, _)| step))
    }
}

/// Keeps the latest ones up to `newest` and the best. Those of later steps were damaged, or the run would have continued
/// from them.
fn remove_old(folder: &Path, keep: usize, newest: Name, best: Option<usize>) -> Result<()> {
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

/// Adds to the records in `folder` what is missing to a checkpoint, and waits until it is on the disk.
fn seal(folder: &Path, state: &RunState, config: &str) -> Result<()> {
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
fn contents() -> impl Iterator<Item = &'static str> {
    [STATE, CONFIG].into_iter().chain(RECORDS)
}

fn header() -> String {
    format!("kiln checkpoint, version {VERSION}; XXH3 of each file\n")
}

fn line(name: &str, contents: &[u8]) -> String {
    format!("{:016x}  {name}\n", xxh3_64(contents))
}

/// A rename lasts only once the directory is on the disk.
fn sync_directory(path: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io(path))
    } else {
        Ok(())
    }
}

/// `step-00000500`, or `step-00000500.1` for one that takes its place: nothing is removed before its successor is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    step: usize,
    revision: usize,
}

impl Name {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix("step-")?;
        let (step, revision) = name.split_once('.').unwrap_or((name, "0"));
        Some(Self { step: step.parse().ok()?, revision: revision.parse().ok()? })
    }

    fn free(folder: &Path, step: usize) -> Self {
        let mut name = Self { step, revision: 0 };
        while folder.join(name.to_string()).exists() {
            name.revision += 1;
        }
        name
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "step-{:08}", self.step)?;
        if self.revision > 0 { write!(f, ".{}", self.revision) } else { Ok(()) }
    }
}

/// Checkpoints by step, oldest first; none where there is no folder.
fn list(folder: &Path) -> Result<Vec<(Name, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(folder))?.path();
        found.extend(Name::of(&path).map(|name| (name, path)));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlier::Window;

    /// A checkpoint of `step` with small records, and what it remembers.
    fn write(folder: &Path, step: usize) -> (PathBuf, RunState) {
        let path = folder.join(Name { step, revision: 0 }.to_string());
        std::fs::create_dir_all(&path).expect("writable");
        for (name, length) in RECORDS.into_iter().zip([150, 230, 9]) {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 37 % 251) as u8).collect();
            std::fs::write(path.join(name), bytes).expect("writable");
        }
        let mut losses = Window::default();
        for i in 1..20 {
            losses.push(1.0 / f64::from(i));
        }
        let best = Some((3, 0.1 + 0.2));
        let state = RunState { step, best, losses, seconds: 1e-300, tokens: 1 << 60, ..RunState::default() };
        seal(&path, &state, "[model]\n").expect("writable");
        (path, state)
    }

    #[test]
    fn comes_back_to_the_last_bit() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (path, state) = write(folder.path(), 7);
        let checkpoint = Checkpoint::open(&path).expect("whole");
        assert_eq!((checkpoint.state(), checkpoint.config(), checkpoint.step()), (&state, "[model]\n", 7));
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_found_and_the_one_before_is_used() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        write(folder.path(), 5);
        let (path, _) = write(folder.path(), 6);
        let expect_older = |file: &str, damage: &str| {
            let mut named = Vec::new();
            let found =
                newest(folder.path(), None, |path, reason| named.push((path.to_owned(), reason.to_owned())));
            let found = found.expect("readable").expect("the older one is whole");
            assert_eq!((found.step(), named.len()), (5, 1), "{file}: {damage}");
            assert_eq!(named[0].0, path);
            assert!(named[0].1.starts_with(file) || file == CHECKSUMS, "{file}: {damage}: {}", named[0].1);
        };
        for name in contents().chain([CHECKSUMS]) {
            let file = path.join(name);
            let whole = std::fs::read(&file).expect("readable");
            for length in 0..whole.len() {
                std::fs::write(&file, &whole[..length]).expect("writable");
                expect_older(name, &format!("{length} bytes left"));
            }
            for bit in 0..whole.len() * 8 {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&file, bytes).expect("writable");
                expect_older(name, &format!("bit {bit}"));
            }
            std::fs::write(&file, [whole.as_slice(), b"x"].concat()).expect("writable");
            expect_older(name, "a byte more");
            std::fs::remove_file(&file).expect("it is there");
            expect_older(name, "no file");
            std::fs::write(&file, &whole).expect("writable");
        }
        assert_eq!(
            newest(folder.path(), None, |_, _| panic!("whole")).expect("readable").expect("one").step(),
            6
        );
        assert_eq!(
            newest(folder.path(), Some(5), |_, _| panic!("whole")).expect("readable").expect("one").step(),
            5
        );
    }

    #[test]
    fn the_latest_the_best_and_nothing_damaged_stay() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        for step in [2, 4, 6, 8, 10, 12] {
            write(folder.path(), step);
        }
        std::fs::rename(folder.path().join("step-00000008"), folder.path().join("step-00000008.1"))
            .expect("writable");
        write(folder.path(), 8);
        let newest = Name { step: 8, revision: 1 };
        remove_old(folder.path(), 2, newest, Some(2)).expect("writable");
        let left: Vec<String> =
            list(folder.path()).expect("readable").into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(left, ["step-00000002", "step-00000006", "step-00000008.1"]);
    }
}
