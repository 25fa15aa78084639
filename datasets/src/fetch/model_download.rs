//! A model on its way from the hub: first its architecture, then, if that is of use, the rest.

use std::path::{Path, PathBuf};

use super::gguf_file;
use super::local_model::{COMPANIONS, CONFIG, INDEX, WEIGHTS, shards};
use super::repository::ListedFile;
use super::snapshot::Snapshot;
use super::{FetchOptions, FetchProgress, HubModel, LocalModel};
use crate::Absence;
use crate::error::{Error, Result};

/// Files of weights that are not read: how their names end, and what they are.
const OTHER_WEIGHTS: [(&str, &str); 7] = [
    ("adapter_model.safetensors", "an adapter, without the model that it changes"),
    ("adapter_config.json", "an adapter, without the model that it changes"),
    ("pytorch_model.bin", "weights in PyTorch's own format"),
    ("pytorch_model.bin.index.json", "weights in PyTorch's own format"),
    ("tf_model.h5", "weights in TensorFlow's format"),
    ("flax_model.msgpack", "weights in Flax's format"),
    (".onnx", "weights in ONNX's format"),
];

/// A model of which `config.json` is here.
pub struct ModelDownload {
    snapshot: Snapshot,
}

impl ModelDownload {
    /// Asks the hub what the model has, and fetches its `config.json`, into `folder` or else into the cache.
    ///
    /// # Errors
    ///
    /// [`Error::NotThere`] if there is no such model, or it is not given to us; [`Error::OtherWeights`] if its
    /// weights are in no format that is read; [`Error::GgufFiles`] if they are in files of llama.cpp, of which one is to be named;
    /// [`Error::OtherModel`] if `folder` holds another one; and what
    /// [`fetch`](super::fetch) says.
    pub fn start(
        model: &HubModel,
        folder: Option<&Path>,
        options: &FetchOptions,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Self> {
        if options.offline {
            return Err(Error::NotThere { url: model.to_string(), reason: Absence::Offline });
        }
        let download = Self { snapshot: open(model, folder, options, progress)? };
        if download.listed(WEIGHTS).or(download.listed(INDEX)).is_none() {
            return Err(download.without_weights(model));
        }
        let config = download.required(CONFIG)?;
        if let Some(folder) = folder {
            let path = folder.join(CONFIG);
            let here = std::fs::read_to_string(&path);
            if here.is_ok_and(|here| download.snapshot.text(config, progress).is_ok_and(|text| text != here))
            {
                return Err(Error::OtherModel { path });
            }
        }
        download.snapshot.fetch(&[config], progress)?;
        Ok(download)
    }

    /// The folder that has, or will have, the files.
    pub fn folder(&self) -> PathBuf {
        self.snapshot.root()
    }

    /// Fetches what is not here yet: tokenizer, settings, weights.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn finish(self, progress: &mut dyn FnMut(&FetchProgress)) -> Result<LocalModel> {
        let mut wanted: Vec<&ListedFile> =
            COMPANIONS.into_iter().filter_map(|name| self.listed(name)).collect();
        match self.listed(WEIGHTS) {
            Some(weights) => wanted.push(weights),
            None => {
                self.snapshot.fetch(&[self.required(INDEX)?], progress)?;
                for shard in shards(&self.folder().join(INDEX))? {
                    wanted.push(self.required(&shard)?);
                }
            }
        }
        self.snapshot.fetch(&wanted, progress)?;
        self.snapshot.remember()?;
        let commit = Some(self.snapshot.listing.commit.clone());
        Ok(LocalModel { commit, ..LocalModel::of(&self.folder()) })
    }

    fn listed(&self, name: &str) -> Option<&ListedFile> {
        self.snapshot.listing.files.iter().find(|file| file.name == name)
    }

    fn required(&self, name: &str) -> Result<&ListedFile> {
        self.listed(name).ok_or_else(|| {
            let reason = Absence::Other(format!("there is no {name} in this repository"));
            Error::NotThere { url: self.snapshot.page(), reason }
        })
    }

    /// Says what the repository has instead.
    fn without_weights(&self, model: &HubModel) -> Error {
        let (model, gguf) = (model.to_string(), gguf_file::listed(&self.snapshot));
        if !gguf.is_empty() {
            return Error::GgufFiles { model, files: gguf };
        }
        let files = &self.snapshot.listing.files;
        let found = OTHER_WEIGHTS.iter().find_map(|(end, what)| {
            let file = files.iter().find(|file| file.name.ends_with(end))?;
            Some(format!("{}, {what}", file.name))
        });
        let found = found.unwrap_or_else(|| format!("no weights among its {} files", files.len()));
        Error::OtherWeights { model, found }
    }
}

/// The repository under the name that the hub, or the cache, knows.
pub(super) fn open(
    model: &HubModel,
    folder: Option<&Path>,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<Snapshot> {
    let mut repositories = model.repositories();
    repositories.sort_by_key(|repository| !repository.is_in_cache(options));
    let mut refused = None;
    for repository in repositories {
        match Snapshot::open(repository, folder, options, progress) {
            Err(error @ Error::NotThere { .. }) => refused = refused.or(Some(error)),
            outcome => return outcome,
        }
    }
    Err(refused.expect("a model has a name"))
}
