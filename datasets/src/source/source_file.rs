//! One file, and the events that reading it gives.

use std::fs::File;
use std::path::PathBuf;

#[cfg(feature = "parquet")]
use super::parquet;
use super::{Compression, Format, ReadOptions, Spool, input, json, table, text};
use crate::Location;
use crate::error::{Error, Result};

/// One file of a [`Source`](super::Source).
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
    /// Where its bytes are, if they came from a pipe.
    pub spool: Spool,
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
        let open = || input::open(self, options);
        let read = match self.format {
            Format::Text => open().map(|input| text::read(self, input, each)),
            Format::Jsonl => open().map(|input| json::read_lines(self, input, options, each)),
            Format::Json => open().map(|input| json::read_values(self, input, options, each)),
            Format::Csv | Format::Tsv => open().map(|input| table::read(self, input, each)),
            #[cfg(feature = "parquet")]
            Format::Parquet => parquet::open(self).map(|table| table.read(self, options, each)),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => {
                Err(Error::format(&self.path, "reading Parquet needs the feature `parquet` of kiln-datasets"))
            }
        };
        // A file that cannot be opened is one bad document.
        read.unwrap_or_else(|error| each(ReadEvent::Bad(error)))
    }

    /// Opens what holds its bytes.
    pub(super) fn open(&self) -> std::io::Result<File> {
        File::open(self.spool.path().unwrap_or(&self.path))
    }

    /// The error of a record, or of the whole file, that has only the fields `names`.
    pub(super) fn no_field(&self, location: Location, names: Vec<String>) -> Error {
        Error::NoField { path: self.path.clone(), location, field: self.field.clone(), names }
    }

    /// The documents one after the other, each as a whole; the first bad one is an error, unless they are
    /// skipped.
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
