//! Where the files of a repository go: a folder, or the cache that the hub's other programs share.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use hf_hub::{Cache, Repo};

use super::client::Client;
use super::repository::{HubRepository, ListedFile, is_plain};
use super::{FetchOptions, FetchProgress};
use crate::error::{Error, Result};
use crate::file::write_file;

/// Where the files of a repository go.
pub(super) enum Destination {
    Folder(PathBuf),
    Cache { repo: Repo, cache: Cache },
}

impl Destination {
    pub(super) fn of(repository: &HubRepository, folder: Option<&Path>, options: &FetchOptions) -> Self {
        match folder {
            Some(folder) => Self::Folder(folder.to_owned()),
            None => Self::Cache { repo: repository.in_cache(), cache: Cache::new(options.cache.clone()) },
        }
    }

    /// Below it, files have the names that the hub gives them.
    pub(super) fn root(&self, commit: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Cache { repo, cache } => cache.repo(repo.clone()).pointer_path(commit),
        }
    }

    /// The [root](Self::root) of the commit that the revision was when it was last fetched.
    pub(super) fn last_root(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Cache { repo, .. } => {
                let commit = std::fs::read_to_string(self.reference()).unwrap_or_default();
                let commit = Some(commit.trim()).filter(|commit| is_plain(commit));
                self.root(commit.unwrap_or(repo.revision()))
            }
        }
    }

    /// Brings a file here, to `path`, unless it is.
    pub(super) fn fetch(
        &self,
        file: &ListedFile,
        path: &Path,
        url: &str,
        client: &Client,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<()> {
        let expected = file.expected();
        let is_here = match self {
            Self::Folder(_) => expected.is_at(path)?,
            Self::Cache { .. } => path.is_file(),
        };
        if is_here {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(path);
        std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let (Self::Cache { .. }, Some(blob)) = (self, file.blob()) else {
            return client.download(url, path, &expected, progress);
        };
        // The cache keeps contents by their hash, and links to them by name.
        let repository = self.repository();
        let blobs = repository.join("blobs");
        std::fs::create_dir_all(&blobs).map_err(Error::io(&blobs))?;
        let content = blobs.join(blob);
        let _lock = self.lock(blob, progress)?;
        if !content.is_file() {
            client.download(url, &content, &expected, progress)?;
        }
        link(&repository, &content, path).map_err(Error::io(path))
    }

    /// Notes which commit the revision is, for the next time without network.
    pub(super) fn remember(&self, commit: &str) -> Result<()> {
        let Self::Cache { repo, .. } = self else { return Ok(()) };
        let path = self.reference();
        if repo.revision() == commit || std::fs::read_to_string(&path).is_ok_and(|noted| noted == commit) {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(&path);
        std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
        write_file(&path, commit)
    }

    /// The folder of the repository.
    fn repository(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Cache { repo, cache } => cache.path().join(repo.folder_name()),
        }
    }

    /// The file that says which commit the revision is.
    fn reference(&self) -> PathBuf {
        let revision = match self {
            Self::Folder(_) => "",
            Self::Cache { repo, .. } => repo.revision(),
        };
        self.repository().join("refs").join(revision)
    }

    /// Waits until no other process downloads the content `blob`. `huggingface_hub` locks the same file.
    fn lock(&self, blob: &str, progress: &mut dyn FnMut(&FetchProgress)) -> Result<Option<File>> {
        let Self::Cache { repo, cache } = self else { return Ok(None) };
        let folder = cache.path().join(".locks").join(repo.folder_name());
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let path = folder.join(format!("{blob}.lock"));
        let options = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress(&FetchProgress { waiting: true, ..FetchProgress::default() });
                file.lock().map_err(Error::io(&path))?;
            }
            // Not every file system has locks.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
        Ok(Some(file))
    }
}

/// Makes `path` stand for `content`; both are below `repository`. Relative, so that the cache can be moved.
#[cfg(unix)]
fn link(repository: &Path, content: &Path, path: &Path) -> std::io::Result<()> {
    let below = |path: &Path| path.strip_prefix(repository).unwrap_or(path).to_owned();
    let up = below(path).components().count() - 1;
    let target: PathBuf = std::iter::repeat_n(Path::new(".."), up).collect::<PathBuf>().join(below(content));
    // Another process may have been faster, or a link may lead nowhere any more.
    if !path.is_file() && path.is_symlink() {
        std::fs::remove_file(path)?;
    }
    std::os::unix::fs::symlink(target, path).or_else(|error| if path.is_file() { Ok(()) } else { Err(error) })
}

/// Makes `path` stand for `content`. Links need a privilege here.
#[cfg(not(unix))]
fn link(_repository: &Path, content: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::hard_link(content, path).or_else(|_| std::fs::copy(content, path).map(drop))
}
