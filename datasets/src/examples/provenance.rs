//! Where an example came from.

use std::path::Path;
use std::sync::Arc;

use super::Flaw;
use crate::{Error, Location};

/// The file of an example and its place there, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The file.
    pub path: Arc<Path>,
    /// Where in it.
    pub location: Location,
}

impl Provenance {
    /// The whole of a file.
    pub fn of_file(path: &Path) -> Self {
        Self { path: path.into(), location: Location::File }
    }

    /// What is wrong with the text of an example, with its place.
    pub fn located(&self, source: Error) -> Error {
        let (path, location) = (self.path.to_path_buf(), self.location);
        Error::Document { path, location, source: Box::new(source) }
    }

    /// The error of an example that is wrong in this way.
    pub(crate) fn error(&self, flaw: Flaw) -> Error {
        Error::Example { path: self.path.to_path_buf(), location: self.location, flaw }
    }
}
