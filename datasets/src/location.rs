//! Where in a file a document stands.

use std::fmt;

/// A location in a file, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// The file as a whole is the document.
    File,
    /// One-based line.
    Line(u64),
    /// One-based record, in formats where lines mean nothing.
    Record(u64),
}

impl fmt::Display for Location {
    /// What follows the name of the file in a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(line) => write!(f, ":{line}"),
            Self::Record(record) => write!(f, ": record {record}"),
        }
    }
}
