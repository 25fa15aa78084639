//! How to fetch, how far that has come, and what came of it.

use std::path::PathBuf;
use std::time::Duration;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct Fetched {
    /// What to name as a source.
    pub path: PathBuf,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Field or column that holds the text.
    pub field: &'static str,
}
