//! How to fetch, how far that has come, and what came of it.

use std::path::{Path, PathBuf};
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
    /// As the variables say that Python's `huggingface_hub` reads: `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`,
    /// `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` and `HF_HUB_OFFLINE`.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let home = match (variable("HF_HOME"), variable("XDG_CACHE_HOME")) {
            (Some(home), _) => PathBuf::from(home),
            (None, Some(caches)) => Path::new(&caches).join("huggingface"),
            (None, None) => hf_hub::Cache::default().path().with_file_name(""),
        };
        let read_token = |path: PathBuf| std::fs::read_to_string(path).ok();
        let token = variable("HF_TOKEN").or_else(|| {
            read_token(variable("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from))
        });
        Self {
            endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned()),
            token: token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()),
            cache: variable("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from),
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            attempts: 6,
            backoff: Duration::from_secs(1),
            stall: Duration::from_secs(30),
        }
    }
}

/// What `huggingface_hub` takes for yes.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
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
    /// Bytes of it and of the files before it that are here.
    pub all_bytes: u64,
    /// Bytes of all files that are wanted, if the server says so.
    pub all_total: Option<u64>,
    /// What went wrong last, if this is not the first attempt.
    pub retry: Option<String>,
    /// Another process is downloading this file: it is waited for.
    pub waiting: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_mean_what_they_mean_to_huggingface_hub() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        std::fs::write(folder.path().join("token"), "from a file\n").expect("writable");
        let options = |set: &[(&str, String)]| {
            let find = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.clone());
            FetchOptions::from_variables(find)
        };
        let home = options(&[("HF_HOME", at("")), ("HF_HUB_OFFLINE", "true".into())]);
        assert_eq!(home.cache, folder.path().join("hub"));
        assert_eq!(home.token.as_deref(), Some("from a file"));
        assert!(home.offline && home.endpoint == "https://huggingface.co");

        let set = [("HF_HOME", at("")), ("HF_HUB_CACHE", at("c")), ("HF_TOKEN", "secret".into())];
        let moved = options(&[&set[..], &[("HF_HUB_OFFLINE", "0".into())]].concat());
        assert_eq!((moved.cache, moved.token.as_deref()), (folder.path().join("c"), Some("secret")));
        assert!(!moved.offline);
        let caches = options(&[("XDG_CACHE_HOME", at(""))]);
        assert_eq!(caches.cache, folder.path().join("huggingface/hub"));
        assert!(options(&[]).cache.ends_with(".cache/huggingface/hub"));
    }
}
