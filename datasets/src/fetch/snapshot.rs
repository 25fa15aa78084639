//! The files of one commit of a repository, on their way here.

use std::path::{Path, PathBuf};

use super::client::Client;
use super::destination::Destination;
use super::repository::{HubRepository, ListedFile, Listing};
use super::{FetchOptions, FetchProgress};
use crate::error::Result;

/// The commit that a revision of a repository is now, and where its files go.
pub(super) struct Snapshot {
    repository: HubRepository,
    pub(super) listing: Listing,
    destination: Destination,
    client: Client,
}

impl Snapshot {
    /// Asks the hub what there is.
    pub(super) fn open(
        repository: HubRepository,
        folder: Option<&Path>,
        options: &FetchOptions,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Self> {
        let client = Client::new(options);
        let listing = repository.listing(&client, progress)?;
        let destination = Destination::of(&repository, folder, options);
        Ok(Self { repository, listing, destination, client })
    }

    /// Below it, files have the names that the hub gives them.
    pub(super) fn root(&self) -> PathBuf {
        self.destination.root(&self.listing.commit)
    }

    /// The page of the repository, for messages.
    pub(super) fn page(&self) -> String {
        self.repository.page(self.client.endpoint())
    }

    /// Brings files here that are not, one after another.
    pub(super) fn fetch(
        &self,
        files: &[&ListedFile],
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Vec<PathBuf>> {
        let all_total: Option<u64> = files.iter().map(|file| file.size()).sum();
        let (root, mut before) = (self.root(), 0);
        let mut paths = Vec::new();
        for file in files {
            let url = self.repository.url(file, &self.listing.commit, &self.client)?;
            let path = root.join(&file.name);
            self.destination.fetch(file, &path, &url, &self.client, &mut |one| {
                let all_bytes = before + one.bytes;
                progress(&FetchProgress { file: file.name.clone(), all_bytes, all_total, ..one.clone() });
            })?;
            before += file.size().unwrap_or_default();
            paths.push(path);
        }
        Ok(paths)
    }

    /// The text of a file, without keeping it.
    pub(super) fn text(&self, file: &ListedFile, progress: &mut dyn FnMut(&FetchProgress)) -> Result<String> {
        self.client.text(&self.repository.url(file, &self.listing.commit, &self.client)?, progress)
    }

    /// Notes which commit the revision is, for the next time without network.
    pub(super) fn remember(&self) -> Result<()> {
        self.destination.remember(&self.listing.commit)
    }
}
