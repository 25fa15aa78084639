//! Datasets of the Hugging Face hub, in the cache that its other programs share.

use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;
use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;

use super::download::{Client, Expected};
use super::{FetchOptions, FetchProgress, Fetched};
use crate::Format;
use crate::error::{Absence, Error, Result};

pub(super) const SCHEME: &str = "hf://";
const DATASETS: &str = "hf://datasets/";
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
    let HubDataset { repository, revision, .. } = dataset;
    let address = format!("{}/api/datasets/{repository}/revision/{revision}?blobs=true", client.endpoint());
    let listing: Listing =
        serde_json::from_str(&client.text(&address)?).map_err(|error| Error::Download {
            url: address.clone(),
            reason: format!("the answer is not what was expected: {error}"),
        })?;
    let wanted: Vec<_> = listing.siblings.iter().filter(|file| takes(&file.rfilename)).collect();
    if wanted.is_empty() || !is_plain(&listing.sha) {
        let reason = match &dataset.pattern {
            Some(pattern) => format!("none of its {} files matches {pattern}", listing.siblings.len()),
            None => format!("none of its {} files is of a format that can be read", listing.siblings.len()),
        };
        return Err(Error::NotThere { url: address, reason: Absence::Other(reason) });
    }
    let root = destination.root(&listing.sha);
    let mut files = Vec::new();
    for file in wanted {
        let name = &file.rfilename;
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::Download { url: address, reason: format!("it lists a file \"{name}\"") });
        }
        let path = root.join(name);
        if !path.is_file() {
            let url = format!(
                "{}/datasets/{repository}/resolve/{}/{}",
                client.endpoint(),
                listing.sha,
                encoded(name)
            );
            let expected = Expected {
                size: file.lfs.as_ref().and_then(|lfs| lfs.size).or(file.size),
                sha256: file.lfs.as_ref().map(|lfs| lfs.sha256.clone()),
            };
            let blob = expected.sha256.as_ref().or(file.blob_id.as_ref()).filter(|name| is_plain(name));
            destination.download(&path, blob, &url, &expected, client, progress)?;
        }
        files.push(path);
    }
    destination.remember(&listing.sha)?;
    Ok(Fetched { path: common(&root, &files), files, field })
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

/// Where the files of a dataset go.
enum Destination {
    Folder(PathBuf),
    Cache { repo: Repo, cache: Cache },
}

impl Destination {
    fn of(dataset: &HubDataset, folder: Option<&Path>, options: &FetchOptions) -> Self {
        let (repository, revision) = (dataset.repository.clone(), dataset.revision.clone());
        match folder {
            Some(folder) => Self::Folder(folder.to_owned()),
            None => Self::Cache {
                repo: Repo::with_revision(repository, RepoType::Dataset, revision),
                cache: Cache::new(options.cache.clone()),
            },
        }
    }

    /// Below it, files have the names that the hub gives them.
    fn root(&self, commit: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Cache { repo, cache } => cache.repo(repo.clone()).pointer_path(commit),
        }
    }

    fn download(
        &self,
        path: &Path,
        blob: Option<&String>,
        url: &str,
        expected: &Expected,
        client: &Client,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<()> {
        let parent = path.parent().unwrap_or(path);
        std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let (Self::Cache { repo, cache }, Some(blob)) = (self, blob) else {
            return client.download(url, path, expected, progress);
        };
        // The cache keeps contents by their hash, and links to them by name.
        let repository = cache.path().join(repo.folder_name());
        let blobs = repository.join("blobs");
        std::fs::create_dir_all(&blobs).map_err(Error::io(&blobs))?;
        let content = blobs.join(blob);
        if !content.is_file() {
            client.download(url, &content, expected, progress)?;
        }
        link(&repository, &content, path).map_err(Error::io(path))
    }

    /// Notes which commit the revision is, for the next time without network.
    fn remember(&self, commit: &str) -> Result<()> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Cache { repo, cache } => {
                let path = cache.path().join(repo.folder_name());
                cache.repo(repo.clone()).create_ref(commit).map_err(Error::io(path))
            }
        }
    }

    fn what_is_there(
        &self,
        dataset: &HubDataset,
        field: &'static str,
        takes: &dyn Fn(&str) -> bool,
    ) -> Result<Fetched> {
        let root = match self {
            Self::Folder(folder) => folder.clone(),
            Self::Cache { repo, cache } => {
                let reference = cache.path().join(repo.folder_name()).join("refs").join(repo.revision());
                let commit = std::fs::read_to_string(reference).unwrap_or_else(|_| dataset.revision.clone());
                self.root(commit.trim())
            }
        };
        let mut files = Vec::new();
        collect(&root, &root, takes, &mut files);
        files.sort();
        if files.is_empty() {
            let url = format!("{DATASETS}{}", dataset.repository);
            return Err(Error::NotThere { url, reason: Absence::Offline });
        }
        Ok(Fetched { path: common(&root, &files), files, field })
    }
}

fn collect(root: &Path, folder: &Path, takes: &dyn Fn(&str) -> bool, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, takes, files);
        } else if path.strip_prefix(root).is_ok_and(|name| takes(&name.to_string_lossy())) {
            files.push(path);
        }
    }
}

/// The file, or the deepest folder that holds all of them.
fn common(root: &Path, files: &[PathBuf]) -> PathBuf {
    match files {
        [file] => file.clone(),
        [first, ..] => {
            let above = first.ancestors().skip(1);
            let mut shared = above.filter(|folder| files.iter().all(|file| file.starts_with(folder)));
            shared.next().unwrap_or(root).to_owned()
        }
        [] => root.to_owned(),
    }
}

/// Makes `path` stand for `content`; both are below `repository`. Relative, so that the cache can be moved.
#[cfg(unix)]
fn link(repository: &Path, content: &Path, path: &Path) -> std::io::Result<()> {
    let below = |path: &Path| path.strip_prefix(repository).unwrap_or(path).to_owned();
    let up = below(path).components().count() - 1;
    let target: PathBuf = std::iter::repeat_n(Path::new(".."), up).collect::<PathBuf>().join(below(content));
    std::os::unix::fs::symlink(target, path)
}

/// Makes `path` stand for `content`. Links need a privilege here.
#[cfg(not(unix))]
fn link(_repository: &Path, content: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::hard_link(content, path).or_else(|_| std::fs::copy(content, path).map(drop))
}
