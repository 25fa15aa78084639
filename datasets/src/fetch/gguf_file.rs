//! A file of llama.cpp: a whole model in one file, of which a repository often has several.

use std::path::{Path, PathBuf};

use super::destination::Destination;
use super::model_download::open;
use super::snapshot::Snapshot;
use super::{FetchOptions, FetchProgress, HubModel, LocalModel};
use crate::error::{Error, Result};

/// Whether a file of that name is one.
pub(super) fn is_gguf(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".gguf")
}

/// Such files in a folder, by name.
pub(super) fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name().is_some_and(|name| is_gguf(&name.to_string_lossy())) && path.is_file()
        })
        .collect();
    files.sort();
    files
}

/// The names of such files in a repository.
pub(super) fn listed(snapshot: &Snapshot) -> Vec<String> {
    let names = snapshot.listing.files.iter().map(|file| file.name.clone());
    names.filter(|name| is_gguf(name)).collect()
}

impl HubModel {
    /// Fetches one file of llama.cpp, into `folder` or else into the cache; the model's path is that of the file.
    ///
    /// # Errors
    ///
    /// [`Error::NotThere`] if there is no such repository, [`Error::NoGgufFile`] if it has no such file, and what [`fetch`](super::fetch) says.
    pub fn fetch_gguf(
        &self,
        file: &str,
        folder: Option<&Path>,
        options: &FetchOptions,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<LocalModel> {
        let snapshot = open(self, folder, options, progress)?;
        let Some(found) = snapshot.listing.files.iter().find(|listed| listed.name == file && is_gguf(file))
        else {
            let (model, file) = (self.to_string(), file.to_owned());
            return Err(Error::NoGgufFile { model, file, files: listed(&snapshot) });
        };
        snapshot.fetch(&[found], progress)?;
        snapshot.remember()?;
        let model = LocalModel::of_gguf(snapshot.root().join(file));
        Ok(LocalModel { commit: Some(snapshot.listing.commit.clone()), ..model })
    }

    /// A file of llama.cpp, if it has been fetched into the cache, by whatever program.
    pub fn gguf_in_cache(&self, file: &str, options: &FetchOptions) -> Option<LocalModel> {
        let mut roots = self.repositories().into_iter().map(|repository| {
            let root = Destination::of(&repository, None, options).last_root();
            root.join(file)
        });
        roots.find(|path| is_gguf(file) && path.is_file()).map(LocalModel::of_gguf)
    }
}
