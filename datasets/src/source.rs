//! Reading text files and folders of them.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Endings that are taken for text inside a folder.
const TEXT: [&str; 3] = ["txt", "text", "md"];

/// The documents at `path`: one for a file, one for each text file below a folder, in the order of their paths.
///
/// # Errors
///
/// [`Error::Io`] if something cannot be read, [`Error::NotUtf8`] with file and line, [`Error::NoText`] for an empty
/// file or a folder without text files.
pub fn read_text(path: &Path) -> Result<Vec<String>> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
    if !metadata.is_dir() {
        let text = read_file(path)?;
        if text.trim().is_empty() {
            return Err(Error::NoText { path: path.to_owned(), reason: "the file is empty" });
        }
        return Ok(vec![text]);
    }
    let mut files = Vec::new();
    collect(path, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(Error::NoText {
            path: path.to_owned(),
            reason: "no .txt, .text or .md file in this folder",
        });
    }
    let mut documents = files.iter().map(|file| read_file(file)).collect::<Result<Vec<_>>>()?;
    documents.retain(|text| !text.trim().is_empty());
    if documents.is_empty() {
        return Err(Error::NoText {
            path: path.to_owned(),
            reason: "every text file in this folder is empty",
        });
    }
    Ok(documents)
}

fn read_file(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..valid];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        Error::NotUtf8 {
            path: path.to_owned(),
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            byte: valid - line_start + 1,
        }
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(Error::io(entry.path()))?);
        let is_text =
            path.extension().is_some_and(|ending| TEXT.iter().any(|text| ending.eq_ignore_ascii_case(text)));
        if kind.is_dir() {
            collect(&path, files)?;
        } else if is_text {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_their_text_files_in_order() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(folder.path().join("b")).expect("writable");
        for (name, text) in [("b/one.txt", "second"), ("a.md", "first"), ("c.txt", " \n"), ("d.png", "no")] {
            std::fs::write(folder.path().join(name), text).expect("writable");
        }
        assert_eq!(read_text(folder.path()).expect("text"), ["first", "second"]);
    }

    #[test]
    fn a_wrong_byte_is_named_by_line_and_position() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), b"one\ntwo\nth\xffree").expect("writable");
        assert!(matches!(read_text(file.path()), Err(Error::NotUtf8 { line: 3, byte: 3, .. })));
    }
}
