//! Where the files of a dataset go: a folder, or the cache that the hub's other programs share.

use std::path::{Path, PathBuf};

use hf_hub::{Cache, Repo, RepoType};

use super::download::{Client, Expected};
use super::hub::DATASETS;
use super::{FetchOptions, FetchProgress, Fetched, HubDataset};
use crate::error::{Absence, Error, Result};

/// Where the files of a dataset go.
pub(super) enum Destination {
    Folder(PathBuf),
    Cache { repo: Repo, cache: Cache },
}

impl Destination {
    pub(super) fn of(dataset: &HubDataset, folder: Option<&Path>, options: &FetchOptions) -> Self {
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
    pub(super) fn root(&self, commit: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Cache { repo, cache } => cache.repo(repo.clone()).pointer_path(commit),
        }
    }

    pub(super) fn download(
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
    pub(super) fn remember(&self, commit: &str) -> Result<()> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Cache { repo, cache } => {
                let path = cache.path().join(repo.folder_name());
                cache.repo(repo.clone()).create_ref(commit).map_err(Error::io(path))
            }
        }
    }

    pub(super) fn what_is_there(
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
pub(super) fn common(root: &Path, files: &[PathBuf]) -> PathBuf {
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
