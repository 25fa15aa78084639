//! `--data` and what goes with it, as sources.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result};
use kiln_datasets::{ReadOptions, Source};
use tempfile::TempDir;

use crate::cli::data::SourceArgs;

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

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

/// Every `--data` of a command.
pub struct Sources {
    pub list: Vec<Source>,
    /// Holds standard input, if that is one of them.
    _spooled: TempDir,
}

impl Sources {
    /// The sources as given; standard input goes to a file first, because its text may be read more than
    /// once.
    pub fn new(data: &[String], args: &SourceArgs) -> Result<Self> {
        let spooled = tempfile::tempdir()?;
        let source = |location: &String| {
            if location != STANDARD_INPUT {
                return Ok(args.at(location));
            }
            let path = spooled.path().join("stdin.txt");
            let copied = File::create(&path)
                .and_then(|mut file| std::io::copy(&mut std::io::stdin().lock(), &mut file));
            copied.context("standard input")?;
            Ok(args.at(path))
        };
        Ok(Self { list: data.iter().map(source).collect::<Result<_>>()?, _spooled: spooled })
    }
}
