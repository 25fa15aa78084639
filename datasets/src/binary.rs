//! Files that are no text, by the bytes that they begin with: a document of them would be noise, `--lossy` or not.

use std::fmt::{self, Display};

/// Bytes that [`Binary::of`] looks at: up to the end of the mark in a tar archive.
#[cfg(feature = "prepare")]
pub(crate) const LOOKED_AT: usize = 262;

/// Where a tar archive has its mark.
#[cfg(feature = "prepare")]
const TAR_MARK: usize = 257;

/// What a file is that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binary {
    /// An archive of files.
    Archive(&'static str),
    /// A compressed file whose name does not say so, or that is compressed in a way that is not read.
    Compressed(&'static str),
    /// A document with a layout.
    Document(&'static str),
    /// A model.
    Model(&'static str),
    /// A table in Parquet, under a name that does not say so.
    Parquet,
    /// Anything else.
    Other(&'static str),
}

#[cfg(feature = "prepare")]
impl Binary {
    /// What begins with these bytes, if it is known not to be text.
    pub(crate) fn of(front: &[u8]) -> Option<Self> {
        const MARKS: [(&[u8], Binary); 16] = [
            (b"PK\x03\x04", Binary::Archive("ZIP")),
            (b"7z\xBC\xAF\x27\x1C", Binary::Archive("7z")),
            (b"Rar!\x1A\x07", Binary::Archive("RAR")),
            (b"\x1F\x8B\x08", Binary::Compressed("gzip")),
            (b"\x28\xB5\x2F\xFD", Binary::Compressed("zstd")),
            (b"\xFD7zXZ\0", Binary::Compressed("xz")),
            (b"\x04\x22\x4D\x18", Binary::Compressed("lz4")),
            (b"%PDF-", Binary::Document("PDF")),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Binary::Document("Microsoft Office")),
            (b"PAR1\x15", Binary::Parquet),
            (b"ARROW1\0\0", Binary::Other("an Arrow file")),
            (b"\x89PNG\r\n", Binary::Other("a picture")),
            (b"\xFF\xD8\xFF", Binary::Other("a picture")),
            (b"\x93NUMPY", Binary::Other("an array of NumPy")),
            (b"SQLite format 3\0", Binary::Other("an SQLite database")),
            (b"\x7FELF", Binary::Other("a program")),
        ];
        let marked = MARKS.iter().find(|(mark, _)| front.starts_with(mark)).map(|(_, binary)| *binary);
        marked.or_else(|| match front {
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', ..] => Some(Self::Compressed("bzip2")),
            // The version, a number below 256, follows the name.
            [b'G', b'G', b'U', b'F', _, 0, 0, 0, ..] => Some(Self::Model("GGUF")),
            // The length of the header, below 2^40, and the header, a JSON object.
            [_, _, _, _, _, 0, 0, 0, b'{', b'"', ..] => Some(Self::Model("safetensors")),
            _ if front.get(TAR_MARK..).is_some_and(|rest| rest.starts_with(b"ustar")) => {
                Some(Self::Archive("tar"))
            }
            _ => None,
        })
    }
}

impl Display for Binary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(kind) => write!(formatter, "a {kind} archive"),
            Self::Compressed(kind) => write!(formatter, "packed with {kind}"),
            Self::Document(kind) => write!(formatter, "a {kind} document"),
            Self::Model(kind) => write!(formatter, "a model, a {kind} file"),
            Self::Parquet => write!(formatter, "a Parquet table"),
            Self::Other(what) => formatter.write_str(what),
        }
    }
}

#[cfg(all(test, feature = "prepare"))]
mod tests {
    use super::*;

    #[test]
    fn texts_that_speak_of_formats_are_texts() {
        for text in
            ["GGUF is a format", "PKZIP", "PAR1,PAR2", "BZh and so on", "%PDF", "{\"text\": 1}", "", "Rar!"]
        {
            assert_eq!(Binary::of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Binary::of(b"\x10\0\0\0\0\0\0\0{\"a\":"), Some(Binary::Model("safetensors")));
        assert_eq!(Binary::of(b"GGUF\x03\0\0\0"), Some(Binary::Model("GGUF")));
        let mut tar = [0; LOOKED_AT];
        tar[TAR_MARK..].copy_from_slice(b"ustar");
        assert_eq!(Binary::of(&tar), Some(Binary::Archive("tar")));
    }
}
