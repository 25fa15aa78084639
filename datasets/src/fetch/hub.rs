//! Datasets of the Hugging Face hub, in the cache that its other programs share.

use std::path::{Component, Path};

use globset::GlobBuilder;
use serde::Deserialize;

use super::destination::{Destination, common};
use super::download::{Client, Expected};
use super::{FetchOptions, FetchProgress, Fetched};
use crate::Format;
use crate::error::{Absence, Error, Result};

pub(super) const SCHEME: &str = "hf://";
pub(super) const DATASETS: &str = "hf://datasets/";
const MAIN: &str = "main";

/// `hf://datasets/OWNER/NAME[@REVISION][/PATTERN]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubDataset {
    /// `OWNER/NAME`
    pub repository: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Which files; none: those of a usual text or record format.
    pub pattern: Option<String>,
}

impl HubDataset {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCorpus`] if it is none.
    pub fn parse(address: &str) -> Result<Self> {
        let refuse = || Error::UnknownCorpus { name: address.to_owned() };
        let mut parts = address.strip_prefix(DATASETS).ok_or_else(refuse)?.splitn(3, '/');
        let (Some(owner), Some(name)) = (parts.next(), parts.next()) else { return Err(refuse()) };
        let (name, revision) = name.split_once('@').unwrap_or((name, MAIN));
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if ![owner, name, revision].into_iter().all(plain) {
            return Err(refuse());
        }
        Ok(Self {
            repository: format!("{owner}/{name}"),
            revision: revision.to_owned(),
            pattern: parts.next().filter(|pattern| !pattern.is_empty()).map(str::to_owned),
        })
    }

    /// Whether to take a file of that name.
    fn takes(&self) -> Result<impl Fn(&str) -> bool + use<>> {
        let glob = self.pattern.as_deref().map(|pattern| {
            GlobBuilder::new(pattern).literal_separator(true).build().map(|glob| glob.compile_matcher())
        });
        let glob = glob.transpose().map_err(|error| Error::Pattern {
            pattern: self.pattern.clone().unwrap_or_default(),
            reason: error.kind().to_string(),
        })?;
        Ok(move |name: &str| match &glob {
            Some(glob) => glob.is_match(name),
            None => Format::is_usual(Path::new(name)) && !name.eq_ignore_ascii_case("readme.md"),
        })
    }
}

/// What the hub says about a revision of a dataset.
#[derive(Deserialize)]
struct Listing {
    /// The commit.
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
    size: Option<u64>,
}

pub(super) fn fetch(
    dataset: &HubDataset,
    field: &'static str,
    folder: Option<&Path>,
    client: &Client,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<Fetched> {
    let takes = dataset.takes()?;
    let destination = Destination::of(dataset, folder, options);
    if options.offline {
        return destination.what_is_there(dataset, field, &takes);
    }
    let (address, listing) = Listing::of(dataset, client)?;
    let wanted = listing.wanted(dataset, &address, &takes)?;
    let root = destination.root(&listing.sha);
    let mut files = Vec::new();
    for file in wanted {
        let path = root.join(&file.rfilename);
        if !path.is_file() {
            let url = file.url(dataset, &listing.sha, client);
            let expected = file.expected();
            let blob = expected.sha256.as_ref().or(file.blob_id.as_ref()).filter(|name| is_plain(name));
            destination.download(&path, blob, &url, &expected, client, progress)?;
        }
        files.push(path);
    }
    destination.remember(&listing.sha)?;
    Ok(Fetched { path: common(&root, &files), files, field })
}

impl Listing {
    /// Asks the hub. Returns the address too, for messages.
    fn of(dataset: &HubDataset, client: &Client) -> Result<(String, Self)> {
        let HubDataset { repository, revision, .. } = dataset;
        let endpoint = client.endpoint();
        let address = format!("{endpoint}/api/datasets/{repository}/revision/{revision}?blobs=true");
        match serde_json::from_str(&client.text(&address)?) {
            Ok(listing) => Ok((address, listing)),
            Err(error) => {
                let reason = format!("the answer is not what was expected: {error}");
                Err(Error::Download { url: address, reason })
            }
        }
    }

    /// The files to take: at least one, and none whose name leads out of the folder.
    fn wanted(
        &self,
        dataset: &HubDataset,
        address: &str,
        takes: &impl Fn(&str) -> bool,
    ) -> Result<Vec<&Sibling>> {
        let url = address.to_owned();
        let wanted: Vec<_> = self.siblings.iter().filter(|file| takes(&file.rfilename)).collect();
        if wanted.is_empty() || !is_plain(&self.sha) {
            let count = self.siblings.len();
            let reason = match &dataset.pattern {
                Some(pattern) => format!("none of its {count} files matches {pattern}"),
                None => format!("none of its {count} files is of a format that can be read"),
            };
            return Err(Error::NotThere { url, reason: Absence::Other(reason) });
        }
        let below =
            |name: &str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        match wanted.iter().find(|file| !below(&file.rfilename)) {
            None => Ok(wanted),
            Some(Sibling { rfilename, .. }) => {
                Err(Error::Download { url, reason: format!("it lists a file \"{rfilename}\"") })
            }
        }
    }
}

impl Sibling {
    fn url(&self, dataset: &HubDataset, commit: &str, client: &Client) -> String {
        let (endpoint, repository) = (client.endpoint(), &dataset.repository);
        format!("{endpoint}/datasets/{repository}/resolve/{commit}/{}", encoded(&self.rfilename))
    }

    fn expected(&self) -> Expected {
        Expected {
            size: self.lfs.as_ref().and_then(|lfs| lfs.size).or(self.size),
            sha256: self.lfs.as_ref().map(|lfs| lfs.sha256.clone()),
        }
    }
}

/// Whether a name that came from elsewhere can be the name of a file.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric())
}

/// A name as it stands in an address.
fn encoded(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}
