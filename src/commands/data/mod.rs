//! `kiln data`: from any pile of files to token shards.

mod fetch;
mod info;
mod prepare;
mod progress;

use std::path::PathBuf;

use anyhow::Result;
use kiln_datasets::{Format, Source};

pub use self::progress::Preparing;
use crate::cli::{Data, DataFormat, SourceArgs};

pub fn run(command: Data) -> Result<()> {
    match command {
        Data::Prepare(args) => prepare::run(args),
        Data::Info(args) => info::run(args),
        Data::Fetch(args) => fetch::run(args),
    }
}

impl SourceArgs {
    /// These settings for one place.
    fn at(&self, location: impl Into<PathBuf>) -> Source {
        Source {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            field: self.field.clone(),
            format: self.format.map(Format::from),
            ..Source::new(location)
        }
    }
}

impl From<DataFormat> for Format {
    fn from(format: DataFormat) -> Self {
        match format {
            DataFormat::Text => Self::Text,
            DataFormat::Jsonl => Self::Jsonl,
            DataFormat::Json => Self::Json,
            DataFormat::Csv => Self::Csv,
            DataFormat::Tsv => Self::Tsv,
            DataFormat::Parquet => Self::Parquet,
        }
    }
}
