//! Where text comes from: files of many formats, folders of them, standard input, the Rust code on this machine.
//!
//! A [`Source`] is what the user names. [`Source::files`] lists its [`SourceFile`]s in a fixed order, and
//! [`SourceFile::read`] streams the documents of one, so that no file need fit in memory.

mod cargo;
mod format;
mod guard;
mod input;
mod json;
mod listing;
mod location;
mod parquet;
mod table;
mod text;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::format::{Compression, Format};
pub use self::input::ReadOptions;
pub use self::location::Location;
use crate::error::{Error, Result};

/// Name of the source that is the Rust code in the user's own cargo registry.
pub const CARGO: &str = "cargo";

/// Field, or column, that holds the text where nothing else is said.
pub const DEFAULT_FIELD: &str = "text";

/// A file, a folder, a pattern, or [`CARGO`]: something that holds documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// A path, a pattern such as `texts/**/*.md`, or [`CARGO`].
    pub location: PathBuf,
    /// In a folder, only files that match one of these; none: every file of a usual text or record format.
    pub include: Vec<String>,
    /// In a folder, no file that matches one of these.
    pub exclude: Vec<String>,
    /// Field of JSON objects, or column of a table, that holds the text. A number picks a column by its position in
    /// a file without a header row.
    pub field: String,
    /// Overrides what the name of a file says.
    pub format: Option<Format>,
    /// How many times each training document is taken: 2 is twice, 0.5 every other one.
    pub weight: f64,
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
        }
    }

    /// The files of this source, in the order of their paths.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for what cannot be read; [`Error::NoText`], [`Error::NoTextFile`] or [`Error::NoCrates`] if there
    /// is none; [`Error::Pattern`] for a pattern that is not one.
    pub fn files(&self) -> Result<Vec<SourceFile>> {
        listing::files(self)
    }
}

/// One file of a [`Source`].
#[derive(Clone, Debug, PartialEq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// How it holds documents.
    pub format: Format,
    /// What it is packed with.
    pub compression: Compression,
    /// Bytes on disk.
    pub size: u64,
    /// Field or column that holds the text.
    pub field: String,
}

/// What reading a file gives: the text of a document in one or more pieces, then its end.
#[derive(Debug)]
pub enum ReadEvent<'a> {
    /// More of the document at hand.
    Text(&'a str),
    /// The document is complete; where it stood.
    End(Location),
    /// The document at hand, or the rest of the file, cannot be used. Returning the error ends the reading;
    /// returning `Ok` skips what is bad.
    Bad(Error),
}

impl SourceFile {
    /// Streams the documents.
    ///
    /// # Errors
    ///
    /// What `each` returns, and nothing else: bad input is a [`ReadEvent`].
    pub fn read(
        &self,
        options: &ReadOptions,
        each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
    ) -> Result<()> {
        match self.format {
            Format::Text => text::read(self, options, each),
            Format::Jsonl => json::read_lines(self, options, each),
            Format::Json => json::read_values(self, options, each),
            Format::Csv | Format::Tsv => table::read(self, options, each),
            Format::Parquet => parquet::read(self, options, each),
        }
    }

    /// The error of a record, or of the whole file, that has only the fields `names`.
    fn no_field(&self, location: Location, names: Vec<String>) -> Error {
        Error::NoField { path: self.path.clone(), location, field: self.field.clone(), names }
    }

    /// The documents one after the other, each as a whole; the first bad one is an error, unless they are skipped.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, or what `each` returns.
    pub fn documents(&self, options: &ReadOptions, each: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let mut document = String::new();
        self.read(options, &mut |event| match event {
            ReadEvent::Text(text) => {
                document.push_str(text);
                Ok(())
            }
            ReadEvent::End(_) => {
                let outcome = if document.trim().is_empty() { Ok(()) } else { each(&document) };
                document.clear();
                outcome
            }
            ReadEvent::Bad(_) if options.skip_bad => {
                document.clear();
                Ok(())
            }
            ReadEvent::Bad(error) => Err(error),
        })
    }
}

#[cfg(test)]
mod tests;
