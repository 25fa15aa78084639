//! What the user names as a corpus, and which files belong to it.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::{Format, SourceFile, Spool, cargo};
use crate::error::{Error, Result};
use crate::open::STANDARD_INPUT;

/// Name of the source that is the Rust code in the user's own cargo registry.
pub const CARGO: &str = "cargo";

/// Field, or column, that holds the text where nothing else is said.
pub const DEFAULT_FIELD: &str = "text";

/// A file, a folder, a pattern, a pipe, [`STANDARD_INPUT`], or [`CARGO`]: something that holds documents.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// A path, a pattern such as `texts/**/*.md`, [`STANDARD_INPUT`], or [`CARGO`].
    pub location: PathBuf,
    /// In a folder, only files that match one of these; none: every file of a usual text or record format.
    pub include: Vec<String>,
    /// In a folder, no file that matches one of these.
    pub exclude: Vec<String>,
    /// Field of JSON objects, or column of a table, that holds the text. A number picks a column by its
    /// position in a file without a header row.
    pub field: String,
    /// Overrides what the name of a file says.
    pub format: Option<Format>,
    /// How many times each training document is taken: 2 is twice, 0.5 every other one.
    pub weight: f64,
    /// What a location held that can be read only once; filled when its files are first asked for.
    #[serde(skip)]
    pub spool: Spool,
}

/// All but the spool, of which every attempt has its own: a prepared folder knows its sources by this text.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { location, include, exclude, field, format, weight, spool: _ } = self;
        f.debug_struct("Source")
            .field("location", location)
            .field("include", include)
            .field("exclude", exclude)
            .field("field", field)
            .field("format", format)
            .field("weight", weight)
            .finish()
    }
}

impl Source {
    /// A source with default settings.
    pub fn new(location: impl Into<PathBuf>) -> Self {
        Self {
            location: location.into(),
            include: Vec::new(),
            exclude: Vec::new(),
            field: DEFAULT_FIELD.to_owned(),
            format: None,
            weight: 1.0,
            spool: Spool::default(),
        }
    }

    /// The files of this source, in the order of their paths. A pipe, or standard input, is read to its end.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for what cannot be read; [`Error::NotAFile`] for a device; [`Error::NoText`], [`Error::NoTextFile`] or [`Error::NoCrates`]
    /// if there is none; [`Error::Pattern`] for a pattern that is not one.
    pub fn files(&self) -> Result<Vec<SourceFile>> {
        files(self)
    }

    /// The error of a source without a single document.
    pub(crate) fn empty(&self) -> Error {
        let path = self.name();
        let reason = if path.is_dir() { "every file in this folder is empty" } else { "the file is empty" };
        Error::NoText { path, reason: reason.to_owned() }
    }

    /// What messages call it.
    fn name(&self) -> PathBuf {
        if self.location.as_os_str() == STANDARD_INPUT {
            "standard input".into()
        } else {
            self.location.clone()
        }
    }
}

/// Lists the files of `source`, sorted by path.
fn files(source: &Source) -> Result<Vec<SourceFile>> {
    if source.location.as_os_str() == CARGO {
        let include =
            if source.include.is_empty() { vec!["*.rs".to_owned()] } else { source.include.clone() };
        return below(&cargo::registry()?, &Source { include, ..source.clone() });
    }
    let path = &source.location;
    if path.as_os_str() == STANDARD_INPUT {
        return spooled(source);
    }
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => below(path, source),
        Ok(metadata) if metadata.is_file() => Ok(vec![file(path.clone(), metadata.len(), source)]),
        Ok(_) => spooled(source),
        Err(error) => match split_pattern(path) {
            Some((folder, pattern)) if folder.is_dir() => {
                // Unlike one to include, a pattern that is a path begins at its folder.
                let include = vec![format!("/{pattern}")];
                below(&folder, &Source { include, ..source.clone() })
            }
            _ => Err(Error::io(path)(error)),
        },
    }
}

/// What can be read only once, as a file.
fn spooled(source: &Source) -> Result<Vec<SourceFile>> {
    source.spool.fill(&source.location)?;
    let (size, _) = source.spool.contents().unwrap_or_default();
    let file = file(source.name(), size, source);
    Ok(vec![SourceFile { spool: source.spool.clone(), ..file }])
}

fn below(folder: &Path, source: &Source) -> Result<Vec<SourceFile>> {
    let wanted = Wanted { include: globs(&source.include)?, exclude: globs(&source.exclude)? };
    let mut walk = Walk { root: folder, wanted, source, folders: Vec::new(), files: Vec::new() };
    walk.follow(folder)?;
    let mut files = walk.files;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if files.is_empty() { Err(no_file(source)) } else { Ok(files) }
}

/// The error of a folder in which no file is taken.
fn no_file(source: &Source) -> Error {
    let path = source.location.clone();
    let reason = match (source.include.as_slice(), source.exclude.as_slice()) {
        ([], []) => return Error::NoTextFile { path },
        (include, []) => {
            let include: Vec<&str> = include.iter().map(|pattern| pattern.trim_start_matches('/')).collect();
            format!("no file in this folder matches {}", include.join(", "))
        }
        (_, exclude) => format!("no file in this folder is left after excluding {}", exclude.join(", ")),
    };
    Error::NoText { path, reason }
}

/// Which files of a folder to take.
struct Wanted {
    include: GlobSet,
    exclude: GlobSet,
}

impl Wanted {
    fn takes(&self, relative: &Path) -> bool {
        let asked_for = if self.include.is_empty() {
            Format::is_usual(relative)
        } else {
            self.include.is_match(relative)
        };
        asked_for && !self.exclude.is_match(relative)
    }
}

/// As in `.gitignore`: a pattern without a slash is about the name, one with a slash about the path below the
/// folder.
fn globs(patterns: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let refuse = |error: globset::Error| Error::Pattern {
            pattern: pattern.trim_start_matches('/').to_owned(),
            reason: error.kind().to_string(),
        };
        let anchored = match pattern.trim_start_matches('/') {
            rest if pattern.contains('/') => rest.to_owned(),
            name => format!("**/{name}"),
        };
        set.add(GlobBuilder::new(&anchored).literal_separator(true).build().map_err(refuse)?);
    }
    set.build().map_err(|error| Error::Pattern { pattern: patterns.join(", "), reason: error.to_string() })
}

/// `texts/2024/*.md` is the folder `texts/2024` and the pattern `*.md`.
fn split_pattern(path: &Path) -> Option<(PathBuf, String)> {
    let parts: Vec<Component<'_>> = path.components().collect();
    let special = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let first = parts.iter().position(special)?;
    let folder: PathBuf = if first == 0 { PathBuf::from(".") } else { parts[..first].iter().collect() };
    let pattern: Vec<_> = parts[first..].iter().map(|part| part.as_os_str().to_string_lossy()).collect();
    Some((folder, pattern.join("/")))
}

/// A walk through a folder, which collects files.
struct Walk<'a> {
    root: &'a Path,
    wanted: Wanted,
    source: &'a Source,
    /// The folder and those that links lead to, as absolute paths without links.
    folders: Vec<PathBuf>,
    files: Vec<SourceFile>,
}

impl Walk<'_> {
    /// Walks through `folder` unless it lies in one that has been, as where a link leads back.
    fn follow(&mut self, folder: &Path) -> Result<()> {
        let real = folder.canonicalize().map_err(Error::io(folder))?;
        if self.folders.iter().any(|known| real.starts_with(known)) {
            return Ok(());
        }
        self.folders.push(real);
        self.collect(folder)
    }

    fn collect(&mut self, folder: &Path) -> Result<()> {
        for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
            let entry = entry.map_err(Error::io(folder))?;
            // Hidden files are seldom text that someone wrote to be read.
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::io(&path))?;
            let wanted = self.wanted.takes(path.strip_prefix(self.root).unwrap_or(&path));
            if kind.is_dir() {
                self.collect(&path)?;
                continue;
            }
            // Links are followed, as the cache of Hugging Face needs.
            let metadata = match std::fs::metadata(&path) {
                Ok(metadata) => metadata,
                Err(_) if !wanted => continue,
                Err(error) => return Err(Error::io(path)(error)),
            };
            if metadata.is_dir() {
                self.follow(&path)?;
            } else if wanted && metadata.is_file() {
                self.files.push(file(path, metadata.len(), self.source));
            } else if wanted {
                let reason = "neither a file nor a folder; a pipe must be named by itself".to_owned();
                return Err(Error::NoText { path, reason });
            }
        }
        Ok(())
    }
}

fn file(path: PathBuf, size: u64, source: &Source) -> SourceFile {
    let (format, compression) = Format::of(&path);
    let format = source.format.unwrap_or(format);
    SourceFile { path, format, compression, size, field: source.field.clone(), spool: Spool::default() }
}
