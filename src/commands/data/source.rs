//! `--data` and what goes with it, as sources.

use std::path::PathBuf;

use anyhow::Result;
use kiln_datasets::{ReadOptions, Source};

use crate::cli::data::SourceArgs;
use crate::contents;

impl SourceArgs {
    /// These settings for one location.
    ///
    /// # Errors
    ///
    /// If what is there is no text.
    pub fn at(&self, location: impl Into<PathBuf>) -> Result<Source> {
        let location = location.into();
        // Who says which files to read, or as what, is believed.
        if self.format.is_none() && self.include.is_empty() {
            contents::check_text(&location)?;
        }
        Ok(Source {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            field: self.field.clone(),
            format: self.format,
            ..Source::new(location)
        })
    }

    /// How they are read.
    pub fn reading(&self) -> ReadOptions {
        ReadOptions { lossy: self.lossy, ..ReadOptions::default() }
    }
}
