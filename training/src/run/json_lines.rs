//! A file of JSON objects, one a line, to which a run appends and which a resumed run takes up again.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Appends to such a file.
#[derive(Debug)]
pub(crate) struct JsonLines {
    path: PathBuf,
    file: File,
}

/// What [`JsonLines::open`] found.
pub(crate) struct Found<T> {
    pub(crate) file: JsonLines,
    /// The lines that stay.
    pub(crate) kept: Vec<T>,
    /// Numbers of the lines, from 1, that are not what they should be.
    pub(crate) damaged: Vec<usize>,
}

impl JsonLines {
    /// Opens the file, or creates it, and drops the lines for which `keep` says no: what an interrupted run wrote
    /// after its last checkpoint. Lines that stay are not changed.
    pub(crate) fn open<T: DeserializeOwned>(path: &Path, keep: impl Fn(&T) -> bool) -> Result<Found<T>> {
        let (kept, lines, damaged) = read(path, keep)?;
        kiln_model::write_file(path, lines)?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io(path))?;
        Ok(Found { file: Self { path: path.to_owned(), file }, kept, damaged })
    }

    /// Appends a line, visible to other programs at once.
    pub(crate) fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(line).expect("numbers and strings serialise") + "\n";
        self.file.write_all(text.as_bytes()).map_err(Error::io(&self.path))
    }

    /// Waits until the lines are on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path))
    }
}

/// All whole lines of such a file, in order; none where there is no file.
pub(crate) fn read_all<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    read(path, |_| true).map(|(lines, ..)| lines)
}

/// Numbers of the lines, from 1, that are not what they should be.
pub(crate) fn damaged_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<usize>> {
    read::<T>(path, |_| false).map(|(.., damaged)| damaged)
}

/// The lines that stay, also as they stand in the file, and the numbers of damaged ones.
fn read<T: DeserializeOwned>(
    path: &Path,
    keep: impl Fn(&T) -> bool,
) -> Result<(Vec<T>, Vec<u8>, Vec<usize>)> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(Error::io(path))?,
    };
    let (mut kept, mut text, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        match serde_json::from_slice(line) {
            // A last line that a crash cut short is no damage, even where it can be read.
            _ if !line.ends_with(b"\n") => {}
            Err(_) => damaged.push(number),
            Ok(value) if keep(&value) => {
                kept.push(value);
                text.extend_from_slice(line);
            }
            Ok(_) => {}
        }
    }
    Ok((kept, text, damaged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_stays_to_the_letter_and_damage_is_numbered() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("lines.jsonl");
        std::fs::write(&path, b"1\n 2 \n[\xff\n3\n40\n5").expect("writable");
        let mut found = JsonLines::open(&path, |number: &u32| *number < 40).expect("readable");
        assert_eq!((found.kept, found.damaged), (vec![1, 2, 3], vec![3]));
        found.file.write(&4).expect("writable");
        found.file.sync().expect("writable");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "1\n 2 \n3\n4\n");
    }
}
