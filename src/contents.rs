//! What lies at a path, as far as names tell. Where a command was given the wrong thing, its message says what that is and
//! which command takes it.

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kiln_datasets::{Dataset, Format, Tokenizer};
use kiln_model::is_gguf;
use kiln_training::RunDir;

use crate::commands::newest::{named_alike, runs_in};
use crate::commands::run_folder::command_of;
use crate::commands::shell::quoted;

/// Endings of files of weights that PyTorch and others write.
const WEIGHTS: [&str; 7] = ["safetensors", "bin", "pt", "pth", "ckpt", "h5", "msgpack"];

/// What a path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    Model,
    Gguf,
    Weights,
    Run,
    Runs,
    Checkpoint,
    Tokenizer,
    Shards,
    Configuration,
    Text,
}

impl Contents {
    /// `None` if there is nothing, or something of which the name says nothing.
    pub fn of(path: &Path) -> Option<Self> {
        if path.is_dir() { Self::of_directory(path) } else { Self::of_file(path).filter(|_| path.is_file()) }
    }

    fn of_directory(path: &Path) -> Option<Self> {
        let has = |name: &str| path.join(name).exists();
        if has("config.toml") && has("metrics.jsonl") {
            Some(Self::Run)
        } else if run_of_checkpoint(path).is_some() {
            Some(Self::Checkpoint)
        } else if has_weights(path) {
            Some(Self::Model)
        } else if Dataset::is_in(path) {
            Some(Self::Shards)
        } else if Tokenizer::is_in(path) && !has("config.json") {
            Some(Self::Tokenizer)
        } else {
            (!runs_in(path).is_empty()).then_some(Self::Runs)
        }
    }

    fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let ending = ending.unwrap_or_default();
        match (name, ending.as_str()) {
            ("tokenizer.json" | "vocab.json" | "merges.txt" | "tokenizer.model", _) => Some(Self::Tokenizer),
            (_, "toml") => Some(Self::Configuration),
            (_, "tokens") => Some(Self::Shards),
            ("model.safetensors", _) => Some(Self::Weights),
            _ if is_gguf(path) => Some(Self::Gguf),
            _ if run_of_checkpoint(path).is_some() => Some(Self::Checkpoint),
            (_, ending) if WEIGHTS.contains(&ending) => Some(Self::Weights),
            _ => Format::is_usual(path).then_some(Self::Text),
        }
    }
}

impl Display for Contents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Model => "a model",
            Self::Gguf => "a model in a GGUF file",
            Self::Weights => "a file of weights",
            Self::Run => "a run",
            Self::Runs => "a folder of runs",
            Self::Checkpoint => "a checkpoint of a run",
            Self::Tokenizer => "a tokenizer",
            Self::Shards => "token shards",
            Self::Configuration => "a configuration",
            Self::Text => "a text",
        })
    }
}

/// Whether a directory has the configuration of a model, or of an adapter.
pub fn holds_model(directory: &Path) -> bool {
    ["config.json", "adapter_config.json"].iter().any(|name| directory.join(name).is_file())
}

/// Whether a directory has a configuration and weights: that of a model, or of an adapter.
fn has_weights(directory: &Path) -> bool {
    let is_weights = |path: &Path| WEIGHTS.iter().any(|ending| path.extension() == Some(OsStr::new(ending)));
    holds_model(directory)
        && std::fs::read_dir(directory).into_iter().flatten().flatten().any(|entry| is_weights(&entry.path()))
}

/// The run that a checkpoint, its folder or a file of it belongs to.
fn run_of_checkpoint(path: &Path) -> Option<&Path> {
    let folder = path.ancestors().take(3).find(|folder| folder.ends_with("checkpoint"))?;
    folder.parent().filter(|run| RunDir::look(run).is_ok())
}

/// The directory of a model or an adapter that a file of weights, or its configuration, lies in.
pub fn model_around(file: &Path) -> Option<PathBuf> {
    let configures = file.ends_with("config.json") || file.ends_with("adapter_config.json");
    let of_model = configures || Contents::of(file) == Some(Contents::Weights);
    let directory = directory_of(file);
    (of_model && file.is_file() && holds_model(&directory)).then_some(directory)
}

/// Refuses what is there and is no model.
///
/// # Errors
///
/// With what it is and what takes it.
pub fn check_model(path: &Path) -> Result<()> {
    let Some(contents) = Contents::of(path) else { return Ok(()) };
    let named = quoted(&path.to_string_lossy());
    let hint = match contents {
        Contents::Model | Contents::Gguf => return Ok(()),
        Contents::Run if holds_model(&path.join("model")) => return Ok(()),
        Contents::Run => {
            bail!(
                "{}: a run that has no model yet\nhint: its first evaluation writes one: `{} --run-dir {named} --resume`",
                path.display(),
                command_of(path)
            )
        }
        Contents::Weights => {
            "a model is a directory with config.json and model.safetensors, as transformers' `save_pretrained` writes it"
                .to_owned()
        }
        Contents::Runs => format!("name one of them; `kiln runs {named}` lists them"),
        Contents::Checkpoint => {
            let run = run_of_checkpoint(path).unwrap_or(path).to_string_lossy();
            format!("the run's best model goes by the name of the run: `--model {}`", quoted(&run))
        }
        Contents::Tokenizer => "a model has config.json and model.safetensors besides".to_owned(),
        Contents::Shards => format!("`kiln train {named}` trains a model on them"),
        Contents::Configuration => format!("`kiln train --config {named}` trains the model that it describes"),
        Contents::Text => format!(
            "`kiln train {named}` trains a model on it; `kiln generate -f {named}` continues it; `kiln eval --data {named}` \
             measures the newest run on it"
        ),
    };
    bail!("{}: {contents}, not a model\nhint: {hint}", path.display())
}

/// What to do about a path where no run is.
pub fn instead_of_run(path: &Path) -> String {
    let named = quoted(&path.to_string_lossy());
    match Contents::of(path) {
        Some(Contents::Model | Contents::Gguf) => format!("it holds a model: `kiln info {named}` says which"),
        Some(Contents::Checkpoint) => {
            let run = run_of_checkpoint(path).unwrap_or(path).to_string_lossy();
            format!("it belongs to the run {}", quoted(&run))
        }
        Some(Contents::Text | Contents::Shards) => format!("`kiln train {named}` trains on it"),
        _ => match named_alike(path) {
            Some(run) if !path.exists() => format!("did you mean {}?", quoted(&run)),
            _ => "`kiln runs` lists the runs in runs/".to_owned(),
        },
    }
}

/// Refuses what is there and is no configuration; `text` is what it holds.
///
/// # Errors
///
/// With what it is and what takes it.
pub fn check_configuration(path: &Path, text: &str) -> Result<()> {
    let named = quoted(&path.to_string_lossy());
    match Contents::of(path) {
        // It may be called as it likes.
        Some(Contents::Text) if text.parse::<toml::Table>().is_err() => bail!(
            "{}: a text, not a configuration\nhint: `kiln train {named}` trains a model on it",
            path.display()
        ),
        _ => Ok(()),
    }
}

/// Refuses what is there and is neither a text nor token shards.
///
/// # Errors
///
/// With what it is and what takes it.
pub fn check_text(path: &Path) -> Result<()> {
    let Some(contents) = Contents::of(path) else { return Ok(()) };
    let named = quoted(&path.to_string_lossy());
    let hint = match contents {
        Contents::Text | Contents::Shards | Contents::Configuration | Contents::Runs => return Ok(()),
        // These names may be anyone's.
        Contents::Tokenizer if path.is_file() => return Ok(()),
        Contents::Weights if path.extension().is_some_and(|ending| ending == "bin") => return Ok(()),
        Contents::Run => format!(
            "its corpus is {}; `kiln train --run-dir {named} --resume` resumes it, `kiln train TEXT --init-from {named}` \
             goes on from its model with another text",
            quoted(&path.join("data").to_string_lossy())
        ),
        Contents::Checkpoint => {
            let run = run_of_checkpoint(path).unwrap_or(path).to_string_lossy();
            let command = command_of(Path::new(run.as_ref()));
            format!("`{command} --run-dir {} --resume` resumes the run from its newest one", quoted(&run))
        }
        Contents::Tokenizer => format!("where a command takes one: `--tokenizer {named}`"),
        Contents::Model | Contents::Gguf | Contents::Weights => format!(
            "where a command takes one: `--model {named}`; to train it further: `kiln train TEXT --init-from {named}`"
        ),
    };
    bail!("{}: {contents}, not a text\nhint: {hint}", path.display())
}

/// Refuses what is there and has no tokenizer.
///
/// # Errors
///
/// With what it is and what takes it.
pub fn check_tokenizer(path: &Path) -> Result<()> {
    let Some(contents) = Contents::of(path) else { return Ok(()) };
    let named = quoted(&path.to_string_lossy());
    let hint = match contents {
        Contents::Text => {
            format!("`kiln tokenize train --data {named} --out DIR` learns one from it: `--tokenizer DIR`")
        }
        Contents::Checkpoint => {
            let run = run_of_checkpoint(path).unwrap_or(path).to_string_lossy();
            format!("the run's tokenizer goes by the name of the run: `--tokenizer {}`", quoted(&run))
        }
        Contents::Weights if Tokenizer::is_in(&directory_of(path)) => {
            let directory = directory_of(path);
            format!("name the directory: `--tokenizer {}`", quoted(&directory.to_string_lossy()))
        }
        Contents::Runs => format!("name one of them; `kiln runs {named}` lists them"),
        Contents::Configuration | Contents::Weights => {
            "name a tokenizer or model directory, a run, or byte, gpt2, cl100k_base, o200k_base".to_owned()
        }
        _ => return Ok(()),
    };
    bail!("{}: {contents}, not a tokenizer\nhint: {hint}", path.display())
}

/// The directory of a file, which may be the current one.
fn directory_of(file: &Path) -> PathBuf {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}
