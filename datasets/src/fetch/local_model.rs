//! The files of a model, and which of them a folder has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::gguf_file;
use crate::error::{Error, Result};

/// The architecture.
pub(super) const CONFIG: &str = "config.json";
/// The parameters, in one file.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// Which of several files holds which parameter.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// What belongs to a model and not every model has: how it generates, its tokenizer.
pub(super) const COMPANIONS: [&str; 9] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
];

/// A model of the hub that is here, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalModel {
    /// Its folder, or the file of llama.cpp that it is.
    pub path: PathBuf,
    /// Its files.
    pub files: Vec<PathBuf>,
    /// The commit of its repository, where that is known.
    pub commit: Option<String>,
    /// A file that it cannot do without and that is not here.
    pub missing: Option<String>,
    /// Files of llama.cpp in its folder, each a model of its own.
    pub gguf: Vec<PathBuf>,
}

impl LocalModel {
    /// The model that is one file of llama.cpp.
    pub fn of_gguf(file: PathBuf) -> Self {
        Self { files: vec![file.clone()], commit: None, missing: None, gguf: vec![file.clone()], path: file }
    }

    /// What `folder` has of a model.
    pub fn of(folder: &Path) -> Self {
        let mut names = vec![CONFIG.to_owned()];
        // An index that cannot be read lacks everything.
        match shards(&folder.join(INDEX)) {
            Ok(shards) if !folder.join(WEIGHTS).is_file() => {
                names.push(INDEX.to_owned());
                names.extend(shards);
            }
            _ => names.push(WEIGHTS.to_owned()),
        }
        let missing = names.iter().find(|name| !folder.join(name).is_file()).cloned();
        let names = names.into_iter().chain(COMPANIONS.map(str::to_owned));
        let files = names.map(|name| folder.join(name)).filter(|path| path.is_file()).collect();
        let gguf = gguf_file::in_folder(folder);
        Self { path: folder.to_owned(), files, commit: commit_of(folder), missing, gguf }
    }
}

/// The commit of a folder of the cache, which is called after it.
fn commit_of(folder: &Path) -> Option<String> {
    let is_snapshot = folder.parent()?.file_name()? == "snapshots";
    is_snapshot.then(|| folder.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// The files of weights that an index names.
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read(index).map_err(Error::io(index))?;
    let read: Index =
        serde_json::from_slice(&text).map_err(|error| Error::format(index, error.to_string()))?;
    let shards: BTreeSet<String> = read.weight_map.into_values().collect();
    match shards.iter().find(|shard| shard.contains(['/', '\\']) || shard.starts_with('.')) {
        None => Ok(shards),
        Some(shard) => {
            Err(Error::format(index, format!("shard `{shard}` is not a file name in this directory")))
        }
    }
}
