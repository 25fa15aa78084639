//! Which files belong to a source.

use std::fs::Metadata;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{CARGO, Format, Source, SourceFile, cargo};
use crate::error::{Error, Result};

/// Lists the files of `source`, sorted by path.
pub(super) fn files(source: &Source) -> Result<Vec<SourceFile>> {
    if source.location.as_os_str() == CARGO {
        let include =
            if source.include.is_empty() { vec!["*.rs".to_owned()] } else { source.include.clone() };
        return below(&cargo::registry()?, &Source { include, ..source.clone() });
    }
    let path = &source.location;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => below(path, source),
        Ok(metadata) => Ok(vec![file(path.clone(), &metadata, source)]),
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

fn below(folder: &Path, source: &Source) -> Result<Vec<SourceFile>> {
    let wanted = Wanted { include: globs(&source.include)?, exclude: globs(&source.exclude)? };
    let mut files = Vec::new();
    collect(folder, folder, &wanted, source, &mut files)?;
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

/// As in `.gitignore`: a pattern without a slash is about the name, one with a slash about the path below the folder.
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

fn collect(
    root: &Path,
    folder: &Path,
    wanted: &Wanted,
    source: &Source,
    files: &mut Vec<SourceFile>,
) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        // Hidden files are seldom text that someone wrote to be read.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::io(&path))?;
        if kind.is_dir() {
            collect(root, &path, wanted, source, files)?;
        } else if wanted.takes(path.strip_prefix(root).unwrap_or(&path)) {
            // Follows links, as the cache of Hugging Face needs.
            let metadata = std::fs::metadata(&path).map_err(Error::io(&path))?;
            if metadata.is_file() {
                files.push(file(path, &metadata, source));
            }
        }
    }
    Ok(())
}

fn file(path: PathBuf, metadata: &Metadata, source: &Source) -> SourceFile {
    let (format, compression) = Format::of(&path);
    let format = source.format.unwrap_or(format);
    SourceFile { path, format, compression, size: metadata.len(), field: source.field.clone() }
}
