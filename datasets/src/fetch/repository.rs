//! A repository of the hub, and the files that a revision of it has.

use std::path::{Component, Path};

use hf_hub::{Repo, RepoType};
use serde::Deserialize;

use super::client::Client;
use super::download::Expected;
use super::{FetchOptions, FetchProgress};
use crate::error::{Error, Result};

pub(super) const SCHEME: &str = "hf://";
/// The revision where none is named.
pub(super) const MAIN: &str = "main";

/// A repository of the hub at a revision.
#[derive(Clone, Debug)]
pub(super) struct HubRepository {
    kind: RepoType,
    name: String,
    revision: String,
}

/// What the hub says about a revision of a repository.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    /// What the repository is called now.
    id: Option<String>,
    /// The commit.
    #[serde(rename = "sha")]
    pub(super) commit: String,
    #[serde(rename = "siblings", default)]
    pub(super) files: Vec<ListedFile>,
}

/// A file of a [`Listing`].
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ListedFile {
    /// Its path in the repository.
    #[serde(rename = "rfilename")]
    pub(super) name: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Clone, Debug, Deserialize)]
struct LargeFile {
    sha256: String,
    size: Option<u64>,
}

impl HubRepository {
    /// A dataset: `OWNER/NAME`.
    pub(super) fn dataset(name: &str, revision: &str) -> Self {
        Self { kind: RepoType::Dataset, name: name.to_owned(), revision: revision.to_owned() }
    }

    /// A model: `OWNER/NAME`, or `NAME` as the first ones were called.
    pub(super) fn model(name: &str, revision: &str) -> Self {
        Self { kind: RepoType::Model, name: name.to_owned(), revision: revision.to_owned() }
    }

    /// Its place in the cache.
    pub(super) fn in_cache(&self) -> Repo {
        Repo::with_revision(self.name.clone(), self.kind, self.revision.clone())
    }

    /// Whether the cache has anything of it.
    pub(super) fn is_in_cache(&self, options: &FetchOptions) -> bool {
        options.cache.join(self.in_cache().folder_name()).is_dir()
    }

    /// Its page, for people.
    pub(super) fn page(&self, endpoint: &str) -> String {
        let revision = match self.revision.as_str() {
            MAIN => String::new(),
            revision => format!("/tree/{revision}"),
        };
        format!("{endpoint}/{}{}{revision}", self.folder(), self.name)
    }

    /// Asks the hub what the revision holds.
    pub(super) fn listing(
        &self,
        client: &Client,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Listing> {
        let listing = self.listing_of(&self.name, client, progress)?;
        // A redirection to the new name of a repository may lose what was asked for: sizes and checksums.
        match &listing.id {
            Some(id) if *id != self.name && listing.files.iter().all(|file| file.size().is_none()) => {
                self.listing_of(id, client, progress)
            }
            _ => Ok(listing),
        }
    }

    fn listing_of(
        &self,
        name: &str,
        client: &Client,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Listing> {
        let (endpoint, revision) = (client.endpoint(), encoded(&self.revision, ""));
        let kind = if matches!(self.kind, RepoType::Dataset) { "datasets" } else { "models" };
        let url = format!("{endpoint}/api/{kind}/{}/revision/{revision}?blobs=true", encoded(name, "/"));
        let text = client.text(&url, progress).map_err(|error| match error {
            Error::NotThere { reason, .. } => Error::NotThere { url: self.page(endpoint), reason },
            Error::Unreachable { reason, .. } => Error::Unreachable { url: endpoint.to_owned(), reason },
            error => error,
        })?;
        let unexpected = |reason: String| Error::Download {
            url: url.clone(),
            reason: format!("the answer is not what was expected: {reason}"),
        };
        let listing: Listing = serde_json::from_str(&text).map_err(|error| unexpected(error.to_string()))?;
        if !is_plain(&listing.commit) {
            return Err(unexpected(format!("the commit is \"{}\"", listing.commit)));
        }
        Ok(listing)
    }

    /// Where a file of a commit is downloaded.
    pub(super) fn url(&self, file: &ListedFile, commit: &str, client: &Client) -> Result<String> {
        let (endpoint, folder) = (client.endpoint(), self.folder());
        let below =
            |name: &str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !below(&file.name) {
            let reason = format!("it lists a file \"{}\"", file.name);
            return Err(Error::Download { url: self.page(endpoint), reason });
        }
        Ok(format!("{endpoint}/{folder}{}/resolve/{commit}/{}", self.name, encoded(&file.name, "/")))
    }

    /// What stands before its name in an address.
    fn folder(&self) -> &'static str {
        if matches!(self.kind, RepoType::Dataset) { "datasets/" } else { "" }
    }
}

impl ListedFile {
    pub(super) fn size(&self) -> Option<u64> {
        self.lfs.as_ref().and_then(|lfs| lfs.size).or(self.size)
    }

    pub(super) fn expected(&self) -> Expected {
        Expected { size: self.size(), sha256: self.lfs.as_ref().map(|lfs| lfs.sha256.clone()) }
    }

    /// What the cache calls its contents.
    pub(super) fn blob(&self) -> Option<&str> {
        let blob = self.lfs.as_ref().map(|lfs| &lfs.sha256).or(self.blob_id.as_ref())?;
        is_plain(blob).then_some(blob)
    }
}

/// Whether a name that came from elsewhere can be the name of a file.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Whether `part` can be part of the name of a repository, or of a revision.
pub(super) fn is_name(part: &str) -> bool {
    !part.starts_with(['.', '-'])
        && !part.contains("..")
        && !part.is_empty()
        && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A name as it stands in an address; characters of `kept` stay as they are.
fn encoded(name: &str, kept: &str) -> String {
    let encode = |byte: u8| match char::from(byte) {
        plain if plain.is_ascii_alphanumeric() || "-_.~".contains(plain) || kept.contains(plain) => {
            plain.to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}
