//! Datasets of the Hugging Face hub.

use std::path::{Path, PathBuf};

use globset::GlobBuilder;

use super::destination::Destination;
use super::repository::{HubRepository, ListedFile, MAIN, SCHEME, is_name};
use super::snapshot::Snapshot;
use super::{FetchOptions, FetchProgress, Fetched};
use crate::Absence;
use crate::Format;
use crate::error::{Error, Result};

const DATASETS: &str = "datasets/";

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
        let dataset = address.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix(DATASETS));
        let mut parts = dataset.ok_or_else(refuse)?.splitn(3, '/');
        let (Some(owner), Some(name)) = (parts.next(), parts.next()) else { return Err(refuse()) };
        let (name, revision) = name.split_once('@').unwrap_or((name, MAIN));
        if ![owner, name, revision].into_iter().all(is_name) {
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

    /// Why nothing was taken of `count` files.
    fn nothing_of(&self, count: usize) -> Absence {
        Absence::Other(match &self.pattern {
            Some(pattern) => format!("none of its {count} files matches {pattern}"),
            None => format!("none of its {count} files is of a format that can be read"),
        })
    }
}

pub(super) fn fetch(
    dataset: &HubDataset,
    field: &'static str,
    folder: Option<&Path>,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<Fetched> {
    let takes = dataset.takes()?;
    let repository = HubRepository::dataset(&dataset.repository, &dataset.revision);
    if options.offline {
        let root = Destination::of(&repository, folder, options).last_root();
        let files = files_in(&root, &takes);
        if files.is_empty() {
            let url = format!("{SCHEME}{DATASETS}{}", dataset.repository);
            return Err(Error::NotThere { url, reason: Absence::Offline });
        }
        return Ok(Fetched { path: common(&root, &files), files, field });
    }
    let snapshot = Snapshot::open(repository, folder, options, progress)?;
    let wanted: Vec<&ListedFile> = snapshot.listing.files.iter().filter(|file| takes(&file.name)).collect();
    if wanted.is_empty() {
        let reason = dataset.nothing_of(snapshot.listing.files.len());
        return Err(Error::NotThere { url: snapshot.page(), reason });
    }
    let files = snapshot.fetch(&wanted, progress)?;
    snapshot.remember()?;
    Ok(Fetched { path: common(&snapshot.root(), &files), files, field })
}

/// The files below `root` whose names are taken, in order.
fn files_in(root: &Path, takes: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(root, root, takes, &mut files);
    files.sort();
    files
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
