//! What kind of file a name stands for: `corpus.jsonl.zst` is JSON lines, compressed with Zstandard.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// How a file holds documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// The whole file is one document.
    Text,
    /// One JSON object or string on each line.
    Jsonl,
    /// An array of JSON objects or strings, or several of them one after the other.
    Json,
    /// Comma-separated values, with a header row.
    Csv,
    /// Tab-separated values, with a header row; quotes mean nothing.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

/// What a file is packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Nothing.
    None,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstandard,
}

/// Endings that are text inside a folder.
const TEXT: [&str; 4] = ["txt", "text", "md", "markdown"];

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::Text, Self::Jsonl, Self::Json, Self::Csv, Self::Tsv, Self::Parquet];

    /// Its name, as `--format` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Parquet => "parquet",
        }
    }

    /// What a file of it holds.
    pub fn description(self) -> &'static str {
        match self {
            Self::Text => "The whole file is one document",
            Self::Jsonl => "A JSON object or string on each line",
            Self::Json => "An array of JSON objects or strings, or several of them one after the other",
            Self::Csv => "Comma-separated values, with a header row",
            Self::Tsv => "Tab-separated values, with a header row; quotes mean nothing",
            Self::Parquet => "Apache Parquet",
        }
    }

    /// The formats that hold a document for each record, by ending.
    fn of_records(ending: &str) -> Option<Self> {
        match ending {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// What a file is by its name. A file of any other ending is text.
    pub fn of(path: &Path) -> (Self, Compression) {
        let (ending, compression) = ending(path);
        (Self::of_records(&ending).unwrap_or(Self::Text), compression)
    }

    /// Whether a folder is taken to hold documents in files of that name: source code and whatever else there
    /// is must be asked for.
    pub fn is_usual(path: &Path) -> bool {
        let (ending, _) = ending(path);
        TEXT.contains(&ending.as_str()) || Self::of_records(&ending).is_some()
    }
}

/// The ending that tells the format, in lower case, and the compression around it.
fn ending(path: &Path) -> (String, Compression) {
    let last = |path: &Path| path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let inner = || path.file_stem().and_then(|stem| last(Path::new(stem))).unwrap_or_default();
    match last(path).unwrap_or_default().as_str() {
        "gz" => (inner(), Compression::Gzip),
        "zst" => (inner(), Compression::Zstandard),
        ending => (ending.to_owned(), Compression::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_format_and_compression() {
        let of = |name: &str| Format::of(Path::new(name));
        assert_eq!(of("a/b.TXT"), (Format::Text, Compression::None));
        assert_eq!(of("b.jsonl.gz"), (Format::Jsonl, Compression::Gzip));
        assert_eq!(of("b.csv.zst"), (Format::Csv, Compression::Zstandard));
        assert_eq!(of("main.rs"), (Format::Text, Compression::None));
        assert_eq!(of("README"), (Format::Text, Compression::None));
        for format in Format::ALL {
            assert_eq!(of(&format!("a.{}", format.name())).0, format);
        }
        assert!(Format::is_usual(Path::new("a.md.gz")) && !Format::is_usual(Path::new("a.png")));
    }
}
