//! `--data` and what goes with it, as sources.

use std::path::PathBuf;

use kiln_datasets::{ReadOptions, Source};

use crate::cli::data::SourceArgs;

impl SourceArgs {
    /// These settings for one location.
    pub fn at(&self, location: impl Into<PathBuf>) -> Source {
        Source {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            field: self.field.clone(),
            format: self.format,
            ..Source::new(location)
        }
    }

    /// How they are read.
    pub fn reading(&self) -> ReadOptions {
        ReadOptions { lossy: self.lossy, ..ReadOptions::default() }
    }
}
