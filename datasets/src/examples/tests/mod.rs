//! What the tests of examples have in common, and those of whole files.

mod forms;

use std::path::{Path, PathBuf};

use super::*;
use crate::Location;

/// Writes a file.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writable");
    path
}

/// Texts and their labels, one on each line of a file.
pub(super) fn labelled(texts: &[(&str, &str)]) -> Vec<Labelled> {
    let example = |(line, (text, label)): (u64, &(&str, &str))| {
        let provenance = Provenance { path: Path::new("data.csv").into(), location: Location::Line(line) };
        Labelled { text: (*text).to_owned(), label: (*label).to_owned(), provenance }
    };
    (1..).zip(texts).map(example).collect()
}
