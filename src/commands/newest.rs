//! What a command works on: what was named, or the newest run.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Result, bail};
use kiln_model::is_gguf;
use kiln_training::{RunDir, RunView};

use super::hub_model;
use super::shell::quoted;
use crate::contents;
use crate::nearest::nearest;
use crate::output::print_message;

/// The folder that runs are written to.
pub const RUNS: &str = "runs";

/// A run on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// When something was last measured in it.
    pub changed: SystemTime,
}

/// The directory of a model, or its GGUF file: the named one, which may be a file of a model directory, a run of the folder `runs` by its
/// name or, where there is neither, a fetched model by its name; without a name, the newest run that has a model.
pub fn model_directory(named: Option<&Path>) -> Result<PathBuf> {
    let Some(named) = named else {
        return newest("a model", |path| contents::holds_model(&path.join("model")));
    };
    if let Some(directory) = contents::model_around(named) {
        return Ok(directory);
    }
    let directory = by_name(named);
    if directory.exists() || is_gguf(&directory) {
        contents::check_model(&directory)?;
        return Ok(directory);
    }
    match hub_model::find(named)? {
        Some(fetched) => Ok(fetched),
        None => bail!(
            "{}: no model here: there is no such directory, file or run\nhint: {}",
            named.display(),
            match named_alike(named) {
                Some(run) => format!("did you mean {}?", quoted(&run)),
                None => "`kiln runs` lists the runs; `kiln fetch gpt2` fetches a model".to_owned(),
            }
        ),
    }
}

/// The run in the folder `runs` whose name is most like this one.
pub fn named_alike(named: &Path) -> Option<String> {
    let runs = runs_in(Path::new(RUNS));
    let names = runs.iter().filter_map(|run| run.path.strip_prefix(RUNS).ok()?.to_str());
    let typed = named.strip_prefix(RUNS).unwrap_or(named).to_str()?;
    nearest(typed, names).map(str::to_owned)
}

/// The directory of a run: the named one, which may be a run of the folder `runs` by its name; without a name, the newest.
pub fn run_directory(named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(named) => Ok(by_name(named)),
        None => newest("a run", |_| true),
    }
}

/// The run in `directory`, to read; lines of it that cannot be read are told.
pub fn look(directory: &Path) -> Result<RunView> {
    let run = RunDir::look(directory)?;
    for (file, line) in run.damaged_lines()? {
        print_message(format_args!(
            "warning: {}:{line}: not a line that this program wrote; it is left out",
            file.display()
        ));
    }
    Ok(run)
}

/// The runs in `folder` and in its folders, as a sweep has them, newest first.
pub fn runs_in(folder: &Path) -> Vec<Found> {
    let mut found: Vec<Found> = folders(folder)
        .into_iter()
        .flat_map(|path| if RunDir::look(&path).is_ok() { vec![path] } else { folders(&path) })
        .filter_map(|path| {
            let changed = RunDir::look(&path).ok()?.changed()?;
            Some(Found { path, changed })
        })
        .collect();
    found.sort_by(|a, b| b.changed.cmp(&a.changed).then_with(|| a.path.cmp(&b.path)));
    found
}

/// A path that is there as it is; else a run of that name.
fn by_name(named: &Path) -> PathBuf {
    let run = Path::new(RUNS).join(named);
    if !named.exists() && run.is_dir() { run } else { named.to_owned() }
}

fn newest(what: &str, suits: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    let mut runs = runs_in(Path::new(RUNS)).into_iter().map(|run| run.path);
    match runs.find(|path| suits(path)) {
        Some(path) => {
            print_message(format_args!("{}, the newest run", path.display()));
            Ok(path)
        }
        None => {
            bail!("{RUNS}: no run here has {what}\nhint: name a directory, or train one with `kiln train`")
        }
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn runs_are_found_newest_first_those_of_a_sweep_among_them() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let start = SystemTime::now();
        for (age, name) in [(3, "old"), (1, "sweep/dropout=0.1"), (2, "tales")] {
            let run = folder.path().join(name);
            std::fs::create_dir_all(&run).expect("writable");
            let metrics = std::fs::File::create(run.join("metrics.jsonl")).expect("writable");
            metrics.set_modified(start - Duration::from_secs(age)).expect("writable");
        }
        std::fs::create_dir_all(folder.path().join("notes")).expect("writable");
        let found: Vec<PathBuf> = runs_in(folder.path()).into_iter().map(|run| run.path).collect();
        assert_eq!(found, ["sweep/dropout=0.1", "tales", "old"].map(|name| folder.path().join(name)));
    }
}
