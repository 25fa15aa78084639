//! Where a run is written: never over another one.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kiln_datasets::STANDARD_INPUT;
use kiln_training::{Error, RunDir};
use toml::Table;

use super::newest;
use super::shell::quoted;
use crate::failure::{self, Reading};
use crate::settings::{self, DataSource, Settings};

/// The directory of a new run: as asked for, or the next free `runs/NAME`, `runs/NAME-2`, ….
pub fn new_run(asked: Option<&Path>, settings: &Settings) -> Result<PathBuf> {
    let configured = Some(settings.training.run_dir.as_str()).filter(|path| !path.is_empty()).map(Path::new);
    let Some(path) = asked.or(configured) else {
        let mut names = numbered(automatic(settings));
        return Ok(names.find(|path| !RunDir::holds_run(path)).expect("some number is free"));
    };
    if RunDir::holds_run(path) {
        return Err(Error::RunExists { path: path.to_owned() }.into());
    }
    Ok(path.to_owned())
}

/// The directory of the run to resume: as asked for; else the newest one that the configuration would have written, where
/// the command says what was trained on; else the newest of all.
pub fn existing_run(asked: Option<&Path>, config: Option<&Path>, set: &[String]) -> Result<PathBuf> {
    if let Some(path) = asked {
        return newest::run_directory(Some(path));
    }
    let (settings, origin) = settings::load(config, set)?;
    if !settings.training.run_dir.is_empty() {
        return Ok(settings.training.run_dir.into());
    }
    let named = origin.is_set("data", "path") || origin.is_set("data", "source");
    let says_what = config.is_some() || named || settings.finetune.is_some();
    if !says_what {
        return newest::run_directory(None);
    }
    let base = automatic(&settings);
    match numbered(base.clone()).take_while(|path| RunDir::holds_run(path)).last() {
        Some(path) => Ok(path),
        None => bail!("{}: no run here\nhint: name the run with `--run-dir DIR`", base.display()),
    }
}

/// `runs/NAME`, `runs/NAME-2`, `runs/NAME-3`, ….
fn numbered(base: PathBuf) -> impl Iterator<Item = PathBuf> {
    let further = base.display().to_string();
    std::iter::once(base).chain((2..).map(move |number| PathBuf::from(format!("{further}-{number}"))))
}

/// What becomes of a run that `command` started or resumed and that failed: one with a checkpoint is told how to go on once the
/// disk, say, is no longer full, and one that never trained leaves no directory that would stand in the way of the next try.
pub fn after_failure(
    error: anyhow::Error,
    folder: &Path,
    command: &str,
    resumed: bool,
    keep_data: bool,
) -> anyhow::Error {
    if !RunDir::holds_run(folder) {
        if !resumed {
            RunDir::discard(folder, keep_data);
        }
        return error;
    }
    if !error.chain().any(|cause| cause.is::<std::io::Error>()) {
        return error;
    }
    let message = failure::message(&error, Reading::Settings);
    let resume = format!("{command} --run-dir {} --resume", quoted(&folder.to_string_lossy()));
    error.context(format!("{message}\nhint: once that is put right, continue with `{resume}`"))
}

/// The command that made a run, as far as its configuration tells.
pub fn command_of(run: &Path) -> String {
    let text = std::fs::read_to_string(run.join("config.toml")).unwrap_or_default();
    let config = text.parse::<Table>().unwrap_or_default();
    if config.contains_key("sae") {
        return "kiln sae train".to_owned();
    }
    let task = config.get("finetune").and_then(|section| Some(section.get("task")?.as_str()?.to_owned()));
    task.map_or_else(|| "kiln train".to_owned(), |task| format!("kiln finetune {task}"))
}

fn automatic(settings: &Settings) -> PathBuf {
    if settings.sae.is_some() {
        return Path::new("runs").join("sae");
    }
    if let Some(finetune) = &settings.finetune {
        return Path::new("runs").join(finetune.task.to_string());
    }
    let name = match (settings.data.source, &settings.data.path) {
        (DataSource::Path, Some(path)) if path.as_os_str() == STANDARD_INPUT => "stdin".into(),
        (DataSource::Path, Some(path)) => {
            path.file_stem().map_or("text".into(), |stem| stem.to_string_lossy())
        }
        (DataSource::Cargo, _) => "cargo".into(),
        (DataSource::Repeats, _) => "induction".into(),
        _ => "tales".into(),
    };
    Path::new("runs").join(name.as_ref())
}
