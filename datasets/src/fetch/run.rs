//! Fetching what a name stands for.

use std::path::{Path, PathBuf};

use super::client::Client;
use super::dataset::{self, HubDataset};
use super::download::Expected;
use super::repository::SCHEME;
use super::{CORPORA, FetchOptions, FetchProgress, Fetched, Origin};
use crate::Absence;
use crate::DEFAULT_FIELD;
use crate::error::{Error, Result};

/// Fetches the corpus `name`: one of [`CORPORA`], or `hf://datasets/OWNER/NAME`.
///
/// Files go to `folder` if it is given; else files of the hub to its cache, others to `data/NAME`.
///
/// # Errors
///
/// [`Error::UnknownCorpus`]; [`Error::NotThere`] for what the server does not have or does not give to us, or
/// what is not here when offline; [`Error::Unreachable`] without a network; [`Error::Download`] if it fails for good;
/// [`Error::NoSpace`] or [`Error::Io`] if the disk does.
pub fn fetch(
    name: &str,
    folder: Option<&Path>,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<Fetched> {
    if name.starts_with(SCHEME) {
        return dataset::fetch(&HubDataset::parse(name)?, DEFAULT_FIELD, folder, options, progress);
    }
    let Some(corpus) = CORPORA.iter().find(|corpus| corpus.name == name) else {
        return Err(Error::UnknownCorpus { name: name.to_owned() });
    };
    match corpus.origin {
        Origin::Hub(address) => {
            dataset::fetch(&HubDataset::parse(address)?, corpus.field, folder, options, progress)
        }
        Origin::Url { url, sha256 } => {
            let folder = folder.map_or_else(|| Path::new("data").join(name), Path::to_owned);
            let path = fetch_url(url, sha256, &folder, options, progress)?;
            Ok(Fetched { files: vec![path.clone()], path, field: corpus.field })
        }
    }
}

/// Fetches one file, named as the last part of its address.
pub(super) fn fetch_url(
    url: &str,
    sha256: &str,
    folder: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<PathBuf> {
    let path = folder.join(url.rsplit('/').next().unwrap_or(url));
    let expected = Expected { size: None, sha256: Some(sha256.to_owned()) };
    if expected.is_at(&path)? {
        return Ok(path);
    }
    if options.offline {
        return Err(Error::NotThere { url: url.to_owned(), reason: Absence::Offline });
    }
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    Client::new(options).download(url, &path, &expected, progress)?;
    Ok(path)
}
