//! Fetching well-known corpora, and any dataset of the Hugging Face hub.
//!
//! A [`Corpora`](CORPORA) entry or a [`HubDataset`] says what to fetch; [`fetch`] downloads what is not there yet. Every
//! file is continued where an earlier attempt stopped, checked against its SHA-256, and appears under its name only when
//! it is whole.

mod corpora;
mod download;
mod hub;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::corpora::{CORPORA, KnownCorpus, Origin};
use self::download::{Client, Expected, sha256_of};
pub use self::hub::HubDataset;
use crate::DEFAULT_FIELD;
use crate::error::{Absence, Error, Result};

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Address of the hub.
    pub endpoint: String,
    /// Where the hub's files are kept: Hugging Face's own cache, shared with its other programs.
    pub cache: PathBuf,
    /// Access token for the hub. It is sent to the hub alone.
    pub token: Option<String>,
    /// Only looks for what is there already.
    pub offline: bool,
    /// Failures in a row, without a byte in between, before giving up.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each further one.
    pub backoff: Duration,
    /// Longest silence of a server.
    pub stall: Duration,
}

impl FetchOptions {
    /// As `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`, `HF_HOME` and `HF_HUB_OFFLINE` say.
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let cache = hf_hub::Cache::from_env();
        Self {
            endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned()),
            token: variable("HF_TOKEN").or_else(|| cache.token()),
            cache: variable("HF_HUB_CACHE").map_or_else(|| cache.path().clone(), PathBuf::from),
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| value != "0"),
            attempts: 6,
            backoff: Duration::from_secs(1),
            stall: Duration::from_secs(30),
        }
    }
}

/// How far fetching has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchProgress {
    /// The file at hand.
    pub file: String,
    /// Bytes of it that are here.
    pub bytes: u64,
    /// Bytes it has, if the server says so.
    pub total: Option<u64>,
    /// What went wrong last, if this is not the first attempt.
    pub retry: Option<String>,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// What to name as a source.
    pub path: PathBuf,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Field or column that holds the text.
    pub field: &'static str,
}

/// Fetches the corpus `name`: one of [`CORPORA`], or `hf://datasets/OWNER/NAME`.
///
/// Files go to `folder` if it is given; else files of the hub to its cache, others to `data/NAME`.
///
/// # Errors
///
/// [`Error::UnknownCorpus`]; [`Error::NotThere`] for what the server does not have or does not give to us, or what is
/// not here when offline; [`Error::Download`] if it fails for good; [`Error::Io`] if the disk does.
pub fn fetch(
    name: &str,
    folder: Option<&Path>,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<Fetched> {
    let client = Client::new(options);
    if name.starts_with(hub::SCHEME) {
        let dataset = HubDataset::parse(name)?;
        return hub::fetch(&dataset, DEFAULT_FIELD, folder, &client, options, progress);
    }
    let Some(corpus) = CORPORA.iter().find(|corpus| corpus.name == name) else {
        return Err(Error::UnknownCorpus { name: name.to_owned() });
    };
    match corpus.origin {
        Origin::Hub(address) => {
            hub::fetch(&HubDataset::parse(address)?, corpus.field, folder, &client, options, progress)
        }
        Origin::Url { url, sha256 } => {
            let folder = folder.map_or_else(|| Path::new("data").join(name), Path::to_owned);
            let path = fetch_url(url, sha256, &folder, &client, options, progress)?;
            Ok(Fetched { files: vec![path.clone()], path, field: corpus.field })
        }
    }
}

/// Fetches one file, named as the last part of its address.
fn fetch_url(
    url: &str,
    sha256: &str,
    folder: &Path,
    client: &Client,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<PathBuf> {
    let path = folder.join(url.rsplit('/').next().unwrap_or(url));
    if path.is_file() && sha256_of(&path)? == sha256 {
        return Ok(path);
    }
    if options.offline {
        return Err(Error::NotThere { url: url.to_owned(), reason: Absence::Offline });
    }
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let expected = Expected { size: None, sha256: Some(sha256.to_owned()) };
    client.download(url, &path, &expected, progress)?;
    Ok(path)
}

#[cfg(test)]
mod tests;
